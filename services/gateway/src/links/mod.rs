//! The streams to replicas: those of messages, and those of groups.
//!
//! Each address that the configured names resolve to gets one stream, on which
//! everything travels in batches. A device's sends, acknowledgements and pulls take
//! the stream that rendezvous hashing picks for it, so its sends stay in order; when
//! a replica comes or goes, only the devices of that replica move. What is for a group
//! is routed by the group in the same way ([`crate::groups`]).
//!
//! When a stream is lost, what was waiting for an answer on it gets one: sends a
//! retryable error, pulls a failed page. Acknowledgements get none, and need none:
//! what they named is delivered once more.

mod attached;
mod link;
mod outstanding;
mod resolver;
mod stream;

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::Arc,
};

use arc_swap::ArcSwap;

pub(crate) use attached::Attachment;
pub(crate) use link::{Link, TrySendError};
pub(crate) use outstanding::Outstanding;
pub use resolver::MalformedReplicas;
pub(crate) use resolver::{Attach, Replicas, keep_attached};
pub(crate) use stream::{BATCHES_AHEAD, LinkError, overdue, send_up, unanswered};

use crate::metrics;

/// Something that goes up a link.
pub(crate) trait Item: fmt::Debug + Send + 'static {
    /// What an answer says it is to.
    type Question: Copy + Eq + Hash + fmt::Debug + Send;

    /// The role whose replicas take it.
    const ROLE: &'static str;

    /// What stays unanswered where this gets no answer; nothing where none is owed.
    fn question(&self) -> Option<Self::Question>;

    /// Whether the replica takes only so many of it that it has not decided.
    fn takes_credit(&self) -> bool;

    /// Its length as it is encoded.
    fn length(&self) -> usize;
}

/// The replicas that are attached now.
#[derive(Debug)]
pub(crate) struct Links<I>(ArcSwap<Vec<Arc<Link<I>>>>);

impl<I> Default for Links<I> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<I: Item> Links<I> {
    /// The link that the items of a device, or of a group, take, if any replica is
    /// attached.
    pub(crate) fn route(&self, subject: impl Hash + Copy) -> Option<Arc<Link<I>>> {
        let links = self.0.load();
        links.iter().max_by_key(|link| weight(subject, link.key())).cloned()
    }

    /// One of the links: each in its turn, as `turn` counts.
    pub(crate) fn take_turn(&self, turn: usize) -> Option<Arc<Link<I>>> {
        let links = self.0.load();
        links.get(turn.checked_rem(links.len())?).cloned()
    }

    pub(crate) fn add(&self, link: &Arc<Link<I>>) {
        self.0.rcu(|links| {
            let mut links = Vec::clone(links);
            links.push(link.clone());
            links
        });
        metrics::links(I::ROLE).increment(1.0);
        metrics::link_attached(I::ROLE);
    }

    pub(crate) fn remove(&self, link: &Arc<Link<I>>) {
        self.0.rcu(|links| {
            let mut links = Vec::clone(links);
            links.retain(|other| !Arc::ptr_eq(other, link));
            links
        });
        metrics::links(I::ROLE).decrement(1.0);
        metrics::link_lost(I::ROLE);
    }
}

/// What a device, or a group, and a replica are to each other: the replica with the largest
/// weight has it (rendezvous hashing).
fn weight(subject: impl Hash, replica: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (subject, replica).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use sotto_ids::{AccountId, DeviceAddress, DeviceId};
    use sotto_proto::messages::uplink;

    use super::{Link, Links};

    fn devices() -> Vec<DeviceAddress> {
        let device = |number: u16| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            DeviceAddress::new(AccountId::new(id).uuid(), DeviceId::FIRST)
        };
        (0..3_000).map(device).collect()
    }

    fn links(keys: &[u64]) -> Links<uplink::Item> {
        let links = Links::default();
        for &key in keys {
            links.add(&Link::new(key, 1, 1).0);
        }
        links
    }

    fn routes(links: &Links<uplink::Item>) -> Vec<u64> {
        devices().into_iter().map(|device| links.route(device).unwrap().key()).collect()
    }

    #[test]
    fn devices_are_spread_over_the_replicas() {
        let mut counts = HashMap::<u64, usize>::new();
        for key in routes(&links(&[1, 2, 3])) {
            *counts.entry(key).or_default() += 1;
        }

        assert_eq!(counts.len(), 3);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn only_the_devices_of_a_replica_that_goes_move() {
        let before = routes(&links(&[1, 2, 3]));
        let after = routes(&links(&[3, 1]));

        for (before, after) in before.into_iter().zip(after) {
            assert!(before == 2 || before == after);
        }
    }

    #[test]
    fn without_a_replica_there_is_no_route() {
        let links = links(&[1]);
        let only = links.route(devices()[0]).unwrap();

        links.remove(&only);

        assert!(links.route(devices()[0]).is_none());
    }
}
