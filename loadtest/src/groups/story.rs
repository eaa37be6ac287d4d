//! The life of one large group.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use sotto_ids::GroupId;
use sotto_testkit::{Cluster, wait};
use tokio::task::JoinSet;

use super::{
    CHANGED, Options,
    crew::{Crew, Member},
    device::Intent,
    doing::Committed,
    ledger::{Ledger, Verdict},
    steps::{Step, Steps},
    text::Text,
};
use crate::{
    latency::{Latency, Percentiles},
    screen::Screen,
};

/// How long members with a socket may take to come to the end of the log by themselves.
const HEARD_WITHIN: std::time::Duration = std::time::Duration::from_mins(5);

/// What the story has shown.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) steps: Vec<Step>,
    pub(super) verdict: Verdict,
    /// How long the server took for a commit.
    pub(super) commits: Percentiles,
    /// From when a message was written to when it was accepted, its retries included.
    pub(super) sends: Percentiles,
    /// Times that a committer found another first.
    pub(super) lost_races: u64,
    /// Messages that were encrypted again, as the group had moved on.
    pub(super) stale: u64,
    /// Entries that members heard by their sockets.
    pub(super) heard: u64,
    /// Times that one of those read the log, since something had not come.
    pub(super) log_reads: u64,
}

/// A story as it goes on.
pub(super) struct Story<'a> {
    pub(super) options: &'a Options,
    pub(super) crew: &'a Arc<Crew>,
    pub(super) cluster: &'a Cluster,
    pub(super) screen: &'a Screen,
    pub(super) steps: Steps<'a>,
    ledger: Ledger,
    commits: Latency,
    sends: Latency,
    numbers: u64,
    lost_races: u64,
    stale: u64,
    troubles: Arc<Mutex<Vec<String>>>,
}

impl<'a> Story<'a> {
    pub(super) fn new(
        options: &'a Options,
        crew: &'a Arc<Crew>,
        cluster: &'a Cluster,
        screen: &'a Screen,
    ) -> Self {
        Self {
            options,
            crew,
            cluster,
            screen,
            steps: Steps::new(screen),
            ledger: Ledger::default(),
            commits: Latency::new(),
            sends: Latency::new(),
            numbers: 0,
            lost_races: 0,
            stale: 0,
            troubles: Arc::default(),
        }
    }

    /// Tells it: members `0..members` make the group, the `CHANGED` after them come later,
    /// and the last `CHANGED` of the first go.
    ///
    /// What keeps members connected is in `tasks`: they stay so after it.
    pub(super) async fn tell(mut self, tasks: &mut JoinSet<()>) -> anyhow::Result<Told> {
        let crew = Arc::clone(self.crew);
        let count = self.options.members;
        let (first, late) = (crew.some(0..count), crew.some(count..count + CHANGED));
        let going = crew.some(count - CHANGED..count);
        let staying = crew.some(0..count - CHANGED);
        let everybody = crew.some(0..count + CHANGED);

        let group = self.make(first).await?;
        let live = every(first, self.options.live);
        crew.go_live(&live, self.cluster, tasks, &self.troubles).await?;
        self.steps.done(format!("{} members connect", live.len()), "");
        self.talk(first, group, "before others come").await?;

        let added = crew.add(admin(first)?, group, late).await?;
        self.count(&added);
        crew.all_join(late, group, self.screen).await?;
        self.steps.done(format!("add {CHANGED} and have them come in"), noted(&added));
        self.talk(everybody, group, "with everybody there").await?;

        let leaves = going.iter().map(|member| member.leaf).collect();
        let removed = crew.commit(admin(first)?, group, Intent::Remove(leaves)).await?;
        self.count(&removed);
        self.steps.done(format!("remove {CHANGED}"), noted(&removed));
        self.settle(everybody, group).await?;

        self.update_in_a_row(staying, group).await?;
        self.settle(everybody, group).await?;
        self.update_at_once(staying, group).await?;
        self.talk(staying, group, "at the end").await?;
        self.settle(everybody, group).await?;

        let mut verdict = self.ledger.judge(everybody, group);
        self.try_in_vain(&mut verdict, admin(first)?, late, going, group).await?;
        let server = crew.api.stands_at(group, &admin(first)?.token).await?;
        if server.0 != verdict.epoch {
            let (members, server) = (verdict.epoch, server.0);
            verdict.wrong.push(format!("members are in epoch {members}, the server in {server}"));
        }
        verdict.wrong.append(&mut self.troubles.lock().unwrap_or_else(PoisonError::into_inner));
        self.steps.done("judge", "");
        let heard = |member: &Arc<Member>| member.device().room(group).map_or(0, |r| r.by_socket);
        Ok(Told {
            heard: live.iter().map(heard).sum(),
            log_reads: live.iter().filter_map(|member| Some(member.live.get()?.log_reads())).sum(),
            steps: self.steps.into_steps(),
            verdict,
            commits: self.commits.percentiles(),
            sends: self.sends.percentiles(),
            lost_races: self.lost_races,
            stale: self.stale,
        })
    }

    async fn make(&mut self, members: &[Arc<Member>]) -> anyhow::Result<GroupId> {
        let (maker, others) = members.split_first().context("a group has a maker")?;
        let group = self.crew.create(maker).await?;
        self.steps.done("create the group", "");
        let batches = others.chunks(self.options.batch);
        let count = batches.len();
        for (number, batch) in (1..).zip(batches) {
            let added = self.crew.add(maker, group, batch).await?;
            self.count(&added);
            let what = format!("add {} members, batch {number} of {count}", batch.len());
            self.steps.done(what, noted(&added));
        }
        self.crew.all_join(others, group, self.screen).await?;
        self.steps.done(format!("{} members come in", others.len()), "");
        self.crew.all_read_log(members, group, self.screen).await?;
        self.steps.done("all read the log to its end", "");
        Ok(group)
    }

    /// Some write at once, some of whom have sockets.
    async fn talk(
        &mut self,
        members: &[Arc<Member>],
        group: GroupId,
        when: &str,
    ) -> anyhow::Result<()> {
        let senders = every(members, self.options.senders);
        let each = self.options.messages_each;
        let numbers = self.numbers..self.numbers + each;
        self.numbers += each;
        let (crew, sends) = (self.crew, &self.sends);
        let said = try_join_all(senders.iter().map(|member| {
            let numbers = numbers.clone();
            async move { say_all(crew, member, group, numbers, sends).await }
        }))
        .await?;
        self.note_said(said);
        self.steps.done(
            format!("{} senders write {each} messages each at once, {when}", senders.len()),
            "",
        );
        Ok(())
    }

    fn note_said(&mut self, said: Vec<Vec<(u64, Text, u32)>>) {
        for (seq, text, stale) in said.into_iter().flatten() {
            self.ledger.accepted(seq, text);
            self.stale += u64::from(stale);
        }
    }

    async fn update_in_a_row(
        &mut self,
        members: &[Arc<Member>],
        group: GroupId,
    ) -> anyhow::Result<()> {
        let committers = every(members, self.options.updates);
        let mut least = usize::MAX;
        for member in &committers {
            self.crew.read_log(member, group).await?;
            let updated = self.crew.commit(member, group, Intent::Update).await?;
            self.count(&updated);
            least = least.min(updated.bytes);
        }
        let note = format!("the smallest commit has {least} bytes");
        self.steps.done(format!("{} self-updates in a row", committers.len()), note);
        Ok(())
    }

    /// Some renew their keys at once, while others write: all get in, one after the other.
    async fn update_at_once(
        &mut self,
        members: &[Arc<Member>],
        group: GroupId,
    ) -> anyhow::Result<()> {
        let count = self.options.updates;
        let chosen = every(members, count * 2);
        let committers: Vec<_> = chosen.iter().step_by(2).collect();
        let writers: Vec<_> = chosen.iter().skip(1).step_by(2).take(self.options.senders).collect();
        let (crew, sends, number) = (self.crew, &self.sends, self.numbers);
        self.numbers += 1;
        let updating =
            try_join_all(committers.iter().map(|m| crew.commit(m, group, Intent::Update)));
        let writing = try_join_all(
            writers.iter().map(|m| say_all(crew, m, group, number..number + 1, sends)),
        );
        let (updated, said) = tokio::try_join!(updating, writing)?;
        self.note_said(said);
        let lost: u64 = updated.iter().map(|updated| u64::from(updated.lost)).sum();
        for updated in &updated {
            self.count(updated);
        }
        let what =
            format!("{} self-updates at once, while {} write", committers.len(), writers.len());
        self.steps.done(what, format!("others were first {lost} times"));
        Ok(())
    }

    /// Waits until those with sockets have heard all, and has the others read the log.
    async fn settle(&mut self, members: &[Arc<Member>], group: GroupId) -> anyhow::Result<()> {
        let (_, head) = self.crew.api.stands_at(group, &admin(members)?.token).await?;
        let is_live = |member: &&Arc<Member>| member.live.get().is_some() && member.is_in(group);
        let live: Vec<_> = members.iter().filter(is_live).cloned().collect();
        let others: Vec<_> = members.iter().filter(|member| !is_live(member)).cloned().collect();
        self.crew.all_read_log(&others, group, self.screen).await?;
        let heard = wait::until(HEARD_WITHIN, "those with sockets to hear all", || async {
            let behind = live
                .iter()
                .filter(|member| {
                    member.is_in(group) && member.cursor(group).is_none_or(|cursor| cursor < head)
                })
                .count();
            if behind == 0 { Ok(()) } else { Err(behind) }
        });
        if let Err(missing) = heard.await {
            let troubles = &self.troubles;
            let mut troubles = troubles.lock().unwrap_or_else(PoisonError::into_inner);
            troubles.push(missing.to_string());
        }
        self.steps.done("all take in what has come", "");
        Ok(())
    }

    fn count(&mut self, committed: &Committed) {
        self.commits.record(committed.took);
        self.lost_races += u64::from(committed.lost);
    }
}

fn admin(members: &[Arc<Member>]) -> anyhow::Result<&Arc<Member>> {
    members.first().context("nobody")
}

/// So many of them, spread evenly.
fn every(members: &[Arc<Member>], count: usize) -> Vec<Arc<Member>> {
    let count = count.clamp(1, members.len().max(1));
    (0..count).filter_map(|turn| members.get(turn * members.len() / count)).cloned().collect()
}

async fn say_all(
    crew: &Crew,
    member: &Arc<Member>,
    group: GroupId,
    numbers: std::ops::Range<u64>,
    sends: &Latency,
) -> anyhow::Result<Vec<(u64, Text, u32)>> {
    let mut said = Vec::new();
    for number in numbers {
        let text = Text { from: member.number, number };
        let (seq, stale) = crew.say(member, group, text, sends).await?;
        said.push((seq, text, stale));
    }
    Ok(said)
}

fn noted(committed: &Committed) -> String {
    format!(
        "the server took {:.0} ms for {} KiB",
        committed.took.as_secs_f64() * 1e3,
        committed.bytes / 1024
    )
}
