//! What goes on in groups while there is a connection.

mod answers;
mod looks;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use sotto_ids::{GroupId, limits::MAX_GROUP_CURSORS};
use sotto_proto::socket::{
    ClientFrame, GroupAck, GroupCursor, GroupDeliver, GroupEntry, GroupHeads, ServerFrame,
    client_frame, server_frame::Body,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use self::looks::{catch_up, chain_moved, look_at_all, take_known};
use super::{
    commit::{Intent, carry_out},
    follow_up,
    log::{self, Pushed},
    outbox,
};
use crate::{ClientError, Event, backoff::Backoff, client::Inner};

/// The first number of a frame of ours. Those of the outbox and of tokens never get so far.
const FIRST_FRAME: u64 = 1 << 40;

/// Entries of one group that wait to be taken in. What is beyond is read from the log.
const LANE: usize = 1_024;

/// How long an entry may be missing before the log is asked for it.
const GAP: Duration = Duration::from_millis(250);

/// Whether a frame answers one of a group.
pub(crate) fn is_group_frame(in_reply_to: u64) -> bool {
    in_reply_to >= FIRST_FRAME
}

/// What the server says about groups.
pub(crate) enum FromServer {
    Deliver(GroupDeliver),
    Heads(GroupHeads),
    /// To a frame of ours.
    Answer(ServerFrame),
}

/// What a piece of work came to.
enum Done {
    /// Entries of a group were taken in.
    Log(GroupId, Result<Pushed, ClientError>),
    /// What the server said of several groups was looked into.
    Met(Vec<(GroupId, u32, u64)>, bool, Result<(), ClientError>),
    /// A group was seen to.
    Seen(GroupId, Result<(), ClientError>),
    /// Something can be sent to a group again.
    Free(GroupId),
}

/// Entries of a group that came by themselves.
#[derive(Default)]
struct Lane {
    waiting: Vec<GroupEntry>,
    busy: bool,
    /// Some were left out.
    behind: bool,
}

struct Worker<'c> {
    inner: Arc<Inner>,
    frames: &'c mpsc::Sender<ClientFrame>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    lanes: HashMap<GroupId, Lane>,
    /// Sends without an answer: the row of each.
    in_flight: HashMap<u64, (u64, GroupId)>,
    /// Groups that nothing is sent to at present.
    halted: HashSet<GroupId>,
    seeing: HashSet<GroupId>,
    /// They changed while they were seen to.
    again: HashSet<GroupId>,
    acks: BTreeMap<GroupId, u64>,
    next_frame: u64,
    backoff: Backoff,
}

/// Takes in what comes, sends what waits, and sees to the groups, until the connection ends.
pub(crate) async fn run(
    inner: &Arc<Inner>,
    frames: &mpsc::Sender<ClientFrame>,
    mut incoming: mpsc::Receiver<FromServer>,
) {
    let tuning = &inner.config.tuning;
    let mut worker = Worker {
        inner: Arc::clone(inner),
        frames,
        running: FuturesUnordered::new(),
        lanes: HashMap::new(),
        in_flight: HashMap::new(),
        halted: HashSet::new(),
        seeing: HashSet::new(),
        again: HashSet::new(),
        acks: BTreeMap::new(),
        next_frame: FIRST_FRAME,
        backoff: Backoff::new(tuning.retry_min, tuning.retry_max),
    };
    look_at_all(inner).await;
    let mut outbox = inner.outbox.clone();
    outbox.mark_changed();
    let mut events = inner.subscribe();
    let mut ack_at: Option<Instant> = None;
    loop {
        let acking = async {
            match ack_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            said = incoming.recv() => match said {
                Some(said) => worker.hear(said).await,
                None => return,
            },
            Some(done) = worker.running.next() => worker.conclude(done).await,
            () = inner.groups.wake.notified() => {
                worker.look_at_touched();
                if !worker.acks.is_empty() {
                    ack_at.get_or_insert_with(|| Instant::now() + tuning.ack_delay);
                }
            }
            changed = outbox.changed() => match changed {
                Ok(()) => worker.send_next().await,
                Err(_) => return,
            },
            event = events.recv() => match event {
                Ok(Event::ChainMoved { account }) => chain_moved(inner, account).await,
                Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            },
            () = acking => {
                ack_at = None;
                worker.acknowledge().await;
            }
        }
    }
}

impl Worker<'_> {
    fn look_at_touched(&mut self) {
        for (group, touched) in self.inner.groups.take_touched() {
            self.acks.insert(group, touched.cursor);
            if touched.changed {
                self.see_to(group);
            }
        }
    }

    fn see_to(&mut self, group: GroupId) {
        if !self.seeing.insert(group) {
            self.again.insert(group);
            return;
        }
        let inner = Arc::clone(&self.inner);
        self.running.push(Box::pin(async move {
            Done::Seen(group, follow_up::see_to(&inner, group).await)
        }));
    }

    async fn hear(&mut self, said: FromServer) {
        match said {
            FromServer::Deliver(deliver) => {
                let Ok(group) = GroupId::try_from(deliver.group.as_ref()) else {
                    tracing::warn!("entries came without a group");
                    return;
                };
                let lane = self.lanes.entry(group).or_default();
                if lane.waiting.len() + deliver.entries.len() > LANE {
                    lane.behind = true;
                } else {
                    lane.waiting.extend(deliver.entries);
                }
                self.read_on(group);
            }
            FromServer::Heads(heads) => {
                let named = heads.heads.iter().filter_map(|head| {
                    let group = GroupId::try_from(head.group.as_ref()).ok()?;
                    Some((group, head.generation, head.seq))
                });
                self.meet(named.collect(), heads.complete, Duration::ZERO);
            }
            FromServer::Answer(frame) => self.answered(frame).await,
        }
    }

    fn meet(&self, heads: Vec<(GroupId, u32, u64)>, complete: bool, after: Duration) {
        let inner = Arc::clone(&self.inner);
        self.running.push(Box::pin(async move {
            sleep(after).await;
            let met = log::meet(&inner, heads.clone(), complete).await;
            Done::Met(heads, complete, met)
        }));
    }

    /// Takes in what waits of a group, one batch at a time.
    fn read_on(&mut self, group: GroupId) {
        let Some(lane) = self.lanes.get_mut(&group).filter(|lane| !lane.busy) else {
            return;
        };
        let inner = Arc::clone(&self.inner);
        if !lane.waiting.is_empty() {
            lane.busy = true;
            let entries = std::mem::take(&mut lane.waiting);
            self.running.push(Box::pin(async move {
                Done::Log(group, take_known(&inner, group, entries).await)
            }));
        } else if lane.behind {
            lane.busy = true;
            lane.behind = false;
            self.running.push(catch_up(inner, group, Duration::ZERO));
        } else {
            self.lanes.remove(&group);
        }
    }

    async fn conclude(&mut self, done: Done) {
        match done {
            Done::Log(group, Ok(Pushed::Gap)) => {
                // What is missing may be on its way.
                self.running.push(catch_up(Arc::clone(&self.inner), group, GAP));
            }
            Done::Log(group, read) => {
                if let Some(lane) = self.lanes.get_mut(&group) {
                    lane.busy = false;
                }
                match read {
                    Ok(_) => {
                        self.backoff.reset();
                        self.send_next().await;
                    }
                    Err(error) => {
                        tracing::warn!(reason = error.reason(), "a log could not be taken in");
                        if error.is_temporary() {
                            let pause = self.pause(&error);
                            let lane = self.lanes.entry(group).or_default();
                            lane.busy = true;
                            self.running.push(catch_up(Arc::clone(&self.inner), group, pause));
                            return;
                        }
                    }
                }
                self.read_on(group);
            }
            Done::Met(heads, complete, met) => {
                if let Err(error) = met {
                    tracing::warn!(reason = error.reason(), "groups could not be looked into");
                    if error.is_temporary() {
                        let pause = self.pause(&error);
                        self.meet(heads, complete, pause);
                    }
                }
                // What waited for a group may go out now.
                self.send_next().await;
            }
            Done::Seen(group, seen) => {
                self.seeing.remove(&group);
                if let Err(error) = seen {
                    tracing::info!(reason = error.reason(), "a group could not be seen to");
                }
                if self.again.remove(&group) {
                    self.see_to(group);
                }
                self.send_next().await;
            }
            Done::Free(group) => {
                self.halted.remove(&group);
                self.send_next().await;
            }
        }
    }

    fn pause(&mut self, error: &ClientError) -> Duration {
        let believed = self.inner.config.tuning.believed(error.retry_after());
        self.backoff.pause(&mut self.inner.rng()).max(believed)
    }

    /// Sends what comes first in each group.
    async fn send_next(&mut self) {
        if *self.inner.outbox.borrow() == 0 {
            return;
        }
        let window = self.inner.config.tuning.send_window;
        let room = window.saturating_sub(self.in_flight.len());
        if room == 0 {
            return;
        }
        let busy = self.halted.clone();
        let now_ms = self.inner.server_clock.server_now_ms();
        let next = self.inner.vault.run(move |tx| outbox::next(tx, &busy, room, now_ms)).await;
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(reason = error.reason(), "the outbox of groups failed");
                return;
            }
        };
        for (row, group, send) in next.sends {
            let id = self.next_frame;
            self.next_frame += 1;
            self.in_flight.insert(id, (row, group));
            self.halted.insert(group);
            let frame = ClientFrame { id, body: Some(client_frame::Body::GroupSend(send)) };
            // Where the connection is gone, all this ends too.
            drop(self.frames.send(frame).await);
        }
        for group in next.blocked {
            self.halted.insert(group);
            let inner = Arc::clone(&self.inner);
            self.running.push(Box::pin(async move {
                match carry_out(&inner, group, Intent::Proposals).await {
                    Ok(true) => {}
                    // Somebody else has to: it is this device that is proposed to be removed.
                    Ok(false) => sleep(inner.config.tuning.retry_min).await,
                    Err(error) => {
                        tracing::info!(reason = error.reason(), "proposals could not be committed");
                        sleep(inner.config.tuning.retry_max).await;
                    }
                }
                Done::Free(group)
            }));
        }
    }

    async fn answered(&mut self, frame: ServerFrame) {
        let Some((row, group)) = self.in_flight.remove(&frame.in_reply_to) else {
            return;
        };
        let inner = Arc::clone(&self.inner);
        match frame.body {
            Some(Body::GroupAccepted(accepted)) => {
                let (seq, at_ms) = (accepted.seq, accepted.server_time_ms);
                let stored = inner.vault.run(move |tx| outbox::answered(tx, row, seq, at_ms)).await;
                if let Err(error) = stored {
                    tracing::error!(reason = error.reason(), "an answer was not stored");
                }
                self.halted.remove(&group);
                self.send_next().await;
            }
            Some(Body::GroupStale(stale)) => {
                self.running.push(Box::pin(async move {
                    answers::stale_send(&inner, group, row, stale).await;
                    Done::Free(group)
                }));
            }
            Some(Body::Error(error)) => {
                self.running.push(Box::pin(async move {
                    answers::refused_send(&inner, group, row, &error).await;
                    Done::Free(group)
                }));
            }
            _ => {}
        }
    }

    async fn acknowledge(&mut self) {
        let acks: Vec<_> = std::mem::take(&mut self.acks).into_iter().collect();
        for some in acks.chunks(MAX_GROUP_CURSORS) {
            let cursors = some.iter().map(|(group, seq)| GroupCursor {
                group: group.as_bytes().to_vec().into(),
                seq: *seq,
            });
            let ack = GroupAck { cursors: cursors.collect() };
            let frame = ClientFrame { id: 0, body: Some(client_frame::Body::GroupAck(ack)) };
            drop(self.frames.send(frame).await);
        }
    }
}
