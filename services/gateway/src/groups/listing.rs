//! Which groups a device is in: asked when it has entered, when somebody says that it has
//! changed, and now and then.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use bytes::Bytes;
use sotto_ids::{ConnectionId, DeviceAddress, GroupId};
use sotto_proto::{
    groups::{DeviceRef, ListGroups, uplink::Item},
    socket::GroupHead,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{Groups, Member};
use crate::{metrics, session::io::Event};

/// The sockets whose groups are to be asked for, each once.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) queue: Mutex<VecDeque<ConnectionId>>,
    arrived: Notify,
    /// How many may be asked for at once.
    room: Semaphore,
}

/// How far one socket is with that.
#[derive(Debug)]
pub(super) struct List {
    state: State,
    /// It has changed since it was asked for.
    again: bool,
    /// Whether the device is told of the next that is asked for, and of the one that was.
    next: Tell,
    asked: Tell,
    /// When it is asked for without a reason.
    due: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Queued,
    Asked,
}

/// Whether a device is told the groups that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tell {
    /// Where they are others than before.
    IfChanged,
    /// Where there are any.
    IfAny,
    /// In any case.
    Always,
}

impl List {
    pub(super) const fn new(due: Instant) -> Self {
        let (next, asked) = (Tell::IfChanged, Tell::IfChanged);
        Self { state: State::Idle, again: false, next, asked, due }
    }
}

impl Listing {
    pub(super) fn new(at_once: usize) -> Self {
        let room = Semaphore::new(at_once);
        Self { queue: Mutex::default(), arrived: Notify::new(), room }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ConnectionId>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Groups {
    /// The device was added to a group, or removed from one.
    pub(crate) fn changed(&self, connection: ConnectionId) {
        self.list(connection, Tell::Always);
    }

    /// That may have been said while nobody listened: all are asked for.
    pub(crate) fn list_all(&self) {
        for mut member in self.members.iter_mut() {
            member.list.due = Instant::now();
        }
    }

    /// Asks for the groups of a device, once there is room.
    pub(super) fn list(&self, connection: ConnectionId, tell: Tell) {
        if let Some(mut member) = self.members.get_mut(&connection) {
            self.enlist(&mut member, tell);
        }
    }

    fn enlist(&self, member: &mut Member, tell: Tell) {
        let list = &mut member.list;
        list.next = list.next.max(tell);
        match list.state {
            State::Idle => {
                list.state = State::Queued;
                self.listing.lock().push_back(member.handle.connection);
                self.listing.arrived.notify_one();
            }
            State::Queued => {}
            State::Asked => list.again = true,
        }
    }

    /// A replica was attached, which can be asked.
    pub(super) fn can_list(&self) {
        self.listing.arrived.notify_one();
    }

    /// Asks for the groups of those who wait for it, so many at once.
    pub(super) async fn ask_for_lists(&self) {
        loop {
            self.listing.arrived.notified().await;
            loop {
                let Ok(room) = self.listing.room.acquire().await else { return };
                let Some(connection) = self.listing.lock().pop_front() else { break };
                let Some(device) = self.members.get(&connection).map(|member| member.device) else {
                    continue;
                };
                let Some(link) = self.links.route(device) else {
                    // Whoever attaches a replica says so.
                    self.listing.lock().push_front(connection);
                    break;
                };
                // Given back with the answer, or with the loss of the link.
                room.forget();
                self.is_asked(connection);
                let item = ListGroups { connection: connection.0, device: Some(reference(device)) };
                if link.send(Box::new(Item::ListGroups(item))).await.is_err() {
                    self.unlisted(connection);
                }
            }
        }
    }

    pub(super) fn is_asked(&self, connection: ConnectionId) {
        if let Some(mut member) = self.members.get_mut(&connection) {
            let list = &mut member.list;
            (list.state, list.again) = (State::Asked, false);
            (list.asked, list.next) = (list.next, Tell::IfChanged);
        }
    }

    /// The groups of a device could not be read.
    pub(super) fn unlisted(&self, connection: ConnectionId) {
        self.listing.room.add_permits(1);
        metrics::group_list("failed");
        if let Some(mut member) = self.members.get_mut(&connection) {
            let list = &mut member.list;
            list.state = State::Idle;
            list.next = list.next.max(list.asked);
            list.due = Instant::now() + self.config.list_retry;
        }
    }

    /// The groups of a device.
    pub(super) fn listed(&self, connection: ConnectionId, mut heads: Vec<GroupHead>) {
        self.listing.room.add_permits(1);
        metrics::group_list("listed");
        let Some(mut member) = self.members.get_mut(&connection) else {
            return;
        };
        let changed = self.update(&mut member, &mut heads);
        let tells = match member.list.asked {
            Tell::Always => true,
            Tell::IfAny => changed || !heads.is_empty(),
            Tell::IfChanged => changed,
        };
        if tells {
            member.handle.mailbox.post(Event::GroupHeads { heads, complete: true });
        }
        let again = std::mem::take(&mut member.list.again);
        member.list.state = State::Idle;
        member.list.due = self.next_list(connection, Instant::now());
        if again {
            self.enlist(&mut member, Tell::IfChanged);
        }
    }

    /// Subscribes a socket to these groups and to no others. What has been published since
    /// the heads were read is put into them. Says whether the groups are others than before.
    fn update(&self, member: &mut Member, heads: &mut [GroupHead]) -> bool {
        let connection = member.handle.connection;
        let mut before = std::mem::take(&mut member.groups);
        let mut changed = false;
        for head in heads {
            let Ok(id) = GroupId::try_from(head.group.as_ref()) else {
                tracing::error!("a replica names a group without a proper id");
                continue;
            };
            let (group, end) = match before.remove(&id) {
                Some(group) => {
                    let end = group.head().seq;
                    (group, end)
                }
                None if member.groups.contains_key(&id) => continue,
                None => {
                    changed = true;
                    let taken = self.subscriptions.load(Ordering::Relaxed);
                    let full = member.groups.len() + before.len() >= self.config.max_groups
                        || taken >= self.config.max_subscriptions;
                    if full {
                        metrics::group_left_out();
                        continue;
                    }
                    self.subscribe(&member.handle, id, head)
                }
            };
            if group.learn(head, Instant::now()) {
                self.doubt(id);
            }
            head.seq = head.seq.max(end);
            member.groups.insert(id, group);
        }
        for group in before.values() {
            changed = true;
            self.unsubscribe(connection, group);
        }
        changed
    }

    /// When the groups of a socket are asked for without a reason: each at another time.
    pub(super) fn next_list(&self, connection: ConnectionId, now: Instant) -> Instant {
        let share = u32::try_from(connection.0 >> 32).unwrap_or(u32::MAX);
        let share = f64::from(share) / f64::from(u32::MAX);
        now + self.config.list_every.mul_f64(1.0 + share / 4.0)
    }

    /// Asks for the groups of those whose time has come.
    pub(super) fn list_due(&self, now: Instant) {
        for mut member in self.members.iter_mut() {
            if member.list.due <= now && member.list.state == State::Idle {
                self.enlist(&mut member, Tell::IfChanged);
            }
        }
    }
}

pub(super) fn reference(device: DeviceAddress) -> DeviceRef {
    DeviceRef {
        account: Bytes::copy_from_slice(device.account.as_bytes()),
        device: device.device.into(),
    }
}
