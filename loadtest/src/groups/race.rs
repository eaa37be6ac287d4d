//! All members of a group commit at once, again and again (I-4).

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::{join_all, try_join_all};
use serde::Serialize;
use sotto_ids::GroupId;
use sotto_proto::socket::GroupEntryKind;

use super::{
    crew::{Crew, Member},
    device::{Commit, Diverged, Intent},
    doing::Tried,
    ledger::{Ledger, Verdict},
    text::Text,
};
use crate::{
    latency::{Latency, Percentiles},
    screen::Screen,
};

/// What the races have shown.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Races {
    /// Members that committed at once.
    pub members: usize,
    /// Epochs for which they did.
    pub epochs: u32,
    /// Commits that were offered.
    pub offered: u64,
    /// Commits that got in: one an epoch.
    pub won: u64,
    /// Refusals that brought the commit that was first.
    pub brought: u64,
    /// Messages of an epoch that was over, each refused with what its sender lacked, and
    /// accepted when they had been encrypted again.
    pub stale: u64,
    /// How long the server took for an answer, whichever, all at once.
    pub answers: Percentiles,
    /// What members have seen in the end.
    pub verdict: Verdict,
}

impl Crew {
    /// Has all members of a new group renew their keys at once for some epochs, and a
    /// message of each epoch come too late.
    ///
    /// # Errors
    ///
    /// When the system does not do what it is asked; what it does wrong is in the result.
    pub(super) async fn race(
        &self,
        members: &[Arc<Member>],
        epochs: u32,
        screen: &Screen,
    ) -> anyhow::Result<Races> {
        let (group, _) = self.build(members).await?;
        self.all_join(members.get(1..).unwrap_or_default(), group, screen).await?;
        let mut races = Races { members: members.len(), epochs, ..Races::default() };
        let (mut ledger, answers, mut wrong) = (Ledger::default(), Latency::new(), Vec::new());
        for epoch in 1..=epochs {
            let writer = members.get(epoch as usize % members.len()).context("nobody")?;
            let text = Text { from: writer.number, number: epoch.into() };
            let id = writer.new_id();
            let late = self.encrypt(writer, group, id, text).await?;

            let mut found = Vec::new();
            let raced = self.one_race(members, group, &answers, &mut races, &mut found).await;
            wrong.extend(found.into_iter().map(|what| format!("race {epoch}: {what}")));
            match raced {
                // There is nothing to go on with.
                Err(error) if error.is::<Diverged>() => {
                    wrong.push(format!("race {epoch}: {error:#}"));
                    break;
                }
                raced => raced?,
            }

            match self.insist(writer, group, id, &late).await? {
                Err(moved)
                    if moved.entries.iter().any(|entry| entry.kind() == GroupEntryKind::Commit) =>
                {
                    races.stale += 1;
                }
                _ => wrong.push(format!("race {epoch}: a message of an epoch that is over passed")),
            }
            let again = self.encrypt(writer, group, id, text).await?;
            match self.insist(writer, group, id, &again).await? {
                Ok(seq) => ledger.accepted(seq, text),
                Err(_) => wrong.push(format!("race {epoch}: the message did not get in again")),
            }
            // So that nobody is late for the next.
            try_join_all(members.iter().map(|member| self.read_log(member, group))).await?;
            if epoch % 5 == 0 {
                screen.line(format_args!("    {epoch} of {epochs} races"));
            }
        }
        races.answers = answers.percentiles();
        races.verdict = ledger.judge(members, group);
        races.verdict.wrong.extend(wrong);
        Ok(races)
    }

    /// One race. What was not as it should be is added to `wrong`.
    async fn one_race(
        &self,
        members: &[Arc<Member>],
        group: GroupId,
        answers: &Latency,
        races: &mut Races,
        wrong: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let makes = members.iter().map(|member| self.make(member, group, Intent::Update));
        let commits: Vec<Commit> = try_join_all(makes).await?;
        let offers = members.iter().zip(&commits).map(async |(member, commit)| {
            let started = tokio::time::Instant::now();
            let tried = self.offer(member, group, commit).await;
            answers.record(started.elapsed());
            tried
        });
        let tried: Vec<Tried> = join_all(offers).await.into_iter().collect::<Result<_, _>>()?;
        races.offered += tried.len() as u64;

        let won: Vec<usize> = (0..)
            .zip(&tried)
            .filter(|(_, tried)| matches!(tried, Tried::Won(..)))
            .map(|(place, _)| place)
            .collect();
        races.won += won.len() as u64;
        if won.len() != 1 {
            wrong.push(format!("{} commits got in", won.len()));
        }
        let winner = won.first().and_then(|place| commits.get(*place));
        let mut without = 0;
        for (member, tried) in members.iter().zip(tried) {
            let moved = match tried {
                Tried::Won(head, _) => {
                    self.won(member, group, head).await?;
                    continue;
                }
                Tried::Lost(moved) => moved,
            };
            let first = moved.entries.iter().find(|entry| entry.kind() == GroupEntryKind::Commit);
            let is_brought = moved.reason == "epoch_taken"
                && first.zip(winner).is_some_and(|(entry, won)| entry.message == won.commit);
            if is_brought {
                races.brought += 1;
            } else {
                without += 1;
            }
            self.catch_up_with(member, group, moved.entries).await?;
        }
        if without > 0 {
            wrong.push(format!("{without} refusals did not bring the commit that was first"));
        }
        Ok(())
    }
}
