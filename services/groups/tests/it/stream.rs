//! The streams with gateways: who is told what, once, and in which order.

use bytes::Bytes;
use futures_util::future::join_all;
use sotto_proto::{
    groups::{GatewayBatch, ReadHeads, uplink::Item},
    socket::GroupHead,
};
use sqlx::PgPool;
use tonic_types::StatusExt as _;

use crate::{
    scene::Scene,
    stage::{Answer, Device, Group, Letter, Link, Stage, attaching, delivered, gateway, wait_for},
};

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// It fails where a member is told, and not a gateway.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_message_is_published_once_to_each_gateway_that_watches_its_group(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let members = stage.crowd(60);
    let (group, other) = (stage.group(&members).await, stage.group(&members).await);
    let (mut sender, mut watcher) = (Link::attach(&replica).await, Link::attach(&replica).await);
    sender.watch(&[group, other]).await;
    watcher.watch(&[group]).await;
    let letter = Letter::new(members[0], group, 0);

    sender.send(&letter).await.seq();
    sender.send(&Letter::new(members[1], other, 0)).await.seq();

    for link in [&mut sender, &mut watcher] {
        let publication = link.publication().await;
        assert_eq!(publication.group.as_ref(), group.0.as_bytes());
        assert_eq!((publication.first_seq, publication.last_seq), (2, 2));
        assert!(!publication.members_changed);
        let deliver = delivered(&publication);
        assert_eq!(deliver.group.as_ref(), group.0.as_bytes());
        assert_eq!(deliver.entries.len(), 1);
        assert_eq!(deliver.entries[0].message, letter.send().message);
        assert_eq!(deliver.entries[0].client_msg_id.as_ref(), letter.id.as_bytes());
        assert_eq!(deliver.entries[0].server_time_ms, stage.now_ms());
    }
    assert_eq!(sender.publication().await.group.as_ref(), other.0.as_bytes());
    watcher.unwatch(&[group]).await;
    sender.send(&letter).await.seq();
    sender.send(&Letter::new(members[0], group, 0)).await.seq();
    assert_eq!(sender.publication().await.first_seq, 3, "nothing for what came again");
    sender.heads(&[]).await;
    watcher.heads(&[]).await;
    assert!(sender.take_publications().is_empty());
    assert!(watcher.take_publications().is_empty());
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_one_replica_stores_is_published_in_the_order_of_the_log(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let members = stage.crowd(20);
    let group = stage.group(&members).await;
    let mut watcher = Link::attach(&replica).await;
    watcher.watch(&[group]).await;

    join_all(members.iter().map(async |member| {
        let mut link = Link::attach(&replica).await;
        for _ in 0..10 {
            link.send(&Letter::new(*member, group, 0)).await.seq();
        }
    }))
    .await;

    let mut last = 1;
    while last < 201 {
        let publication = watcher.publication().await;
        assert_eq!(publication.first_seq, last + 1);
        let seqs: Vec<u64> =
            delivered(&publication).entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (publication.first_seq..=publication.last_seq).collect::<Vec<_>>());
        last = publication.last_seq;
    }
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_is_too_large_to_send_unasked_is_published_without_its_entries(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(|config| config.gateways.largest_publication.0 = 2_000).await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;
    let mut link = Link::attach(&replica).await;
    link.watch(&[group]).await;

    link.send(&Letter::new(member, group, 0).body(3_000)).await.seq();

    let publication = link.publication().await;
    assert_eq!((publication.first_seq, publication.last_seq), (2, 2));
    assert!(publication.encoded.is_empty());
    stage.end().await;
}

/// I-6. The gateway does not read; what is meant for it does not gather without end. It fails
/// where the queue has no bound.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_that_falls_behind_is_made_to_attach_again(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage
        .replica_with(|config| {
            config.gateways.publications = 1;
            config.gateways.renew_every = std::time::Duration::ZERO;
        })
        .await;
    let members = stage.crowd(30);
    let mut groups = Vec::new();
    for _ in 0..50 {
        groups.push(stage.group(&members).await);
    }
    let (mut slow, mut sender) = (Link::attach(&replica).await, Link::attach(&replica).await);
    slow.watch(&groups).await;

    let letters: Vec<Letter> =
        groups.iter().map(|group| Letter::new(members[0], *group, 0)).collect();
    for frame in sender.submit(&letters).await {
        sender.answer(frame).await.seq();
    }

    assert!(slow.ending().await.is_ok());
    assert!(slow.take_publications().len() < 50);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_is_told_the_groups_of_a_device_and_where_they_stand(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let members = stage.crowd(2);
    let (group, left) = (stage.group(&members).await, stage.group(&members).await);
    stage.commit(left, &members[1..], &[]).await;
    stage.commit(group, &[], &[]).await;
    link.send(&Letter::new(members[0], group, 1)).await.seq();

    let memberships = link.memberships(members[1]).await;
    let of_nobody = link.memberships(stage.account(1)[0]).await;
    let heads = link.heads(&[group, left]).await;

    let head = |group: Group, epoch, seq| GroupHead {
        group: Bytes::copy_from_slice(group.0.as_bytes()),
        generation: 0,
        epoch,
        seq,
    };
    assert_eq!(memberships.heads, [head(group, 1, 3)], "not the one that it has left");
    assert!(!memberships.failed && !of_nobody.failed && of_nobody.heads.is_empty());
    assert_eq!(heads.heads.len(), 2);
    assert!(heads.heads.contains(&head(left, 1, 2)));
    let too_many = vec![Bytes::copy_from_slice(group.0.as_bytes()); 1_001];
    link.push(vec![Item::ReadHeads(ReadHeads { request: 0, groups: too_many })]).await;
    let failed = link.heads(&[]).await;
    assert!(!failed.failed, "the stream goes on");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_says_who_it_is_and_keeps_to_its_credit(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(|config| config.gateways.credit = 3).await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;

    for first in [GatewayBatch::default(), attaching("")] {
        assert!(Link::open(&replica, first).await.is_err());
    }
    let name = gateway();
    let mut before = Link::open(&replica, attaching(&name)).await.unwrap();
    let mut link = Link::open(&replica, attaching(&name)).await.unwrap();
    assert_eq!(link.credit, 3);
    assert_eq!(reason(&before.ending().await.unwrap_err()), "replaced");
    let letters: Vec<Letter> = (0..4).map(|_| Letter::new(member, group, 0)).collect();
    link.submit(&letters).await;
    assert_eq!(reason(&link.ending().await.unwrap_err()), "credit_exceeded");
    stage.end().await;
}

/// I-2. It fails where the stream ends with the drain.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_replica_that_ends_says_first_what_became_of_all_that_was_sent(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let members = stage.crowd(10);
    let group = stage.group(&members).await;
    let mut link = Link::attach(&replica).await;
    let letters: Vec<Letter> = (0..200).map(|n| Letter::new(members[n % 10], group, 0)).collect();
    let frames = link.submit(&letters).await;
    link.answer(frames[0]).await.seq();

    let (ended, ending) = tokio::join!(replica.end_in_order(), async {
        let ending = link.ending().await;
        link.leave();
        ending
    });

    assert!(ended && ending.is_ok());
    let answers = frames[1..].iter().map(|frame| link.arrived_answer(*frame));
    assert!(answers.into_iter().all(|answer| matches!(answer, Some(Answer::Accepted { .. }))));
    assert_eq!(stage.head(group).await, (0, 201));
    stage.end().await;
}

/// What is watched on a stream is watched no more when it has ended.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_that_has_left_watches_nothing(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;
    let name = gateway();
    let mut link = Link::open(&replica, attaching(&name)).await.unwrap();
    link.watch(&[group]).await;
    link.leave();
    assert!(link.ending().await.is_ok());

    let mut link = Link::open(&replica, attaching(&name)).await.unwrap();
    link.send(&Letter::new(member, group, 0)).await.seq();
    link.heads(&[]).await;
    assert!(link.take_publications().is_empty());
    link.watch(&[group]).await;
    wait_for("the publication", async || {
        link.send(&Letter::new(member, group, 0)).await.seq();
        !link.take_publications().is_empty()
    })
    .await;
    stage.end().await;
}

/// Commits come over REST, and are published beside messages, in their place.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn commits_are_published_in_their_place_and_say_whether_members_changed(db: PgPool) {
    let scene = Scene::set(db).await;
    let mut members = scene.group_of(2).await;
    let guest = scene.person();
    let maker = &mut members[0];
    let group = Group(maker.id().0);
    let mut link = Link::attach(&scene.replicas[0]).await;
    link.watch(&[group]).await;
    let sender = Device { account: maker.leaf.account, address: maker.address() };

    let mut expected = Vec::new();
    for round in 0..5 {
        link.send(&Letter::new(sender, group, maker.epoch())).await.seq();
        maker.update().await;
        expected.extend([(1, false), (2, false)]);
        if round == 2 {
            maker.add(std::slice::from_ref(&guest)).await;
            expected.push((2, true));
        }
    }

    let mut last = None;
    for (kind, members_changed) in expected {
        let publication = link.publication().await;
        let entries = delivered(&publication).entries;
        assert_eq!((entries.len(), entries[0].kind), (1, kind));
        assert_eq!(publication.members_changed, members_changed);
        assert!(last.is_none_or(|last| publication.first_seq == last + 1));
        last = Some(publication.last_seq);
    }
    scene.end().await;
}
