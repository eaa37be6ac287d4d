use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message as _;
use sotto_ids::GroupId;
use sotto_proto::{
    groups::Publication,
    socket::{GroupDeliver, GroupEntry},
};

use super::{Gateway, sequence::Sequence, watches::Watches};
use crate::config::GatewaysConfig;

/// Tells gateways what has become durable in the groups that they watch: each once, however
/// many members it serves, and in the order of the log.
///
/// A publication is a hint. Whatever goes wrong here, the log stands, and gateways ask now
/// and then where it ends. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Publications(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    watches: Watches,
    sequence: Mutex<Sequence<Publication>>,
    largest: usize,
}

/// The place of a transaction in the publications of a group, for whoever holds the row of
/// the group. Dropped, nothing comes of it.
#[derive(Debug)]
pub(crate) struct Turn {
    publications: Publications,
    group: GroupId,
    first_seq: u64,
    used: bool,
}

impl Publications {
    pub(crate) fn new(config: &GatewaysConfig) -> Self {
        Self(Arc::new(Inner {
            watches: Watches::default(),
            sequence: Mutex::default(),
            largest: config.largest_publication.0,
        }))
    }

    /// From here on the gateway is told of these groups.
    pub(crate) fn watch(&self, gateway: &Arc<Gateway>, groups: impl Iterator<Item = GroupId>) {
        self.0.watches.add(gateway, groups);
    }

    pub(crate) fn unwatch(&self, gateway: &Arc<Gateway>, groups: impl Iterator<Item = GroupId>) {
        self.0.watches.remove(gateway, groups);
    }

    /// The gateway has left.
    pub(crate) fn forget(&self, gateway: &Arc<Gateway>) {
        self.0.watches.remove_all(gateway);
    }

    /// Takes the turn of a transaction that adds entries to the group from `first_seq` on.
    /// To be called while it holds the row of the group.
    pub(crate) fn turn(&self, group: GroupId, first_seq: u64) -> Turn {
        self.sequence().take(group, first_seq);
        Turn { publications: self.clone(), group, first_seq, used: false }
    }

    /// Encodes once for all gateways; not at all where nobody watches.
    fn publication(
        &self,
        group: GroupId,
        entries: Vec<GroupEntry>,
        members_changed: bool,
    ) -> Publication {
        let name = Bytes::copy_from_slice(group.as_bytes());
        let first_seq = entries.first().map_or(0, |entry| entry.seq);
        let last_seq = entries.last().map_or(0, |entry| entry.seq);
        let deliver = GroupDeliver { group: name.clone(), entries };
        let is_wanted = !self.0.watches.of(group).is_empty();
        let encoded = if is_wanted && deliver.encoded_len() <= self.0.largest {
            deliver.encode_to_vec().into()
        } else {
            Bytes::new()
        };
        Publication { group: name, last_seq, first_seq, encoded, members_changed }
    }

    /// The lock is held until all are with their gateways, since only that keeps the order;
    /// nothing in it waits.
    fn send(&self, group: GroupId, ready: Vec<Publication>) {
        if ready.is_empty() {
            return;
        }
        let gateways = self.0.watches.of(group);
        for publication in ready {
            for gateway in &gateways {
                gateway.publish(publication.clone());
            }
        }
    }

    fn sequence(&self) -> MutexGuard<'_, Sequence<Publication>> {
        // Each change is complete before anything could panic.
        self.0.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Publishes the entries, at least one, which have become durable. `members_changed`:
    /// devices came or went with them.
    pub(crate) fn publish(mut self, entries: Vec<GroupEntry>, members_changed: bool) {
        self.used = true;
        let (publications, group) = (self.publications.clone(), self.group);
        let publication = publications.publication(group, entries, members_changed);
        let mut sequence = publications.sequence();
        let ready = sequence.fill(group, self.first_seq, publication);
        publications.send(group, ready);
        drop(sequence);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.used {
            return;
        }
        let mut sequence = self.publications.sequence();
        let ready = sequence.abandon(self.group, self.first_seq);
        self.publications.send(self.group, ready);
        drop(sequence);
    }
}
