//! What gets lost on its way to devices, and how they hear of it all the same.

use std::time::Duration;

use crate::{
    groups::{connect, end, entries, group, heads, hears_nothing, member, quiet, start},
    harness::{Form, GroupsReplica, Replica, Signer, TestGateway, Wire, config, wait_for},
};

/// I-2. Caught with `repair` that tells nobody.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_between_two_publications_is_told() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    let id = group();
    let mut device = member(&gateway, &groups, id).await;
    wait_for("the watch", async || groups.watchers(id) == 1).await;

    groups.store_silently(id, 1);
    groups.store(id, 1, 10);

    assert_eq!(entries(&mut device).await, [2]);
    assert_eq!(end(&mut device).await, 2);
    groups.store(id, 1, 10);
    assert_eq!(entries(&mut device).await, [3]);
}

/// I-2. Caught with the audit taken out: the device waits in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_was_lost_is_found_by_the_audit() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let mut config = config();
    config.groups.audit_interval = Duration::from_millis(200);
    let gateway = start(&replica, &[&groups], config).await;
    let ids: Vec<_> = (0..5).map(|_| group()).collect();
    let mut devices = Vec::new();
    for id in &ids {
        devices.push(member(&gateway, &groups, *id).await);
    }
    wait_for("the watches", async || ids.iter().all(|id| groups.watchers(*id) == 1)).await;

    for id in &ids {
        groups.store_silently(*id, 2);
    }

    for device in &mut devices {
        assert_eq!(end(device).await, 2);
    }
    let before = groups.heads_read();
    wait_for("another audit", async || groups.heads_read() >= before + 10).await;
    for device in &mut devices {
        hears_nothing(device).await;
    }
}

/// I-2. Caught with the ends not read behind the watch: it comes with the next audit.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_after_the_groups_were_read_and_before_they_are_watched_is_told() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    groups.store_before_watch();

    let mut device = member(&gateway, &groups, group()).await;

    assert_eq!(end(&mut device).await, 1);
}

/// I-2. Caught with `add_watcher` that marks no group.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_while_no_stream_is_there_is_told_and_watched_again() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    let id = group();
    let mut device = member(&gateway, &groups, id).await;
    wait_for("the watch", async || groups.watchers(id) == 1).await;

    groups.die();
    groups.store_silently(id, 3);
    groups.rise().await;

    assert_eq!(end(&mut device).await, 3);
    wait_for("the watch", async || groups.watchers(id) == 1).await;
    groups.store(id, 1, 10);
    assert_eq!(entries(&mut device).await, [4]);
}

/// I-2. Caught with `request_audit` taken out of the end of a link.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_replica_had_stored_is_found_through_another() {
    let (replica, one) = (Replica::start().await, GroupsReplica::start().await);
    let two = one.beside().await;
    let gateway = start(&replica, &[&one, &two], quiet()).await;
    let id = group();
    let mut device = member(&gateway, &one, id).await;
    // The first look at the ends of logs comes behind the watch.
    wait_for("the looks", async || one.heads_read() == 1 && two.heads_read() == 1).await;

    one.store_silently(id, 1);
    one.die();

    assert_eq!(end(&mut device).await, 1);
    assert_eq!(two.heads_read(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_cannot_be_read_are_asked_for_until_they_can() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], quiet()).await;
    let (id, user) = (group(), Signer::new());
    groups.join(id, user.device());
    groups.fail_lists(user.device(), 2);
    let mut device = connect(&gateway, Form::Proto, user).await;
    wait_for("the watch", async || groups.watchers(id) == 1).await;
    groups.store(id, 1, 10);
    assert_eq!(entries(&mut device).await, [1]);
    assert_eq!(groups.lists(user.device()), 3);

    // And where there is nobody to ask.
    groups.die();
    let user = Signer::new();
    groups.join(id, user.device());
    let mut late = gateway.connect(user).await;
    groups.rise().await;
    assert!(heads(&mut late).await.complete);
}

/// Caught with `list_all` taken out: the device hears of it minutes later.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_said_while_redis_was_away_is_found_out() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let wire = Wire::to_redis().await;
    let gateway =
        TestGateway::start_of_groups_behind(wire.url(), &[&replica], &[&groups], quiet(), None)
            .await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    wire.cut().await;
    groups.join(group(), user.device());
    wire.mend();

    let told = heads(&mut device).await;
    assert_eq!((told.complete, told.heads.len()), (true, 1));
}
