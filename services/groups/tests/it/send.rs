//! Messages into the log.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use reqwest::StatusCode;
use sotto_ids::limits::MAX_GROUP_MESSAGE_BYTES;
use sotto_proto::{
    groups::{DeviceRef, Submit, uplink::Item},
    socket::GroupEntryKind,
};
use sqlx::PgPool;

use crate::stage::{
    Answer, Caller, Letter, Link, Stage, Wire, device_ref, private_message, wait_for,
};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn messages_stand_in_the_log_in_the_order_in_which_they_came(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let members = stage.crowd(3);
    let group = stage.group(&members).await;
    let letters: Vec<Letter> = (0..30).map(|n| Letter::new(members[n % 3], group, 0)).collect();

    let frames = link.submit(&letters).await;
    for (frame, seq) in frames.into_iter().zip(2..) {
        let accepted = Answer::Accepted { seq, server_time_ms: stage.now_ms() };
        assert_eq!(link.answer(frame).await, accepted);
    }

    let ids: Vec<_> = stage.log(group).await.into_iter().filter_map(|row| row.id).collect();
    let sent: Vec<_> = letters.iter().map(|letter| letter.id.as_uuid()).collect();
    assert_eq!(ids, sent);
    assert_eq!(stage.head(group).await, (0, 31));
    stage.end().await;
}

/// It fails where the log is not asked for the ids of a batch.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_message_that_comes_again_is_accepted_as_it_was_in_whichever_epoch(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replicas = [stage.replica().await, stage.replica().await];
    let mut links = [Link::attach(&replicas[0]).await, Link::attach(&replicas[1]).await];
    let members = stage.crowd(2);
    let group = stage.group(&members).await;
    let letter = Letter::new(members[0], group, 0);
    let first = links[0].send(&letter).await;

    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(links[1].send(&letter).await, first);
    let epoch = stage.commit(group, &[], &[]).await;
    assert_eq!(links[0].send(&letter).await, first, "as it was encrypted first");
    assert_eq!(links[1].send(&letter.in_epoch(epoch)).await, first, "and in the new epoch");

    assert_eq!(first.seq(), 2);
    assert_eq!(stage.head(group).await, (1, 3));
    stage.end().await;
}

/// I-4. It fails where the epoch is not looked at.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_message_of_an_epoch_that_has_ended_is_refused_with_the_commits_since(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let members = stage.crowd(2);
    let group = stage.group(&members).await;
    link.send(&Letter::new(members[0], group, 0)).await;
    for _ in 0..3 {
        stage.commit(group, &[], &[]).await;
    }
    let before = stage.dump().await;

    let late = Letter::new(members[1], group, 1);
    let stale = link.send(&late).await.stale();

    assert_eq!((stale.generation, stale.epoch, stale.more), (0, 3, false));
    let commits: Vec<_> = stale.entries.iter().map(|entry| (entry.seq, entry.epoch)).collect();
    assert_eq!(commits, [(4, 1), (5, 2)], "what it has itself is left out");
    assert!(stale.entries.iter().all(|entry| entry.kind() == GroupEntryKind::Commit));
    let ahead = link.send(&Letter::new(members[1], group, 9)).await.stale();
    assert_eq!((ahead.epoch, ahead.entries.len()), (3, 0));
    assert_eq!(stage.dump().await, before, "nothing was stored");

    assert_eq!(link.send(&late.in_epoch(3)).await.seq(), 6);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn who_is_far_behind_is_told_a_bounded_part_and_that_there_is_more(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(|config| config.commits.refusal_bytes.0 = 20_000).await;
    let mut link = Link::attach(&replica).await;
    let members = stage.crowd(2);
    let group = stage.group(&members).await;
    for _ in 0..5 {
        stage.commit_of(8_000, group, &[], &[]).await;
    }

    let stale = link.send(&Letter::new(members[0], group, 0)).await.stale();

    assert_eq!(stale.entries.iter().map(|entry| entry.epoch).collect::<Vec<_>>(), [0, 1]);
    assert!(stale.more);
    stage.end().await;
}

/// I-9.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn each_refusal_has_its_reason_and_leaves_the_others_of_its_batch_alone(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let members = stage.crowd(2);
    let stranger = stage.account(1)[0];
    let group = stage.group(&members).await;
    let elsewhere = stage.group(&[stranger]).await;
    let before = stage.dump().await;
    let letter = || Letter::new(members[0], group, 0);
    let with_message = |message: Vec<u8>| {
        let mut submit = letter().submit(1, 0);
        submit.send.as_mut().unwrap().message = message.into();
        submit
    };
    let right_id = group.0.mls_id(0);
    let mut no_id = letter().submit(1, 0);
    no_id.send.as_mut().unwrap().client_msg_id = Bytes::from_static(&[7; 16]);
    let mut no_group = letter().submit(1, 0);
    no_group.send.as_mut().unwrap().group = Bytes::from_static(b"none");
    let mut malformed_sender = letter().submit(1, 0);
    malformed_sender.sender = Some(DeviceRef { device: 200, ..device_ref(members[0]) });
    let mut unsaid = letter().submit(1, 0);
    unsaid.send = None;
    let mut of_nowhere = Letter::new(members[0], elsewhere, 0);
    of_nowhere.group.0 = sotto_ids::GroupId::new([9; 16]);

    let wrong: Vec<(&str, Submit)> = vec![
        ("malformed_sender", malformed_sender),
        ("malformed_sender", Submit { sender: None, ..letter().submit(1, 0) }),
        ("malformed_group_message", unsaid),
        ("malformed_message_id", no_id),
        ("no_such_group", no_group),
        ("no_such_group", of_nowhere.submit(1, 0)),
        ("not_a_member", Letter::new(stranger, group, 0).submit(1, 0)),
        ("not_a_member", Letter::new(members[0], elsewhere, 7).submit(1, 0)),
        ("malformed_group_message", with_message(Vec::new())),
        ("malformed_group_message", with_message(b"hello".to_vec())),
        ("malformed_group_message", with_message(private_message(&right_id, 0, 3, 9))),
        ("malformed_group_message", with_message(private_message(&right_id, 4, 1, 9))),
        ("malformed_group_message", with_message(private_message(&[1; 20], 0, 1, 9))),
        ("message_too_large", with_message(vec![0; MAX_GROUP_MESSAGE_BYTES + 1])),
    ];
    let mut items: Vec<Item> = Vec::new();
    for ((_, submit), frame) in wrong.iter().zip(1_000..) {
        items.push(Item::Submit(Submit { frame, ..submit.clone() }));
    }
    link.push(items).await;

    for ((reason, _), frame) in wrong.iter().zip(1_000..) {
        assert_eq!(link.answer(frame).await.reason(), *reason);
    }
    assert_eq!(stage.dump().await, before);
    let right = letter().submit(1, 1);
    let wrong = Letter::new(stranger, group, 0).submit(1, 2);
    link.push(vec![Item::Submit(right), Item::Submit(wrong)]).await;
    assert_eq!(link.answer(1).await.seq(), 2);
    assert_eq!(link.answer(2).await.reason(), "not_a_member");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_largest_message_passes(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;
    let around = Letter::new(member, group, 0).body(30_000).send().message.len() - 30_000;

    let largest = Letter::new(member, group, 0).body(MAX_GROUP_MESSAGE_BYTES - around);

    assert_eq!(largest.send().message.len(), MAX_GROUP_MESSAGE_BYTES);
    assert_eq!(link.send(&largest).await.seq(), 2);
    stage.end().await;
}

/// It fails where a roster is remembered without its epoch.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn who_comes_may_send_at_once_and_who_goes_may_not(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let members = stage.crowd(2);
    let group = stage.group(&members[..1]).await;
    assert_eq!(link.send(&Letter::new(members[1], group, 0)).await.reason(), "not_a_member");

    stage.commit(group, &[], &members[1..]).await;
    assert_eq!(link.send(&Letter::new(members[1], group, 1)).await.seq(), 3);

    stage.commit(group, &members[1..], &[]).await;
    for epoch in [1, 2] {
        let refused = link.send(&Letter::new(members[1], group, epoch)).await;
        assert_eq!(refused.reason(), "not_a_member", "nor does it hear of commits");
    }
    assert_eq!(link.send(&Letter::new(members[0], group, 2)).await.seq(), 5);
    stage.end().await;
}

/// I-7. Its token lives on for minutes, and so does its leaf until the next commit.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_was_revoked_sends_nothing_more(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let devices = stage.account(2);
    let group = stage.group(&devices).await;
    assert_eq!(link.send(&Letter::new(devices[1], group, 0)).await.seq(), 2);

    stage.keys.set(&devices[..1]);
    stage.device_changes.publish(devices[0].address.account).await.unwrap();

    wait_for("the change", async || {
        let answer = link.send(&Letter::new(devices[1], group, 0)).await;
        matches!(answer, Answer::Refused(error)
            if error.reason == "unknown_sender" && error.retry_after_ms == 0)
    })
    .await;
    let before = stage.dump().await;
    let refused = link.send(&Letter::new(devices[1], group, 0)).await;
    assert_eq!((refused.reason(), stage.dump().await), ("unknown_sender", before));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_is_remembered_of_keys_admits_and_never_refuses(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let (devices, others) = (stage.account(2), stage.account(1));
    let group = stage.group(&[devices[0], devices[1], others[0]]).await;
    stage.keys.set(&devices[..1]);
    let letters: Vec<Letter> = (0..50).map(|_| Letter::new(devices[0], group, 0)).collect();
    for frame in link.submit(&letters).await {
        link.answer(frame).await.seq();
    }
    assert_eq!(stage.asked(), 1, "once for a batch");

    stage.keys.set(&devices);
    link.send(&Letter::new(devices[1], group, 0)).await.seq();
    assert_eq!(stage.asked(), 2, "a device that was added a moment ago");

    stage.keys.kill().await;
    link.send(&Letter::new(devices[0], group, 0)).await.seq();
    let refused = link.send(&Letter::new(others[0], group, 0)).await;
    assert_eq!(refused.reason(), "unavailable");
    assert!(matches!(refused, Answer::Refused(error) if error.retry_after_ms > 0));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn who_has_no_socket_sends_over_rest_alike(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let members = stage.crowd(2);
    let group = stage.group(&members[..1]).await;
    let (member, stranger) = (Caller::new(&replica, members[0]), Caller::new(&replica, members[1]));
    let letter = Letter::new(members[0], group, 0);

    for _ in 0..2 {
        let (status, accepted) = member.send(&letter).await;
        assert_eq!((status, accepted["seq"].as_u64()), (StatusCode::OK, Some(2)));
    }
    let (status, problem) = stranger.send(&Letter::new(members[1], group, 0)).await;
    assert_eq!((status, &problem["reason"]), (StatusCode::FORBIDDEN, &"not_a_member".into()));
    stage.commit(group, &[], &[]).await;
    let (status, problem) = member.send(&Letter::new(members[0], group, 0)).await;
    assert_eq!((status, &problem["reason"]), (StatusCode::CONFLICT, &"stale_epoch".into()));
    assert_eq!((problem["epoch"].as_u64(), problem["more"].as_bool()), (Some(1), Some(false)));
    assert_eq!(problem["entries"].as_array().unwrap().len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn messages_of_many_groups_are_stored_together(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let member = stage.account(1)[0];
    let mut letters = Vec::new();
    for _ in 0..40 {
        let group = stage.group(&[member]).await;
        letters.extend((0..5).map(|_| Letter::new(member, group, 0)));
    }

    let mut seqs = Vec::new();
    for frame in link.submit(&letters).await {
        seqs.push(link.answer(frame).await.seq());
    }

    assert_eq!(seqs, [2, 3, 4, 5, 6].repeat(40));
    let groups: HashSet<_> = letters.iter().map(|letter| letter.group).collect();
    for group in groups {
        assert_eq!(stage.head(group).await, (0, 6));
    }
    stage.end().await;
}

/// I-2. It fails where a message is accepted before its transaction is over.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn without_postgres_a_message_is_refused_for_now_and_passes_when_it_is_back(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let postgres = stage.db.connect_options().as_ref().clone();
    let wire = Wire::to(format!("{}:{}", postgres.get_host(), postgres.get_port())).await;
    let over_the_wire = postgres.host("127.0.0.1").port(wire.address.port());
    let replica = stage
        .replica_over(over_the_wire, |config| config.sends.timeout = Duration::from_secs(1))
        .await;
    let mut link = Link::attach(&replica).await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;
    link.watch(&[group]).await;
    let letter = Letter::new(member, group, 0);

    wire.cut();
    assert_eq!(link.send(&letter).await.reason(), "unavailable");
    assert!(link.memberships(member).await.failed);
    assert!(link.heads(&[group]).await.failed);
    assert!(link.take_publications().is_empty());

    wire.mend();
    wait_for("it is back", async || matches!(link.send(&letter).await, Answer::Accepted { .. }))
        .await;
    assert_eq!(stage.head(group).await, (0, 2));
    assert_eq!(link.publication().await.first_seq, 2, "what failed before holds nothing up");
    stage.end().await;
}
