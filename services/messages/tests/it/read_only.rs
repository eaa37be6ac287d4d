//! Maintenance: nothing is changed, and reading goes on.

use std::{sync::Arc, time::Duration};

use sotto_kit::read_only::Maintenance;
use sotto_proto::socket::MessageClass;
use sqlx::PgPool;

use crate::harness::{Answer, Letter, Link, Stage, connect_redis, gateway, redis_url, wait_for};

/// I-9. It fails where acknowledgements are deleted as ever.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn during_maintenance_sends_are_refused_queues_are_read_and_acknowledgements_wait(
    db: PgPool,
) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letters = [0, 1].map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n));
    for letter in &letters {
        assert_eq!(link.send(letter).await, Answer::Accepted);
    }
    let before = stage.dump().await;

    let until_ms = Some(stage.now_ms() + 60_000);
    let maintenance = Maintenance { reason: Some("moving house".to_owned()), until_ms };
    stage.maintenance.send_replace(Some(Arc::new(maintenance)));

    let refused = link.send(&Letter::new(alice[0], &bob, stage.now_ms() + 2)).await;
    assert_eq!(refused.reason(), "read_only");
    assert!(matches!(refused, Answer::Refused(error)
        if error.retry_after_ms == 60_000 && error.detail.contains("moving house")));
    assert_eq!(link.retract(&letters[0], alice[0], &bob).await.reason(), "read_only");
    let typing = Letter::new(alice[0], &bob, stage.now_ms()).class(MessageClass::Ephemeral);
    assert_eq!(link.send(&typing).await, Answer::Accepted, "it changes nothing");
    link.acknowledge(bob[0], &[letters[0].envelope_id(bob[0])]).await;
    let page = link.pull(bob[0], &[], 10).await;
    assert_eq!(page.envelopes.len(), 1, "the acknowledged one is left out");
    assert_eq!(stage.dump().await, before, "and still there");

    stage.clock.advance(Duration::from_mins(1));
    let rest = [letters[1].envelope_id(bob[0])];
    wait_for("its row goes", async || stage.queue(bob[0]).await == rest).await;
    assert_eq!(link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await, Answer::Accepted);
    stage.end().await;
}

/// A standby that was not promoted yet, or a disk that is full (SQLSTATE 25006).
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_database_that_takes_no_writes_is_maintenance_that_nobody_announced(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let writing = stage.replica().await;
    let options = stage.db.connect_options().as_ref().clone();
    let redis = connect_redis(&redis_url()).await;
    let reading = stage
        .replica_over(options.options([("default_transaction_read_only", "on")]), redis, |_| {})
        .await;
    let (mut writing, mut reading) =
        (Link::attach(&writing, &gateway()).await, Link::attach(&reading, &gateway()).await);
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letter = Letter::new(alice[0], &bob, stage.now_ms());
    writing.send(&letter).await;
    let before = stage.dump().await;

    let refused = reading.send(&Letter::new(alice[0], &bob, stage.now_ms() + 1)).await;
    assert_eq!(refused.reason(), "read_only");
    assert!(matches!(refused, Answer::Refused(error) if error.retry_after_ms > 0));
    assert_eq!(reading.retract(&letter, alice[0], &bob).await.reason(), "read_only");
    assert_eq!(reading.pull(bob[0], &[], 10).await.envelopes.len(), 1);
    reading.acknowledge(bob[0], &[letter.envelope_id(bob[0])]).await;
    assert!(reading.pull(bob[0], &[], 10).await.envelopes.is_empty(), "it waits");

    assert_eq!(stage.dump().await, before);
    stage.end().await;
}
