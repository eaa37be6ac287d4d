//! Devices that their accounts do not have any more.

use std::time::Duration;

use sqlx::PgPool;

use crate::harness::{Answer, Letter, Link, Stage, gateway, wait_for};

/// I-7. It fails where a pull is not held against the account, and where nobody deletes
/// what waits for a device that has gone.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_7_a_revoked_device_gets_nothing_more_and_its_queue_goes(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replicas = [stage.replica().await, stage.replica().await];
    let mut links = Vec::new();
    for replica in &replicas {
        links.push(Link::attach(replica, &gateway()).await);
    }
    let (alice, bob) = (stage.account(1), stage.account(2));
    for n in 0..50 {
        let letter = Letter::new(alice[0], &bob, stage.now_ms() + n);
        assert_eq!(links[0].send(&letter).await, Answer::Accepted);
    }
    assert_eq!(links[1].pull(bob[1], &[], 10).await.envelopes.len(), 10);

    stage.keys.set("socialink", &bob[..1]);
    stage.device_changes.publish(bob[0].address.account).await.unwrap();

    wait_for("its rows go", async || stage.queue(bob[1]).await.is_empty()).await;
    assert_eq!(stage.queue(bob[0]).await.len(), 50, "the other device keeps its own");
    for link in &mut links {
        let page = link.pull(bob[1], &[], 10).await;
        assert!(page.revoked && page.envelopes.is_empty());
        let letter = Letter::new(alice[0], &bob, stage.now_ms());
        assert!(matches!(link.send(&letter).await, Answer::Mismatch(no) if no.extra == [2]));
        assert_eq!(link.pull(bob[0], &[], 10).await.envelopes.len(), 10);
    }
    assert!(stage.queue(bob[1]).await.is_empty());
    stage.end().await;
}

/// The notice was lost with Redis: it is found out when what is remembered is too old.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revocation_that_nobody_told_of_is_seen_when_keys_is_asked_again(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;
    stage.keys.set("socialink", &bob[..1]);
    assert!(!link.pull(bob[1], &[], 10).await.revoked, "what is remembered admits");

    stage.clock.advance(Duration::from_secs(10));

    assert!(link.pull(bob[1], &[], 10).await.revoked);
    wait_for("its rows go", async || stage.queue(bob[1]).await.is_empty()).await;
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_send_that_shows_a_device_to_be_gone_has_its_queue_deleted(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(|config| config.queue.max_envelopes = 1).await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;
    let overflowing = link.send(&Letter::new(alice[0], &bob, stage.now_ms() + 1)).await;
    assert_eq!(overflowing.reason(), "queue_full");
    stage.keys.set("socialink", &bob[..1]);
    stage.clock.advance(Duration::from_secs(10));

    let answer = link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;

    assert!(matches!(answer, Answer::Mismatch(no) if no.extra == [2]));
    wait_for("its rows go", async || stage.queue(bob[1]).await.is_empty()).await;
    wait_for("its overflow goes", async || {
        stage.dump().await.split_once("--\n").unwrap().1.lines().count() == 1
    })
    .await;
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn while_keys_is_away_queues_are_read_all_the_same(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;

    stage.keys.kill().await;
    stage.clock.advance(Duration::from_secs(10));

    for _ in 0..20 {
        let page = link.pull(bob[0], &[], 10).await;
        assert!(!page.revoked && !page.failed);
        assert_eq!(page.envelopes.len(), 1);
    }
    stage.end().await;
}

/// It reads its queue before it has published prekeys, as any new device does.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_cannot_be_written_to_yet_is_not_taken_for_a_revoked_one(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let bob = stage.account(2);
    stage.keys.set_with("socialink", &bob[..1], &bob[1..]);

    let page = link.pull(bob[1], &[], 10).await;

    assert!(!page.revoked && page.last);
    stage.end().await;
}

/// I-2. While keys is asked about an account, a device is added to it and written to. It
/// fails where the purge asks keys first and looks into the queues then: what came in
/// between would be taken for the rest of a device that has gone.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_2_what_waits_for_a_device_that_was_just_added_is_never_taken_for_a_rest(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob, carol) = (stage.account(1), stage.account(10), stage.account(2));
    link.send(&Letter::new(alice[0], &carol, stage.now_ms())).await;
    stage.keys.set("socialink", &bob[..1]);
    link.send(&Letter::new(alice[0], &bob[..1], stage.now_ms())).await;

    for size in 2..=10_u32 {
        let devices = &bob[..usize::try_from(size).unwrap()];
        let (asked, release) = (stage.asked(), stage.keys.hold_next());
        stage.device_changes.publish(bob[0].address.account).await.unwrap();
        wait_for("the purge asks", async || stage.asked() > asked).await;
        stage.keys.set("socialink", devices);
        let letter = Letter::new(alice[0], devices, stage.now_ms() + u64::from(size));
        assert_eq!(link.send(&letter).await, Answer::Accepted);
        release.send(()).unwrap();
    }

    stage.keys.set("socialink", &carol[..1]);
    stage.device_changes.publish(carol[0].address.account).await.unwrap();
    wait_for("the purges are through", async || stage.queue(carol[1]).await.is_empty()).await;
    for (device, waiting) in bob.iter().zip([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) {
        assert_eq!(stage.queue(*device).await.len(), waiting);
    }
    stage.end().await;
}
