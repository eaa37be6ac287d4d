//! Members that hear of everything as it is published, by their sockets.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use prost::bytes::Bytes;
use sotto_ids::GroupId;
use sotto_proto::socket::{GroupAck, GroupCursor, GroupDeliver, GroupEntry, GroupHeads};
use sotto_testkit::{Cluster, wait};
use tokio::{sync::Notify, task::JoinSet};

use super::{
    crew::{Crew, Member},
    line::{Ear, Line},
    room::Taken,
};

/// How long all sockets may take to open.
const OPEN_WITHIN: Duration = Duration::from_mins(2);

/// Entries that may wait for a member. What is beyond is read from the log.
const WAITING: usize = 10_000;

/// How long a member waits for an entry that others have overtaken, before it asks for the
/// log: two replicas publish without one another.
const OVERTAKEN_FOR: Duration = Duration::from_millis(250);

/// The socket of a member.
#[derive(Debug)]
pub struct Live {
    pub(crate) line: Line,
    inbox: Arc<Inbox>,
}

/// What has come by the socket and is not taken in yet.
#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    is_open: AtomicBool,
    /// How often the log was read, since something did not come by the socket.
    log_reads: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: BTreeMap<(GroupId, u64), GroupEntry>,
    /// Where logs end, as far as is known.
    heads: HashMap<GroupId, u64>,
    /// The groups of a list of all, where one came and was not looked at yet.
    all: Option<HashSet<GroupId>>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, group: GroupId, head: u64) {
        let mut waiting = self.lock();
        let known = waiting.heads.entry(group).or_default();
        *known = (*known).max(head);
    }
}

impl Ear for Inbox {
    fn hello(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    fn deliver(&self, deliver: GroupDeliver) {
        let Ok(group) = GroupId::try_from(&deliver.group[..]) else { return };
        for entry in deliver.entries {
            self.note(group, entry.seq);
            let mut waiting = self.lock();
            if waiting.entries.len() < WAITING {
                waiting.entries.insert((group, entry.seq), entry);
            }
        }
        self.news.notify_one();
    }

    fn heads(&self, heads: GroupHeads) {
        let mut named = HashSet::new();
        for head in heads.heads {
            if let Ok(group) = GroupId::try_from(&head.group[..]) {
                self.note(group, head.seq);
                named.insert(group);
            }
        }
        if heads.complete {
            self.lock().all = Some(named);
        }
        self.news.notify_one();
    }
}

impl Crew {
    /// Connects members, and has them follow their groups by what they hear, until the tasks
    /// end.
    ///
    /// # Errors
    ///
    /// When some sockets do not open.
    pub(crate) async fn go_live(
        self: &Arc<Self>,
        members: &[Arc<Member>],
        cluster: &Cluster,
        tasks: &mut JoinSet<()>,
        troubles: &Arc<Mutex<Vec<String>>>,
    ) -> anyhow::Result<()> {
        let urls = cluster.socket_urls();
        for (turn, member) in members.iter().enumerate() {
            let url = urls.get(turn % urls.len().max(1)).map_or("", String::as_str).parse()?;
            let inbox = Arc::new(Inbox::default());
            let line = Line::open(url, member.token.clone(), Arc::clone(&inbox), tasks);
            if member.live.set(Live { line, inbox }).is_err() {
                anyhow::bail!("a member has a socket already");
            }
            let (crew, member) = (Arc::clone(self), Arc::clone(member));
            let troubles = Arc::clone(troubles);
            tasks.spawn(async move {
                if let Err(error) = crew.follow(&member).await {
                    let said = format!("member {} cannot follow: {error:#}", member.number);
                    troubles.lock().unwrap_or_else(PoisonError::into_inner).push(said);
                }
            });
        }
        wait::until(OPEN_WITHIN, "all sockets to be open", || async {
            let open = |member: &&Arc<Member>| {
                member.live.get().is_some_and(|live| live.inbox.is_open.load(Ordering::Relaxed))
            };
            let count = members.iter().filter(open).count();
            if count == members.len() { Ok(()) } else { Err(count) }
        })
        .await?;
        Ok(())
    }

    /// Follows the groups of a member for as long as it has a socket.
    async fn follow(&self, member: &Arc<Member>) -> anyhow::Result<()> {
        let Some(Live { line, inbox }) = member.live.get() else { return Ok(()) };
        loop {
            inbox.news.notified().await;
            self.look_for_lost(member, inbox).await?;
            let groups: Vec<_> = inbox.lock().heads.keys().copied().collect();
            for group in groups {
                let before = member.cursor(group);
                self.take_what_came(member, group, inbox).await?;
                let now = member.cursor(group);
                if let Some(seq) = now.filter(|_| now != before) {
                    let group = Bytes::copy_from_slice(group.as_bytes());
                    line.acknowledge(GroupAck { cursors: vec![GroupCursor { group, seq }] });
                }
            }
        }
    }

    /// Reads the logs of groups that are no longer among all groups of the member: the entry
    /// with which it went is their last.
    async fn look_for_lost(&self, member: &Arc<Member>, inbox: &Inbox) -> anyhow::Result<()> {
        let Some(all) = inbox.lock().all.take() else { return Ok(()) };
        let here = member.device().groups();
        for group in here.into_iter().filter(|group| !all.contains(group)) {
            if member.is_in(group) {
                self.read_log(member, group).await?;
            }
        }
        Ok(())
    }

    async fn take_what_came(
        &self,
        member: &Arc<Member>,
        group: GroupId,
        inbox: &Arc<Inbox>,
    ) -> anyhow::Result<()> {
        if !member.is_in(group) {
            // It comes in by its Welcome when the story says so, or it went.
            inbox.lock().heads.remove(&group);
            return Ok(());
        }
        let mut has_waited = false;
        loop {
            let source = Arc::clone(inbox);
            let taken = self.work(member, move |device| take_entries(device, group, &source));
            if taken.await?? == Taken::Out {
                return Ok(());
            }
            let head = inbox.lock().heads.get(&group).copied().unwrap_or_default();
            if member.cursor(group).is_none_or(|cursor| cursor >= head) {
                return Ok(());
            }
            if has_waited {
                inbox.log_reads.fetch_add(1, Ordering::Relaxed);
                self.read_log(member, group).await?;
                has_waited = false;
            } else {
                tokio::time::sleep(OVERTAKEN_FOR).await;
                has_waited = true;
            }
        }
    }
}

/// Takes in those entries that follow one another from where the device is.
fn take_entries(
    device: &mut super::device::Device,
    group: GroupId,
    inbox: &Inbox,
) -> anyhow::Result<Taken> {
    let cursor = device.room(group).map_or(0, super::room::Room::cursor);
    let mut next = Vec::new();
    {
        let mut waiting = inbox.lock();
        let others: Vec<_> =
            waiting.entries.range((group, 0)..=(group, cursor)).map(|(at, _)| *at).collect();
        for at in others {
            waiting.entries.remove(&at);
        }
        while let Some(entry) = waiting.entries.remove(&(group, cursor + 1 + next.len() as u64)) {
            next.push(entry);
        }
    }
    let taken = device.take(group, &next)?;
    device.count_heard(group, next.len() as u64);
    Ok(taken)
}

impl Live {
    /// How often the log was read, since something did not come by the socket.
    pub fn log_reads(&self) -> u64 {
        self.inbox.log_reads.load(Ordering::Relaxed)
    }
}
