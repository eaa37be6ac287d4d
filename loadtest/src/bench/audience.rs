//! Members of groups that only listen, and write what was encrypted before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use prost::bytes::Bytes;
use sotto_ids::{ClientMsgId, GroupId};
use sotto_proto::socket::{GroupDeliver, GroupHeads, GroupSend};
use sotto_testkit::{Cluster, wait};
use tokio::task::JoinSet;

use crate::{
    groups::{
        Crew, Member, Text,
        line::{Answer, Ear, Line},
    },
    latency::Latency,
    light::pool::now_ms,
};

/// How long all sockets may take to be open and to know their groups.
const CONNECTED_WITHIN: Duration = Duration::from_mins(2);

/// How long everything may take to be heard after a measurement.
const HEARD_WITHIN: Duration = Duration::from_mins(1);

/// Messages that are encrypted before anything is measured. Each is sent again and again,
/// under new ids: nobody opens them here, and the server cannot.
const STOCK: u64 = 64;

/// The pause before a message is sent again that was put off.
const AGAIN: Duration = Duration::from_millis(100);

/// Sockets of members of groups. They end with the handle.
pub(super) struct Audience {
    lines: Vec<Line>,
    pub(super) heard: Arc<Heard>,
    _tasks: JoinSet<()>,
}

/// What all of them have heard.
#[derive(Debug)]
pub(super) struct Heard {
    open: AtomicUsize,
    told: AtomicUsize,
    deliveries: AtomicU64,
    frames: AtomicU64,
    hints: AtomicU64,
    /// From when the id of a message was made to when it was there, to the millisecond.
    pub(super) latency: Latency,
}

impl Ear for Heard {
    fn hello(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn deliver(&self, deliver: GroupDeliver) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.deliveries.fetch_add(deliver.entries.len() as u64, Ordering::Relaxed);
        let now = now_ms();
        for entry in &deliver.entries {
            // The first six bytes of a UUIDv7 are the milliseconds.
            if let Some((ms, _)) = entry.client_msg_id.split_first_chunk::<6>() {
                let made = ms.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
                self.latency.record(Duration::from_millis(now.saturating_sub(made)));
            }
        }
    }

    fn heads(&self, heads: GroupHeads) {
        let counter = if heads.complete { &self.told } else { return self.hint() };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Heard {
    fn hint(&self) {
        self.hints.fetch_add(1, Ordering::Relaxed);
    }

    /// Entries that were delivered, each counted at each socket.
    pub(super) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Frames that they came in.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Times that a socket was told to read a log instead.
    pub(super) fn hints(&self) -> u64 {
        self.hints.load(Ordering::Relaxed)
    }
}

impl Audience {
    /// Connects members, and waits until their gateways know their groups. Each has one.
    pub(super) async fn connect(
        members: &[Arc<Member>],
        cluster: &Cluster,
    ) -> anyhow::Result<Self> {
        let heard = Arc::new(Heard {
            open: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
            deliveries: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            hints: AtomicU64::new(0),
            latency: Latency::new(),
        });
        let (mut lines, mut tasks) = (Vec::with_capacity(members.len()), JoinSet::new());
        let urls = cluster.socket_urls();
        for (turn, member) in members.iter().enumerate() {
            let url = urls.get(turn % urls.len().max(1)).map_or("", String::as_str).parse()?;
            lines.push(Line::open(url, member.token.clone(), Arc::clone(&heard), &mut tasks));
        }
        let wanted = lines.len();
        wait::until(CONNECTED_WITHIN, "all members to know their groups", || async {
            let open = heard.open.load(Ordering::Relaxed);
            let told = heard.told.load(Ordering::Relaxed);
            if open >= wanted && told >= wanted { Ok(()) } else { Err((open, told)) }
        })
        .await?;
        Ok(Self { lines, heard, _tasks: tasks })
    }

    /// Has a member send a message, again where that was put off. When it was accepted, if it
    /// was.
    pub(super) async fn send(
        &self,
        place: usize,
        what: &Stock,
        id: ClientMsgId,
        turn: u64,
    ) -> bool {
        let Some(line) = self.lines.get(place % self.lines.len().max(1)) else { return false };
        let send = what.send(id, turn);
        loop {
            match line.send(send.clone()).await {
                Some(Answer::Accepted(_)) => return true,
                Some(Answer::Refused(_, Some(after))) => tokio::time::sleep(after).await,
                None => tokio::time::sleep(AGAIN).await,
                Some(_) => return false,
            }
        }
    }

    /// Waits until so many have been delivered in all. How many have.
    pub(super) async fn all_heard(&self, wanted: u64) -> u64 {
        let heard = wait::until(HEARD_WITHIN, "everything to be heard", || async {
            let now = self.heard.deliveries();
            if now >= wanted { Ok(()) } else { Err(now) }
        });
        // How many are missing stands in the figures.
        heard.await.ok();
        self.heard.deliveries()
    }
}

/// Messages of one group, encrypted before they are sent.
#[derive(Debug)]
pub(super) struct Stock {
    group: GroupId,
    at: (u32, u64),
    messages: Vec<Bytes>,
}

impl Stock {
    /// Has a member of a group encrypt them.
    pub(super) async fn of(
        crew: &Crew,
        member: &Arc<Member>,
        group: GroupId,
        count: u64,
    ) -> anyhow::Result<Self> {
        let (mut messages, mut at) = (Vec::new(), (0, 0));
        for number in 0..count.min(STOCK) {
            let text = Text { from: member.number, number };
            let written = crew.encrypt(member, group, member.new_id(), text).await?;
            at = written.at;
            messages.push(written.message.into());
        }
        Ok(Self { group, at, messages })
    }

    /// Bytes of each.
    pub(super) fn length(&self) -> usize {
        self.messages.first().map_or(0, Bytes::len)
    }

    fn send(&self, id: ClientMsgId, turn: u64) -> GroupSend {
        let place = usize::try_from(turn).unwrap_or_default() % self.messages.len().max(1);
        GroupSend {
            group: Bytes::copy_from_slice(self.group.as_bytes()),
            generation: self.at.0,
            epoch: self.at.1,
            client_msg_id: Bytes::copy_from_slice(id.as_bytes()),
            message: self.messages.get(place).cloned().unwrap_or_default(),
        }
    }
}
