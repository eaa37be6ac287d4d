//! Groups: which sockets of this process are in which, and what is published in those.
//!
//! The log of a group, at the groups service, is the truth; what happens here are hints
//! that save devices from asking. None of them may be lost for good:
//!
//! - A device that has entered is told where all of its logs end (`listing`). From before
//!   that was read on, each of them is watched at every replica (`watching`), and read once
//!   more when the watch has begun; so nothing falls in between.
//! - What is published goes to every socket of the group (`group`), made once for all of
//!   them (`broadcast`). A socket without room for it is told where the log ends instead.
//! - What does not come through is noticed (`order`): by what comes after it, or by the audit,
//!   which reads the ends of all watched logs every few seconds and after the loss of a
//!   stream (`audit`). Then all sockets of the group are told where its log ends.
//!
//! Locks are taken in this order: that of a socket's memberships, that of the table of
//! groups, that of a group, that of a mailbox.

mod audit;
mod broadcast;
mod group;
pub(crate) mod line;
mod link;
mod listing;
mod order;
#[cfg(test)]
mod tests;
mod watching;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, mapref::entry::Entry};
use rand::{Rng as _, rngs::StdRng};
use sotto_ids::{ConnectionId, DeviceAddress, GroupId};
use sotto_kit::lifecycle::Lifecycle;
use sotto_proto::{
    groups::{Publication, uplink::Item},
    socket::GroupHead,
};
use tokio::{sync::Notify, time::Instant};

pub(crate) use self::{broadcast::Broadcast, group::Group, link::Attachment};
use self::{listing::Listing, watching::Watchers};
use crate::{config::GroupsConfig, links::Links, metrics, registry::Handle};

/// See the module.
#[derive(Debug)]
pub(crate) struct Groups {
    config: GroupsConfig,
    links: Arc<Links<Item>>,
    members: DashMap<ConnectionId, Member>,
    watched: DashMap<GroupId, Arc<Group>>,
    /// Of all sockets together.
    subscriptions: AtomicUsize,
    listing: Listing,
    watchers: Watchers,
    /// Groups of whose log something is missing.
    doubtful: Mutex<HashSet<GroupId>>,
    /// Groups that were left by the last socket, and when.
    left: Mutex<VecDeque<(Instant, GroupId)>>,
    audit: Notify,
    requests: AtomicU64,
}

/// A socket, and what it is subscribed to.
#[derive(Debug)]
struct Member {
    handle: Arc<Handle>,
    device: DeviceAddress,
    groups: HashMap<GroupId, Arc<Group>>,
    list: listing::List,
}

/// Keeps a socket among the members, and takes it out when dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    groups: Arc<Groups>,
    connection: ConnectionId,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.groups.leave(self.connection);
    }
}

impl Groups {
    pub(crate) fn new(config: GroupsConfig) -> Arc<Self> {
        let listing = Listing::new(config.list_at_once);
        Arc::new(Self {
            config,
            links: Arc::default(),
            members: DashMap::new(),
            watched: DashMap::new(),
            subscriptions: AtomicUsize::new(0),
            listing,
            watchers: Watchers::default(),
            doubtful: Mutex::default(),
            left: Mutex::default(),
            audit: Notify::new(),
            requests: AtomicU64::new(0),
        })
    }

    /// The replicas that are attached.
    pub(crate) const fn links(&self) -> &Arc<Links<Item>> {
        &self.links
    }

    /// Starts what runs beside the sockets.
    pub(crate) fn start(self: &Arc<Self>, lifecycle: &Lifecycle, mut rng: StdRng) {
        let first_audit = self.config.audit_interval.mul_f64(rng.random_range(0.0..1.0));
        let (groups, stopped) = (self.clone(), lifecycle.stopped());
        lifecycle.spawn("gateway.groups", async move {
            let run = async {
                tokio::join!(groups.ask_for_lists(), groups.sweep(), groups.audit(first_audit));
            };
            stopped.run_until_cancelled(run).await;
        });
    }

    /// A device is on a socket from now on: its groups are asked for, and what is published
    /// in them goes to the socket for as long as the result lives.
    pub(crate) fn enter(
        self: &Arc<Self>,
        handle: &Arc<Handle>,
        device: DeviceAddress,
    ) -> Membership {
        let connection = handle.connection;
        let list = listing::List::new(self.next_list(connection, Instant::now()));
        let member = Member { handle: handle.clone(), device, groups: HashMap::new(), list };
        self.members.insert(connection, member);
        self.list(connection, listing::Tell::IfAny);
        Membership { groups: self.clone(), connection }
    }

    fn leave(&self, connection: ConnectionId) {
        let Some((_, member)) = self.members.remove(&connection) else {
            return;
        };
        for group in member.groups.values() {
            self.unsubscribe(connection, group);
        }
    }

    /// Has the socket get what is published in a group. Gives where the log ends before
    /// that.
    fn subscribe(&self, handle: &Arc<Handle>, id: GroupId, head: &GroupHead) -> (Arc<Group>, u64) {
        let (group, end, is_new) = match self.watched.entry(id) {
            Entry::Occupied(entry) => {
                let group = entry.get().clone();
                // Within the entry: nobody can take the group out of the table in between.
                let end = group.enter(handle);
                (group, end, false)
            }
            Entry::Vacant(entry) => {
                let group = Arc::new(Group::new(id, head));
                let end = group.enter(handle);
                entry.insert(group.clone());
                (group, end, true)
            }
        };
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        metrics::group_subscriptions().increment(1.0);
        if is_new {
            metrics::groups_watched().increment(1.0);
            self.watchers.mark(id);
        }
        (group, end)
    }

    fn unsubscribe(&self, connection: ConnectionId, group: &Group) {
        let now = Instant::now();
        if group.leave(connection, now) {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.push_back((now, group.id()));
        }
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        metrics::group_subscriptions().decrement(1.0);
    }

    /// What a replica has published.
    fn publish(&self, publication: &Publication) {
        let Ok(id) = GroupId::try_from(publication.group.as_ref()) else {
            tracing::error!("a replica published in a group without a proper id");
            return;
        };
        metrics::group_publication();
        // One that nobody is in any more: the replica has not heard of that yet.
        let Some(group) = self.find(id) else {
            return;
        };
        if group.publish(publication, Instant::now()) {
            self.doubt(id);
        }
    }

    /// Where a log ends, as a replica has read it.
    fn learn(&self, head: &GroupHead) {
        let Ok(id) = GroupId::try_from(head.group.as_ref()) else {
            tracing::error!("a replica read the log of a group without a proper id");
            return;
        };
        if let Some(group) = self.find(id)
            && group.learn(head, Instant::now())
        {
            self.doubt(id);
        }
    }

    fn doubt(&self, id: GroupId) {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// The lock of the table is not held by who works with the group.
    fn find(&self, id: GroupId) -> Option<Arc<Group>> {
        self.watched.get(&id).map(|group| group.clone())
    }

    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}
