//! Pages of a queue.

use std::time::Duration;

use sotto_kit::config::ByteSize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::harness::{DAY, Letter, Link, Stage, gateway, id_of, wait_for};

fn ids(page: &sotto_proto::messages::Page) -> Vec<Uuid> {
    page.envelopes.iter().map(id_of).collect()
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn pages_come_oldest_first_without_what_is_in_flight(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let mut letters: Vec<Letter> =
        (0..5).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();
    let expected: Vec<Uuid> = letters.iter().map(|letter| letter.envelope_id(bob[0])).collect();
    letters.reverse();
    for frame in link.submit(&letters).await {
        link.answer(frame).await;
    }

    let first = link.pull(bob[0], &[], 2).await;
    let second = link.pull(bob[0], &expected[..2], 2).await;
    let third = link.pull(bob[0], &expected[..4], 2).await;
    let fourth = link.pull(bob[0], &expected, 2).await;

    assert_eq!((ids(&first), first.last), (expected[..2].to_vec(), false));
    assert_eq!((ids(&second), second.last), (expected[2..4].to_vec(), false));
    assert_eq!((ids(&third), third.last), (expected[4..].to_vec(), true));
    assert_eq!((ids(&fourth), fourth.last), (vec![], true));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_page_that_takes_all_that_waits_says_so(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letters: Vec<Letter> =
        (0..3).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();
    for frame in link.submit(&letters).await {
        link.answer(frame).await;
    }

    let page = link.pull(bob[0], &[], 3).await;

    assert_eq!((page.envelopes.len(), page.last, page.failed), (3, true, false));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_page_is_bounded_in_envelopes_and_in_bytes_whatever_is_asked_for(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage
        .replica_with(|config| {
            config.pages.envelopes = 4;
            config.pages.bytes = ByteSize(10_000);
        })
        .await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    for n in 0..6 {
        let large = Letter::new(alice[0], &bob, stage.now_ms() + n).body(vec![1; 4_000]);
        link.send(&large).await;
    }

    let by_bytes = link.pull(bob[0], &[], 1_000).await;
    assert_eq!(
        (by_bytes.envelopes.len(), by_bytes.last),
        (3, false),
        "the third reaches the bound"
    );

    let small = Letter::new(alice[0], &stage.account(1), stage.now_ms());
    for n in 0..6 {
        let mut letter = small.clone();
        letter.id = Letter::new(alice[0], &bob, stage.now_ms() + n).id;
        link.send(&letter).await;
    }
    let by_count = link.pull(small.to[0], &[], 0).await;
    assert_eq!((by_count.envelopes.len(), by_count.last), (4, false));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_has_expired_is_not_delivered_and_is_swept(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let tidy = stage.replica_with(|c| c.queue.sweep_every = Duration::from_millis(20)).await;
    let untidy = stage.replica().await;
    let mut link = Link::attach(&untidy, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let short = Letter { ttl_seconds: 60, ..Letter::new(alice[0], &bob, stage.now_ms()) };
    let long = Letter::new(alice[0], &bob, stage.now_ms() + 1);
    link.send(&short).await;
    link.send(&long).await;
    assert_eq!(link.pull(bob[0], &[], 10).await.envelopes.len(), 2);

    stage.clock.advance(Duration::from_mins(1));

    assert_eq!(ids(&link.pull(bob[0], &[], 10).await), [long.envelope_id(bob[0])]);
    wait_for("the sweep", async || stage.queue(bob[0]).await == [long.envelope_id(bob[0])]).await;
    drop(tidy);

    stage.clock.advance(30 * DAY);
    assert!(ids(&link.pull(bob[0], &[], 10).await).is_empty(), "its time is over too");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_queue_that_nobody_ever_wrote_to_is_an_empty_last_page(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let bob = stage.account(1);

    let page = link.pull(bob[0], &[], 10).await;

    assert!(page.envelopes.is_empty() && page.last && !page.failed);
    stage.end().await;
}
