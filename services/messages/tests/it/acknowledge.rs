//! What a device has is deleted, and nothing else.

use std::time::Duration;

use sqlx::PgPool;

use crate::harness::{Letter, Link, Stage, gateway, wait_for};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_acknowledged_envelope_is_gone_and_the_others_stay(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    let letters = [0, 1].map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n));
    for letter in &letters {
        link.send(letter).await;
    }

    link.acknowledge(bob[0], &[letters[0].envelope_id(bob[0])]).await;

    let rest = [letters[1].envelope_id(bob[0])];
    wait_for("the row goes", async || stage.queue(bob[0]).await == rest).await;
    assert_eq!(stage.queue(bob[1]).await.len(), 2, "each device has its own queue");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_cannot_acknowledge_for_another(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    let letter = Letter::new(alice[0], &bob, stage.now_ms());
    link.send(&letter).await;

    link.acknowledge(bob[1], &[letter.envelope_id(bob[0]), letter.envelope_id(bob[1])]).await;

    wait_for("its own row goes", async || stage.queue(bob[1]).await.is_empty()).await;
    assert_eq!(stage.queue(bob[0]).await.len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_page_leaves_out_what_is_acknowledged_and_not_deleted_yet(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let unhurried = stage.replica_with(|config| config.acks.every = Duration::from_hours(1)).await;
    let mut link = Link::attach(&unhurried, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letter = Letter::new(alice[0], &bob, stage.now_ms());
    link.send(&letter).await;

    link.acknowledge(bob[0], &[letter.envelope_id(bob[0])]).await;
    let page = link.pull(bob[0], &[], 10).await;

    assert!(page.envelopes.is_empty() && page.last);
    assert_eq!(stage.queue(bob[0]).await.len(), 1, "the row is still there");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn many_acknowledgements_are_deleted_without_waiting_for_the_pause(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let unhurried = stage
        .replica_with(|config| {
            config.acks.every = Duration::from_hours(1);
            config.acks.rows = 20;
        })
        .await;
    let mut link = Link::attach(&unhurried, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letters: Vec<Letter> =
        (0..50).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();
    for frame in link.submit(&letters).await {
        link.answer(frame).await;
    }

    let ids: Vec<_> = letters.iter().map(|letter| letter.envelope_id(bob[0])).collect();
    link.acknowledge(bob[0], &ids).await;

    wait_for("the rows go", async || stage.queue(bob[0]).await.is_empty()).await;
    stage.end().await;
}
