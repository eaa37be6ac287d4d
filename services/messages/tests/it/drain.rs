//! How a replica ends.

use std::time::Duration;

use sqlx::PgPool;
use tonic::Code;

use crate::harness::{Answer, Letter, Link, MINUTE, Stage, attaching, gateway};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_replica_that_drains_answers_what_it_has_read_and_deletes_what_is_acknowledged(
    db: PgPool,
) {
    let mut stage = Stage::set(db).await;
    // Many commits, so that most are still to come when the end begins.
    let replica = stage.replica_with(|config| config.commit.rows = 5).await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let first = Letter::new(alice[0], &bob, stage.now_ms());
    assert_eq!(link.send(&first).await, Answer::Accepted);
    let letters: Vec<Letter> =
        (1..400).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();

    link.acknowledge(bob[0], &[first.envelope_id(bob[0])]).await;
    let frames = link.submit(&letters).await;
    link.answer(frames[0]).await;
    let (ended, ending) = tokio::join!(replica.end_in_order(), link.ending());
    assert!(ended && ending.is_ok());

    for (frame, letter) in frames.iter().zip(&letters).skip(1) {
        let accepted = link.arrived_answer(*frame) == Some(Answer::Accepted);
        assert!(accepted, "what came in one batch is answered as one");
        assert!(stage.queue(bob[0]).await.contains(&letter.envelope_id(bob[0])));
    }
    assert!(!stage.queue(bob[0]).await.contains(&first.envelope_id(bob[0])));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_replica_that_drains_takes_no_new_gateway(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;

    replica.lifecycle.drain();

    let refused = Link::open(&replica, attaching(&gateway())).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unavailable);
    stage.end().await;
}

/// One that hears nothing more holds the end up for a while, not for ever.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_that_does_not_read_does_not_keep_a_replica_from_ending(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica =
        stage.replica_with(|config| config.leave_timeout = Duration::from_millis(100)).await;
    let name = gateway();
    let deaf = Link::attach(&replica, &name).await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;
    for n in 0..100 {
        let large = Letter::new(alice[0], &bob, stage.now_ms() + n).body(vec![1; 64 * 1024]);
        assert_eq!(link.send(&large).await, Answer::Accepted);
    }

    replica.lifecycle.drain();
    let drained = replica.lifecycle.drained(MINUTE);

    assert!(tokio::time::timeout(MINUTE / 2, drained).await.is_ok());
    drop((deaf, link));
    stage.end().await;
}
