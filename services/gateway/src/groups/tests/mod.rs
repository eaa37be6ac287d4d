//! The hub without replicas: what they would say is said by the test.

mod listing;

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sotto_ids::{AccountId, ConnectionId, DeviceAddress, DeviceId, GroupId};
use sotto_kit::config::ByteSize;
use sotto_proto::{
    groups::{Publication, uplink::Item},
    socket::{GroupDeliver, GroupEntry, GroupHead},
};
use tokio::{sync::mpsc, time::advance};

use super::{Groups, Membership};
use crate::{
    config::{GroupsConfig, MailboxConfig, tests::defaults},
    links::Link,
    mailbox::Mailbox,
    registry::Handle,
    session::io::Event,
};

const MS: Duration = Duration::from_millis(1);

struct Hub {
    groups: std::sync::Arc<Groups>,
}

struct Socket {
    handle: std::sync::Arc<Handle>,
    _membership: Membership,
}

fn id(number: u8) -> GroupId {
    GroupId::new([number; 16])
}

fn head(number: u8, seq: u64) -> GroupHead {
    let group = Bytes::copy_from_slice(id(number).as_bytes());
    GroupHead { group, generation: 0, epoch: 1, seq }
}

fn publication(number: u8, first_seq: u64, last_seq: u64) -> Publication {
    let group = Bytes::copy_from_slice(id(number).as_bytes());
    let entries = (first_seq..=last_seq).map(|seq| GroupEntry {
        seq,
        message: vec![7; 100].into(),
        ..GroupEntry::default()
    });
    let deliver = GroupDeliver { group: group.clone(), entries: entries.collect() };
    let encoded = deliver.encode_to_vec().into();
    Publication { group, first_seq, last_seq, encoded, members_changed: false }
}

impl Hub {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut GroupsConfig)) -> Self {
        let mut config = defaults().groups;
        change(&mut config);
        Self { groups: Groups::new(config) }
    }

    fn enter(&self, number: u64) -> Socket {
        self.enter_with(number, defaults().mailbox)
    }

    fn enter_with(&self, number: u64, mailbox: MailboxConfig) -> Socket {
        let handle = Handle::new(ConnectionId(number), Mailbox::new(mailbox));
        let device = DeviceAddress::new(AccountId::new([7; 32]).uuid(), DeviceId::FIRST);
        Socket { _membership: self.groups.enter(&handle, device), handle }
    }

    /// What the answer to `ListGroups` does.
    fn listed(&self, socket: &Socket, heads: &[GroupHead]) {
        let connection = socket.handle.connection;
        self.groups.is_asked(connection);
        self.groups.listed(connection, heads.to_vec());
    }

    fn sweep(&self) {
        let now = tokio::time::Instant::now();
        self.groups.repair(now);
        self.groups.unwatch(now);
        self.groups.list_due(now);
    }

    fn attach(&self) -> mpsc::Receiver<Item> {
        let (link, received) = Link::new(1, 100, 100);
        self.groups.links.add(&link);
        received
    }

    fn queued(&self) -> usize {
        self.groups.listing.queue.lock().unwrap().len()
    }
}

impl Socket {
    fn events(&self) -> Vec<Event> {
        self.handle.mailbox.take().events().collect()
    }

    /// The heads that it is told of groups: their number, last seq, and whether they are all.
    fn told(&self) -> Vec<(Vec<u64>, bool)> {
        let heads = self.events().into_iter().map(|event| match event {
            Event::GroupHeads { heads, complete } => {
                (heads.iter().map(|head| head.seq).collect(), complete)
            }
            other => panic!("{other:?}"),
        });
        heads.collect()
    }
}

/// One memory for all. Caught with a broadcast made for each socket.
#[tokio::test]
async fn what_is_published_is_made_once_for_all_sockets_of_the_group_and_for_no_others() {
    let hub = Hub::new();
    let sockets: Vec<_> = (0..500).map(|number| hub.enter(number)).collect();
    let other = hub.enter(500);
    for socket in &sockets {
        hub.listed(socket, &[head(1, 5)]);
        assert_eq!(socket.told(), [(vec![5], true)]);
    }
    hub.listed(&other, &[head(2, 5)]);
    other.told();

    hub.groups.publish(&publication(1, 6, 7));

    let mut made = Vec::new();
    for socket in &sockets {
        let events = socket.events();
        let [Event::Broadcast(broadcast)] = &events[..] else { panic!("{events:?}") };
        made.push(std::sync::Arc::as_ptr(broadcast));
    }
    made.dedup();
    assert_eq!(made.len(), 1);
    assert!(other.events().is_empty());
}

/// I-2. Caught with where the log ends here not looked at.
#[tokio::test]
async fn what_was_published_since_the_groups_were_read_is_in_what_a_device_is_told() {
    let hub = Hub::new();
    let (first, late) = (hub.enter(1), hub.enter(2));
    hub.listed(&first, &[head(1, 5)]);

    hub.groups.publish(&publication(1, 6, 8));
    hub.listed(&late, &[head(1, 5)]);

    assert_eq!(late.told(), [(vec![8], true)]);
}

/// I-2. Caught with `put_broadcast` that drops what does not fit: the socket hears nothing.
#[tokio::test]
async fn a_socket_without_room_is_told_where_the_log_ends_by_then() {
    let hub = Hub::new();
    let bounds = MailboxConfig { max_items: 2, max_bytes: ByteSize(1 << 16) };
    let (slow, quick) = (hub.enter_with(1, bounds), hub.enter(2));
    for socket in [&slow, &quick] {
        hub.listed(socket, &[head(1, 0), head(2, 0)]);
        socket.told();
    }

    for seq in 1..=10 {
        hub.groups.publish(&publication(1, seq, seq));
    }
    hub.groups.publish(&publication(2, 1, 1));

    let events = slow.events();
    let [Event::Broadcast(_), Event::Broadcast(_), Event::GroupHeads { heads, complete: false }] =
        &events[..]
    else {
        panic!("{events:?}");
    };
    let mut ends: Vec<_> = heads.iter().map(|head| head.seq).collect();
    ends.sort_unstable();
    assert_eq!(ends, [1, 10]);
    assert_eq!(quick.events().len(), 11);
    hub.groups.publish(&publication(1, 11, 11));
    assert!(matches!(&slow.events()[..], [Event::Broadcast(_)]), "it has caught up");
}

#[tokio::test]
async fn one_publication_always_fits_and_one_larger_than_a_frame_is_told() {
    let hub = Hub::new();
    let socket = hub.enter_with(1, MailboxConfig { max_items: 9, max_bytes: ByteSize(10) });
    hub.listed(&socket, &[head(1, 0)]);
    socket.told();

    hub.groups.publish(&publication(1, 1, 1));
    assert!(matches!(&socket.events()[..], [Event::Broadcast(_)]));

    hub.groups.publish(&publication(1, 2, 6_000));
    assert_eq!(socket.told(), [(vec![6_000], false)]);
    let large = Publication { encoded: Bytes::new(), ..publication(1, 6_001, 6_002) };
    hub.groups.publish(&large);
    assert_eq!(socket.told(), [(vec![6_002], false)]);
}

/// I-2. Caught with `repair` that gives up and tells nobody.
#[tokio::test(start_paused = true)]
async fn what_stays_missing_is_told_after_a_while_and_what_was_overtaken_is_not() {
    let hub = Hub::new();
    let socket = hub.enter(1);
    hub.listed(&socket, &[head(1, 0)]);
    socket.told();

    hub.groups.publish(&publication(1, 2, 2));
    hub.groups.publish(&publication(1, 1, 1));
    hub.groups.publish(&publication(1, 4, 4));
    socket.events();
    advance(499 * MS).await;
    hub.sweep();
    assert!(socket.events().is_empty(), "it may be on its way");
    advance(MS).await;
    hub.sweep();

    assert_eq!(socket.told(), [(vec![4], false)]);
    advance(10_000 * MS).await;
    hub.sweep();
    assert!(socket.events().is_empty(), "once");
}

/// I-2. Caught with `learn` that takes no end.
#[tokio::test(start_paused = true)]
async fn an_end_that_was_read_and_never_published_is_told() {
    let hub = Hub::new();
    let socket = hub.enter(1);
    hub.listed(&socket, &[head(1, 3)]);
    socket.told();

    hub.groups.learn(&head(1, 4));
    hub.groups.learn(&head(9, 4));
    advance(500 * MS).await;
    hub.sweep();

    let events = socket.events();
    let [Event::GroupHeads { heads, complete: false }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(heads[..], [head(1, 4)]);
}

/// I-6. Sockets that come, hear and go, all at once, leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_comes_and_goes_while_much_is_published_leaves_nothing() {
    let hub = Hub::with(|config| config.unwatch_after = Duration::ZERO);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let hub = &hub;
            scope.spawn(move || {
                for round in 0..100 {
                    let socket = hub.enter(thread * 1_000 + round);
                    let heads: Vec<_> = (0..10).map(|number| head(number, 0)).collect();
                    hub.listed(&socket, &heads);
                    for number in 0..10 {
                        hub.groups.publish(&publication(number, round + 1, round + 1));
                    }
                    assert!(!socket.events().is_empty());
                    hub.listed(&socket, &heads[..5]);
                    hub.sweep();
                }
            });
        }
    });

    hub.sweep();
    assert!(hub.groups.watched.is_empty() && hub.groups.members.is_empty());
    assert_eq!(hub.groups.subscriptions.load(std::sync::atomic::Ordering::Relaxed), 0);
}
