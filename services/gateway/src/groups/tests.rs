//! The hub without replicas: what they would say is said by the test.

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

#[tokio::test]
async fn a_device_is_told_its_groups_when_it_enters_when_they_change_and_when_it_is_told_so() {
    let hub = Hub::new();
    let (none, socket) = (hub.enter(1), hub.enter(2));
    hub.listed(&none, &[]);
    assert!(none.events().is_empty(), "nothing to tell");
    hub.listed(&socket, &[head(1, 3), head(2, 4)]);
    assert_eq!(socket.told(), [(vec![3, 4], true)]);

    hub.listed(&socket, &[head(1, 3), head(2, 4)]);
    assert!(socket.events().is_empty(), "the same as before");
    hub.listed(&socket, &[head(1, 3)]);
    assert_eq!(socket.told(), [(vec![3], true)]);
    hub.groups.changed(socket.handle.connection);
    hub.listed(&socket, &[head(1, 3)]);
    assert_eq!(socket.told(), [(vec![3], true)], "something has changed, whatever it is");
    hub.groups.changed(none.handle.connection);
    hub.listed(&none, &[]);
    assert_eq!(none.told(), [(vec![], true)]);
}

/// Caught with the groups that are gone left subscribed.
#[tokio::test]
async fn a_device_that_was_removed_gets_nothing_more() {
    let hub = Hub::new();
    let (stays, goes) = (hub.enter(1), hub.enter(2));
    for socket in [&stays, &goes] {
        hub.listed(socket, &[head(1, 0)]);
        socket.told();
    }

    hub.groups.changed(goes.handle.connection);
    hub.listed(&goes, &[]);
    goes.told();
    hub.groups.publish(&publication(1, 1, 1));

    assert!(goes.events().is_empty());
    assert_eq!(stays.events().len(), 1);
}

#[tokio::test]
async fn a_change_that_comes_while_the_groups_are_read_has_them_read_again() {
    let hub = Hub::new();
    let socket = hub.enter(1);
    let connection = socket.handle.connection;
    hub.groups.is_asked(connection);
    hub.groups.listing.queue.lock().unwrap().clear();
    hub.groups.changed(connection);
    assert_eq!(hub.queued(), 0, "one question at a time");

    hub.groups.listed(connection, vec![]);

    assert_eq!(hub.queued(), 1);
    hub.groups.changed(connection);
    assert_eq!(hub.queued(), 1);
}

#[tokio::test(start_paused = true)]
async fn groups_that_could_not_be_read_are_asked_for_again() {
    let hub = Hub::new();
    let socket = hub.enter(1);
    hub.groups.listing.queue.lock().unwrap().clear();
    hub.groups.is_asked(socket.handle.connection);
    hub.groups.unlisted(socket.handle.connection);

    hub.sweep();
    assert_eq!(hub.queued(), 0);
    advance(1_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.queued(), 1);

    hub.listed(&socket, &[head(1, 3)]);
    assert_eq!(socket.told(), [(vec![3], true)], "it was never told");
    hub.groups.listing.queue.lock().unwrap().clear();
    advance(299_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.queued(), 0);
    advance(76_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.queued(), 1, "now and then, for no reason");
}

/// I-6. Caught with the permits given back at once: all five hundred are asked for.
#[tokio::test]
async fn so_many_devices_are_asked_for_at_once_and_the_others_wait() {
    let hub = Hub::with(|config| config.list_at_once = 10);
    let sockets: Vec<_> = (0..50).map(|number| hub.enter(number)).collect();
    let mut received = hub.attach();
    let asking = hub.groups.ask_for_lists();
    let answering = async {
        for round in 0..5 {
            for _ in 0..10 {
                let asked = received.recv().await.unwrap();
                assert!(matches!(asked, Item::ListGroups(_)), "{asked:?}");
            }
            tokio::task::yield_now().await;
            assert!(received.is_empty(), "round {round}");
            for socket in &sockets[round * 10..(round + 1) * 10] {
                hub.groups.listed(socket.handle.connection, vec![]);
            }
        }
    };

    hub.groups.can_list();
    tokio::select! {
        () = asking => panic!("it never ends"),
        () = answering => {}
    }
}

/// I-6. Caught with the bounds not looked at.
#[tokio::test]
async fn groups_beyond_the_bounds_are_told_and_not_followed() {
    let hub = Hub::with(|config| config.max_groups = 2);
    let socket = hub.enter(1);
    hub.listed(&socket, &[head(1, 1), head(2, 1), head(3, 1)]);
    assert_eq!(socket.told(), [(vec![1, 1, 1], true)]);

    for number in 1..=3 {
        hub.groups.publish(&publication(number, 2, 2));
    }

    assert_eq!(socket.events().len(), 2);
    assert_eq!(hub.groups.watched.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_followed_for_a_while_after_its_last_socket() {
    let hub = Hub::new();
    let socket = hub.enter(1);
    hub.listed(&socket, &[head(1, 1), head(2, 1)]);
    drop(socket);
    advance(9_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.groups.watched.len(), 2);

    // One comes back; and goes again.
    let socket = hub.enter(2);
    hub.listed(&socket, &[head(1, 1)]);
    advance(1_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.groups.watched.len(), 1);
    drop(socket);
    advance(10_000 * MS).await;
    hub.sweep();

    assert_eq!(hub.groups.watched.len(), 0);
    assert_eq!(hub.groups.subscriptions.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert!(hub.groups.members.is_empty());
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
