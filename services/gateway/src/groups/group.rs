//! A group that sockets of this process are in.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use sotto_ids::{ConnectionId, GroupId};
use sotto_proto::{groups::Publication, socket::GroupHead};
use tokio::time::Instant;

use super::{broadcast::Broadcast, order::Order};
use crate::{metrics, registry::Handle, session::io::Event};

/// See the module.
pub(crate) struct Group {
    id: GroupId,
    inner: Mutex<Inner>,
}

struct Inner {
    sockets: HashMap<ConnectionId, Arc<Handle>>,
    /// As they were last read.
    generation: u32,
    epoch: u64,
    order: Order,
    /// Since when nobody is in it.
    empty_since: Option<Instant>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group(..)")
    }
}

impl Group {
    /// One that nobody is in yet, as somebody was told about it.
    pub(super) fn new(id: GroupId, head: &GroupHead) -> Self {
        let &GroupHead { generation, epoch, seq, .. } = head;
        let order = Order::new(seq);
        let sockets = HashMap::new();
        let inner = Inner { sockets, generation, epoch, order, empty_since: None };
        Self { id, inner: Mutex::new(inner) }
    }

    pub(crate) const fn id(&self) -> GroupId {
        self.id
    }

    /// Where its log ends, as far as is known here. The epoch and generation may be of a
    /// moment before.
    pub(crate) fn head(&self) -> GroupHead {
        let inner = self.lock();
        GroupHead {
            group: Bytes::copy_from_slice(self.id.as_bytes()),
            generation: inner.generation,
            epoch: inner.epoch,
            seq: inner.order.end(),
        }
    }

    /// Adds a socket, and gives where the log ends: what comes after that is published to
    /// it.
    pub(super) fn enter(&self, handle: &Arc<Handle>) -> u64 {
        let mut inner = self.lock();
        inner.empty_since = None;
        inner.sockets.insert(handle.connection, handle.clone());
        inner.order.end()
    }

    /// Takes a socket out. Says whether it was the last one.
    pub(super) fn leave(&self, connection: ConnectionId, now: Instant) -> bool {
        let mut inner = self.lock();
        inner.sockets.remove(&connection);
        let is_empty = inner.sockets.is_empty();
        if is_empty {
            inner.empty_since.get_or_insert(now);
        }
        is_empty
    }

    /// Whether sockets are in it.
    pub(super) fn is_used(&self) -> bool {
        !self.lock().sockets.is_empty()
    }

    /// Whether nobody has been in it for so long.
    pub(super) fn is_left(&self, patience: Duration, now: Instant) -> bool {
        let since = self.lock().empty_since;
        since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
    }

    /// Passes entries on to all sockets. Says whether others are missing.
    ///
    /// All under one lock: a socket that enters has either been told of them, or gets them.
    pub(super) fn publish(self: &Arc<Self>, publication: &Publication, now: Instant) -> bool {
        let Publication { first_seq, last_seq, encoded, .. } = publication;
        let made = if encoded.is_empty() { None } else { Broadcast::new(self.clone(), encoded) };
        let mut inner = self.lock();
        inner.order.take(*first_seq, *last_seq, now);
        match made {
            Some(broadcast) => {
                for handle in inner.sockets.values() {
                    handle.mailbox.post(Event::Broadcast(broadcast.clone()));
                }
            }
            None => self.hint(&inner, "large"),
        }
        inner.order.is_behind()
    }

    /// The log was read. Says whether something is missing.
    pub(super) fn learn(&self, head: &GroupHead, now: Instant) -> bool {
        let mut inner = self.lock();
        if (head.generation, head.epoch) > (inner.generation, inner.epoch) {
            (inner.generation, inner.epoch) = (head.generation, head.epoch);
        }
        inner.order.expect(head.seq, now);
        inner.order.is_behind()
    }

    /// Has all sockets told where the log ends, where something has been missing for so
    /// long. Says whether something still is.
    pub(super) fn repair(self: &Arc<Self>, patience: Duration, now: Instant) -> bool {
        let mut inner = self.lock();
        if inner.order.give_up(patience, now) {
            self.hint(&inner, "missing");
        }
        inner.order.is_behind()
    }

    fn hint(self: &Arc<Self>, inner: &Inner, cause: &'static str) {
        metrics::group_hints(cause, inner.sockets.len());
        for handle in inner.sockets.values() {
            handle.mailbox.post(Event::GroupBehind(self.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
