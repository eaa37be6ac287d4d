//! What a member does in a group, and how it goes on where it lost a race.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use futures_util::{StreamExt as _, stream};
use prost::bytes::Bytes;
use rand::Rng as _;
use sotto_ids::{ClientMsgId, GroupId};
use sotto_proto::socket::{GroupAck, GroupCursor, GroupEntry, GroupSend};

use super::{
    api::{ApiError, Head, Moved},
    crew::{Crew, Member},
    device::{Commit, Intent, Written},
    line::Answer,
    room::Taken,
    text::Text,
};
use crate::{latency::Latency, screen::Screen};

/// How often a member tries to get a commit in, or a message.
const TRIES: u32 = 400;

/// Members that read a log at once.
const READERS: usize = 8;

/// Milliseconds that a member waits at most before it commits anew, so that not all who lost
/// come again at once.
const JITTER_MS: u64 = 100;

/// The pause before a message is sent again that had no answer.
const AGAIN: Duration = Duration::from_millis(200);

/// What came of a commit that got in.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Where the group stood then.
    pub head: Head,
    /// How long the server took for the try that got in.
    pub took: Duration,
    /// How often another was first.
    pub lost: u32,
    /// Bytes of the commit.
    pub bytes: usize,
}

/// What became of one try.
pub(crate) enum Tried {
    /// It got in.
    Won(Head, Duration),
    /// Another was first.
    Lost(Moved),
}

impl Crew {
    /// Has a member commit, as often as it takes.
    ///
    /// # Errors
    ///
    /// When the server refuses it for good, or others are always first.
    pub(crate) async fn commit(
        &self,
        member: &Arc<Member>,
        group: GroupId,
        intent: Intent,
    ) -> anyhow::Result<Committed> {
        for lost in 0..TRIES {
            let commit = self.make(member, group, intent.clone()).await?;
            match self.offer(member, group, &commit).await? {
                Tried::Won(head, took) => {
                    self.won(member, group, head).await?;
                    return Ok(Committed { head, took, lost, bytes: commit.commit.len() });
                }
                Tried::Lost(moved) => self.catch_up_with(member, group, moved.entries).await?,
            }
            let pause = member.device().rng().random_range(0..JITTER_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        bail!("others were first {TRIES} times")
    }

    /// Has a member make a commit, in the epoch that it is in.
    pub(crate) async fn make(
        &self,
        member: &Arc<Member>,
        group: GroupId,
        intent: Intent,
    ) -> anyhow::Result<Commit> {
        self.work(member, move |device| device.commit(group, &intent)).await?.context("a commit")
    }

    /// Offers a commit to the server once. Nothing is followed yet.
    pub(crate) async fn offer(
        &self,
        member: &Member,
        group: GroupId,
        commit: &Commit,
    ) -> anyhow::Result<Tried> {
        match self.api.commit(group, commit, &member.token).await {
            Ok((head, took)) => Ok(Tried::Won(head, took)),
            Err(error) => Ok(Tried::Lost(error.into_moved().context("a commit was refused")?)),
        }
    }

    /// Has a member go into the epoch that its own commit began.
    pub(crate) async fn won(
        &self,
        member: &Arc<Member>,
        group: GroupId,
        head: Head,
    ) -> anyhow::Result<()> {
        let taken = self.work(member, move |device| device.committed(group, head)).await??;
        if taken == Taken::Gap {
            self.read_log(member, group).await?;
        }
        Ok(())
    }

    /// Takes in what a refusal brought; what it left out is read from the log.
    pub(crate) async fn catch_up_with(
        &self,
        member: &Arc<Member>,
        group: GroupId,
        entries: Vec<GroupEntry>,
    ) -> anyhow::Result<()> {
        let taken = self.work(member, move |device| device.take(group, &entries)).await??;
        if taken == Taken::Gap {
            self.read_log(member, group).await?;
        }
        Ok(())
    }

    /// Has a member read a log to its end, or to the entry with which it went.
    ///
    /// # Errors
    ///
    /// When it cannot follow it.
    pub(crate) async fn read_log(
        &self,
        member: &Arc<Member>,
        group: GroupId,
    ) -> anyhow::Result<u64> {
        loop {
            let before = member.cursor(group).context("it is in no such group")?;
            let page = self.api.log(group, before, &member.token).await?;
            let (head, count) = (page.head_seq, page.entries.len());
            let taken = self
                .work(member, move |device| device.take(group, &page.entries))
                .await?
                .with_context(|| format!("member {}", member.number))?;
            ensure!(taken != Taken::Gap, "the log has a gap");
            let now = member.cursor(group).context("it is in no such group")?;
            if taken == Taken::Out || now >= head || count == 0 {
                return Ok(now);
            }
        }
    }

    /// The same for many, who then acknowledge it.
    pub(crate) async fn all_read_log(
        &self,
        members: &[Arc<Member>],
        group: GroupId,
        screen: &Screen,
    ) -> anyhow::Result<()> {
        self.each(members, screen, "have read the log", async |member| {
            let seq = self.read_log(member, group).await?;
            self.acknowledge(member, group, seq).await
        })
        .await
    }

    /// Has many do the same, some at once, and tells how far they are.
    pub(crate) async fn each(
        &self,
        members: &[Arc<Member>],
        screen: &Screen,
        what: &str,
        act: impl AsyncFn(&Arc<Member>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let act = &act;
        let mut under_way =
            stream::iter(members.iter().map(|member| act(member))).buffer_unordered(READERS);
        let (mut done, step) = (0, (members.len() / 4).max(250));
        while let Some(result) = under_way.next().await {
            result?;
            done += 1;
            if done % step == 0 && done < members.len() {
                screen.line(format_args!("    {done} of {} {what}", members.len()));
            }
        }
        Ok(())
    }

    async fn acknowledge(&self, member: &Member, group: GroupId, seq: u64) -> anyhow::Result<()> {
        if let Some(live) = member.live.get() {
            let group = Bytes::copy_from_slice(group.as_bytes());
            live.line.acknowledge(GroupAck { cursors: vec![GroupCursor { group, seq }] });
        } else {
            self.api.acknowledge(group, seq, &member.token).await?;
        }
        Ok(())
    }

    /// Has members come in by the Welcomes that wait for them.
    pub(crate) async fn all_join(
        &self,
        members: &[Arc<Member>],
        group: GroupId,
        screen: &Screen,
    ) -> anyhow::Result<()> {
        self.each(members, screen, "have come in", async |member| self.join(member, group).await)
            .await
    }

    async fn join(&self, member: &Arc<Member>, group: GroupId) -> anyhow::Result<()> {
        let welcomes = self.api.welcomes(&member.token).await?;
        let welcome = welcomes.into_iter().find(|welcome| welcome.group == group);
        let welcome = Arc::new(welcome.context("no Welcome waits")?);
        let (generation, epoch) = (welcome.generation, welcome.epoch);
        let tree = self.api.tree(group, generation, epoch, &member.token).await?;
        let (metadata, taken) = (Arc::clone(&self.metadata), Arc::clone(&welcome));
        self.work(member, move |device| device.join(&taken, &tree, &metadata))
            .await?
            .with_context(|| format!("member {} joins", member.number))?;
        self.api.forget_welcome(&welcome, &member.token).await?;
        Ok(())
    }

    /// Has a member write a message, and encrypt it anew as often as the group moves on. Its
    /// place in the log.
    pub(crate) async fn say(
        &self,
        member: &Arc<Member>,
        group: GroupId,
        text: Text,
        latency: &Latency,
    ) -> anyhow::Result<(u64, u32)> {
        let (id, started) = (member.new_id(), tokio::time::Instant::now());
        let mut stale = 0;
        for _ in 0..TRIES {
            let written = self.encrypt(member, group, id, text).await?;
            match self.insist(member, group, id, &written).await? {
                Ok(seq) => {
                    latency.record(started.elapsed());
                    return Ok((seq, stale));
                }
                Err(moved) => {
                    stale += 1;
                    self.catch_up_with(member, group, moved.entries).await?;
                }
            }
        }
        bail!("a message did not get in")
    }

    /// Has a member encrypt a message in the epoch that it is in.
    pub(crate) async fn encrypt(
        &self,
        member: &Arc<Member>,
        group: GroupId,
        id: ClientMsgId,
        text: Text,
    ) -> anyhow::Result<Written> {
        self.work(member, move |device| device.write(group, id, text)).await?
    }

    /// Sends what was encrypted once, by the socket where there is one.
    async fn submit(
        &self,
        member: &Member,
        group: GroupId,
        id: ClientMsgId,
        written: &Written,
    ) -> anyhow::Result<Said> {
        let Some(live) = member.live.get() else {
            let sent = self.api.send(group, id, written.at, &written.message, &member.token).await;
            return Ok(match sent.map_err(ApiError::into_moved) {
                Ok(seq) => Said::At(seq),
                Err(moved) => Said::Stale(moved?),
            });
        };
        let (generation, epoch) = written.at;
        let send = GroupSend {
            group: Bytes::copy_from_slice(group.as_bytes()),
            generation,
            epoch,
            client_msg_id: Bytes::copy_from_slice(id.as_bytes()),
            message: Bytes::copy_from_slice(&written.message),
        };
        Ok(match live.line.send(send).await {
            Some(Answer::Accepted(seq)) => Said::At(seq),
            Some(Answer::Stale(moved)) => Said::Stale(moved),
            Some(Answer::Refused(reason, Some(after))) => {
                self.trouble(format!("message put off: {reason}"));
                Said::Later(after)
            }
            Some(Answer::Refused(reason, None)) => bail!("a message was refused: {reason}"),
            None => {
                self.trouble("message without an answer".to_owned());
                Said::Later(AGAIN)
            }
        })
    }

    /// Sends what was encrypted until it is accepted, or the group has moved on.
    pub(crate) async fn insist(
        &self,
        member: &Member,
        group: GroupId,
        id: ClientMsgId,
        written: &Written,
    ) -> anyhow::Result<Result<u64, Moved>> {
        for _ in 0..TRIES {
            match self.submit(member, group, id, written).await? {
                Said::At(seq) => return Ok(Ok(seq)),
                Said::Stale(moved) => return Ok(Err(moved)),
                Said::Later(pause) => tokio::time::sleep(pause).await,
            }
        }
        bail!("a message did not get in")
    }
}

/// What became of a message.
enum Said {
    /// It stands in the log, here.
    At(u64),
    /// The group has moved on.
    Stale(Moved),
    /// It may pass later.
    Later(Duration),
}
