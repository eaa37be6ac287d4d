//! What devices hear of their groups.

use std::time::Duration;

use futures_util::future::join_all;
use sotto_gateway::GatewayConfig;
use sotto_ids::GroupId;
use sotto_proto::socket::{GroupDeliver, GroupHeads, ServerFrame, server_frame::Body};
use sotto_store::notices::Notice;

use crate::harness::{Device, Form, GroupsReplica, Replica, Signer, TestGateway, config, wait_for};

/// No test waits for an audit that it does not want.
const NEVER: Duration = Duration::from_secs(300);

pub(crate) fn group() -> GroupId {
    GroupId::new(uuid::Uuid::new_v4().into_bytes())
}

pub(crate) fn quiet() -> GatewayConfig {
    let mut config = config();
    config.groups.audit_interval = NEVER;
    config
}

pub(crate) async fn start(
    replica: &Replica,
    groups: &[&GroupsReplica],
    config: GatewayConfig,
) -> TestGateway {
    TestGateway::start_of_groups(&[replica], groups, config, None).await
}

/// A device that has heard of its groups and that its queue is empty.
pub(crate) async fn connect(gateway: &TestGateway, form: Form, user: Signer) -> Device {
    let mut device = gateway.connect_early_in(form, user).await;
    let (mut empty, mut told) = (false, false);
    while !(empty && told) {
        match device.next().await.body {
            Some(Body::QueueEmpty(_)) => empty = true,
            Some(Body::GroupHeads(heads)) => told = heads.complete,
            other => panic!("{other:?}"),
        }
    }
    device
}

/// A device that is in a group, and is connected.
pub(crate) async fn member(
    gateway: &TestGateway,
    replica: &GroupsReplica,
    group: GroupId,
) -> Device {
    let user = Signer::new();
    replica.join(group, user.device());
    connect(gateway, Form::Proto, user).await
}

async fn deliver(device: &mut Device) -> GroupDeliver {
    let ServerFrame { body, .. } = device.next().await;
    let Some(Body::GroupDeliver(deliver)) = body else { panic!("no entries but {body:?}") };
    deliver
}

/// The seqs of the next entries.
pub(crate) async fn entries(device: &mut Device) -> Vec<u64> {
    deliver(device).await.entries.iter().map(|entry| entry.seq).collect()
}

pub(crate) async fn heads(device: &mut Device) -> GroupHeads {
    let ServerFrame { body, .. } = device.next().await;
    let Some(Body::GroupHeads(heads)) = body else { panic!("no heads but {body:?}") };
    heads
}

/// Where one log ends, as the device is told.
pub(crate) async fn end(device: &mut Device) -> u64 {
    let heads = heads(device).await;
    match &heads.heads[..] {
        [head] if !heads.complete => head.seq,
        _ => panic!("{heads:?}"),
    }
}

/// The device is told nothing more: the answer to a send comes next.
pub(crate) async fn hears_nothing(device: &mut Device) {
    let frame = device.send(b"hi").await;
    device.accepted(frame).await;
}

async fn tell(gateway: &TestGateway, user: Signer, notice: impl FnOnce(u64) -> Notice) {
    assert!(gateway.notices.notify_device(user.device(), notice).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_enters_is_told_where_its_logs_end() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    for form in [Form::Proto, Form::Json] {
        let user = Signer::new();
        let ids = [group(), group(), group()];
        for (id, count) in ids.iter().zip(1..) {
            groups.join(*id, user.device());
            groups.store_silently(*id, count);
        }
        let mut device = gateway.connect_early_in(form, user).await;

        let mut told = None;
        while told.is_none() {
            if let Some(Body::GroupHeads(heads)) = device.next().await.body {
                assert!(heads.complete);
                told = Some(heads.heads);
            }
        }

        let told = told.unwrap();
        assert_eq!(told.len(), 3);
        for (id, seq) in ids.iter().zip(1..) {
            assert!(told.iter().any(|head| head.group == id.as_bytes()[..] && head.seq == seq));
        }
    }
    let mut nowhere = gateway.connect(Signer::new()).await;
    hears_nothing(&mut nowhere).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_in_a_group_reaches_its_devices_in_both_forms_and_nobody_else() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    let (ours, theirs) = (group(), group());
    let mut devices = Vec::new();
    for form in [Form::Proto, Form::Json, Form::Proto, Form::Json] {
        let user = Signer::new();
        groups.join(ours, user.device());
        devices.push(connect(&gateway, form, user).await);
    }
    let mut other = member(&gateway, &groups, theirs).await;
    wait_for("the watch", async || groups.watchers(ours) == 1).await;

    for round in 0..20 {
        groups.store(ours, 3, 100);
        let seqs: Vec<u64> = (1..=3).map(|seq| 3 * round + seq).collect();
        for device in &mut devices {
            let deliver = deliver(device).await;
            assert_eq!(deliver.group, ours.as_bytes()[..]);
            assert_eq!(deliver.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), seqs);
            assert!(deliver.entries.iter().all(|entry| entry.message == vec![7; 100]));
        }
    }

    hears_nothing(&mut other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_replica_stores_an_entry_it_is_heard() {
    let (replica, one) = (Replica::start().await, GroupsReplica::start().await);
    let two = one.beside().await;
    let gateway = start(&replica, &[&one, &two], quiet()).await;
    let id = group();
    let mut device = member(&gateway, &one, id).await;
    wait_for("the watches", async || one.watchers(id) == 1 && two.watchers(id) == 1).await;

    one.store(id, 1, 10);
    assert_eq!(entries(&mut device).await, [1]);
    two.store(id, 1, 10);
    assert_eq!(entries(&mut device).await, [2]);
}

/// A crowd: each gets each entry once and in order, and each group is watched once.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_sockets_of_one_group_get_what_is_stored() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    let id = group();
    let mut devices = Vec::new();
    for _ in 0..10 {
        devices.extend(join_all((0..50).map(|_| member(&gateway, &groups, id))).await);
    }
    wait_for("the watch", async || groups.watchers(id) == 1).await;

    for _ in 0..20 {
        groups.store(id, 1, 500);
    }

    let received = join_all(devices.iter_mut().map(async |device| {
        let mut seqs = Vec::new();
        while seqs.len() < 20 {
            seqs.extend(entries(device).await);
        }
        seqs
    }));
    assert!(received.await.iter().all(|seqs| seqs.iter().copied().eq(1..=20)));
    assert_eq!(groups.watches(), 1);
}

/// I-2. Caught with `put_broadcast` that drops what does not fit: the device never hears of
/// the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_reads_slowly_is_told_where_the_log_ends() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    let id = group();
    let (mut slow, mut quick) =
        (member(&gateway, &groups, id).await, member(&gateway, &groups, id).await);
    wait_for("the watch", async || groups.watchers(id) == 1).await;

    // More than its socket and its mailbox take.
    for seq in 1..=400 {
        groups.store(id, 1, 60_000);
        assert_eq!(entries(&mut quick).await, [seq]);
    }

    let (mut last, mut told) = (0, 0);
    while last.max(told) < 400 {
        match slow.next().await.body {
            Some(Body::GroupDeliver(deliver)) => last = deliver.entries[0].seq,
            Some(Body::GroupHeads(heads)) => told = heads.heads[0].seq,
            other => panic!("{other:?}"),
        }
    }
    assert!(told > 0, "it never had to be told");
    assert!(last < 400 || told < 400, "not both of the last");
}

/// Caught with the groups that are gone left subscribed: what is stored after the removal
/// comes too.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_hears_of_a_group_from_when_it_is_added_until_it_is_removed() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    let id = group();
    let mut stays = member(&gateway, &groups, id).await;
    wait_for("the watch", async || groups.watchers(id) == 1).await;
    groups.store(id, 1, 10);
    let user = Signer::new();
    let mut device = gateway.connect(user).await;
    hears_nothing(&mut device).await;

    groups.join(id, user.device());
    tell(&gateway, user, |connection| Notice::GroupsChanged { connection }).await;
    let told = heads(&mut device).await;
    assert_eq!((told.complete, told.heads[0].seq), (true, 1));
    groups.store(id, 1, 10);
    assert_eq!(entries(&mut device).await, [2]);

    groups.leave(id, user.device());
    tell(&gateway, user, |connection| Notice::GroupsChanged { connection }).await;
    let told = heads(&mut device).await;
    assert_eq!((told.complete, told.heads.len()), (true, 0));
    groups.store(id, 1, 10);
    for seqs in [[1], [2], [3]] {
        assert_eq!(entries(&mut stays).await, seqs);
    }
    hears_nothing(&mut device).await;
}

/// Caught with `is_left` whatever the time: a second watch comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_watched_until_a_while_after_its_last_socket() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let mut config = quiet();
    config.groups.unwatch_after = Duration::from_secs(2);
    let gateway = start(&replica, &[&groups], config).await;
    let (id, user) = (group(), Signer::new());
    groups.join(id, user.device());

    for _ in 0..5 {
        let device = connect(&gateway, Form::Proto, user).await;
        device.close().await;
    }
    assert_eq!((groups.watchers(id), groups.watches()), (1, 1));

    wait_for("the end of the watch", async || groups.watchers(id) == 0).await;
    let mut device = connect(&gateway, Form::Proto, user).await;
    wait_for("the watch", async || groups.watchers(id) == 1).await;
    groups.store(id, 1, 10);
    assert_eq!(entries(&mut device).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_stock_of_key_packages_is_told() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    let low = |connection| Notice::KeyPackagesLow { connection, key_packages: 4 };
    tell(&gateway, user, low).await;

    let frame = device.next().await;
    let Some(Body::KeyPackagesLow(low)) = frame.body else { panic!("{frame:?}") };
    assert_eq!(low.key_packages, 4);
}
