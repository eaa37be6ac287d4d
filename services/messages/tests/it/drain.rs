//! How a replica ends.

use sqlx::PgPool;
use tonic::Code;

use crate::harness::{Answer, Letter, Link, Stage, attaching, gateway, wait_for};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_replica_that_drains_answers_what_it_has_read_and_deletes_what_is_acknowledged(
    db: PgPool,
) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let first = Letter::new(alice[0], &bob, stage.now_ms());
    assert_eq!(link.send(&first).await, Answer::Accepted);
    let letters: Vec<Letter> =
        (1..400).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();

    link.acknowledge(bob[0], &[first.envelope_id(bob[0])]).await;
    let frames = link.submit(&letters).await;
    link.answer(frames[0]).await;
    replica.lifecycle.drain();
    assert!(link.ending().await.is_ok());

    for (frame, letter) in frames.iter().zip(&letters).skip(1) {
        let accepted = link.arrived_answer(*frame) == Some(Answer::Accepted);
        assert!(accepted, "what came in one batch is answered as one");
        assert!(stage.queue(bob[0]).await.contains(&letter.envelope_id(bob[0])));
    }
    wait_for("the acknowledged row", async || {
        !stage.queue(bob[0]).await.contains(&first.envelope_id(bob[0]))
    })
    .await;
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
