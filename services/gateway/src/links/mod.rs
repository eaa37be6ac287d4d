//! The streams to the messages replicas.
//!
//! Each address that the configured names resolve to gets one stream, on which
//! everything travels in batches. A device's sends, acknowledgements and pulls take
//! the stream that rendezvous hashing picks for it, so its sends stay in order; when
//! a replica comes or goes, only the devices of that replica move.
//!
//! When a stream is lost, what was waiting for an answer on it gets one: sends a
//! retryable error, pulls a failed page. Acknowledgements get none, and need none:
//! what they named is delivered once more.

mod attached;
mod link;
mod outstanding;
mod resolver;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use arc_swap::ArcSwap;
use sotto_ids::DeviceAddress;
use sotto_proto::messages::uplink::Item;

pub(crate) use attached::Attachment;
pub(crate) use link::{Link, TrySendError};
pub use resolver::MalformedReplicas;
pub(crate) use resolver::{Replicas, keep_attached};

use crate::metrics;

/// The replicas that are attached now.
#[derive(Debug, Default)]
pub(crate) struct Links(ArcSwap<Vec<Arc<Link>>>);

impl Links {
    /// The link that a device's items take, if any replica is attached.
    pub(crate) fn route(&self, device: DeviceAddress) -> Option<Arc<Link>> {
        let links = self.0.load();
        links.iter().max_by_key(|link| weight(device, link.key())).cloned()
    }

    pub(crate) fn add(&self, link: &Arc<Link>) {
        self.0.rcu(|links| {
            let mut links = Vec::clone(links);
            links.push(link.clone());
            links
        });
        metrics::links().increment(1.0);
        metrics::link_attached();
    }

    pub(crate) fn remove(&self, link: &Arc<Link>) {
        self.0.rcu(|links| {
            let mut links = Vec::clone(links);
            links.retain(|other| !Arc::ptr_eq(other, link));
            links
        });
        metrics::links().decrement(1.0);
        metrics::link_lost();
    }
}

/// What a device and a replica are to each other: the replica with the largest weight
/// has the device (rendezvous hashing).
fn weight(device: DeviceAddress, replica: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (device, replica).hash(&mut hasher);
    hasher.finish()
}

/// The most that an item adds to the length of a batch.
fn cost(item: &Item) -> usize {
    use prost::Message as _;

    let length = match item {
        Item::Submit(submit) => submit.encoded_len(),
        Item::Acknowledge(acknowledge) => acknowledge.encoded_len(),
        Item::Pull(pull) => pull.encoded_len(),
        Item::Retract(retract) => retract.encoded_len(),
    };
    length + 16
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use sotto_ids::{AccountId, DeviceId};

    use super::*;

    fn devices() -> Vec<DeviceAddress> {
        let device = |number: u16| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            DeviceAddress::new(AccountId::new(id).uuid(), DeviceId::FIRST)
        };
        (0..3_000).map(device).collect()
    }

    fn links(keys: &[u64]) -> Links {
        let links = Links::default();
        for &key in keys {
            links.add(&Link::new(key, 1, 1).0);
        }
        links
    }

    fn routes(links: &Links) -> Vec<u64> {
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
