//! Envelopes whose time is over.

use std::time::Duration;

use sqlx::PgPool;

use crate::harness::{Answer, DAY, Letter, Link, Stage, gateway, id_of, wait_for};

/// Looked at in the table itself, under all its days.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn after_its_own_short_life_an_envelope_is_shown_to_nobody_and_has_no_row(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let idle = stage.replica_with(|config| config.queue.sweep_every = DAY).await;
    let mut link = Link::attach(&idle, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let short = Letter::new(alice[0], &bob, stage.now_ms()).ttl(60);
    let longer = Letter::new(alice[0], &bob, stage.now_ms() + 1).ttl(120);
    let normal = Letter::new(alice[0], &bob, stage.now_ms() + 2);
    for letter in [&short, &longer, &normal] {
        assert_eq!(link.send(letter).await, Answer::Accepted);
    }

    stage.clock.advance(Duration::from_secs(59));
    assert_eq!(link.pull(bob[0], &[], 10).await.envelopes.len(), 3);
    stage.clock.advance(Duration::from_secs(1));

    let page = link.pull(bob[0], &[], 10).await;
    let ids: Vec<_> = page.envelopes.iter().map(id_of).collect();
    let rest = [&longer, &normal].map(|letter| letter.envelope_id(bob[0]));
    assert_eq!(ids, rest);
    assert_eq!(stage.queue(bob[0]).await.len(), 3, "nobody has swept yet");
    let sweeping =
        stage.replica_with(|config| config.queue.sweep_every = Duration::from_millis(20)).await;
    wait_for("its row goes", async || stage.queue(bob[0]).await == rest).await;
    drop(sweeping);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_nobody_fetched_in_the_longest_time_is_shown_to_nobody_and_goes_with_its_day(
    db: PgPool,
) {
    let mut stage = Stage::set(db).await;
    let replica = stage
        .replica_with(|config| {
            config.queue.max_age = 3 * DAY;
            config.queue.partitions_every = Duration::from_millis(20);
        })
        .await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    assert_eq!(link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await, Answer::Accepted);

    stage.clock.advance(3 * DAY);

    assert!(link.pull(bob[0], &[], 10).await.envelopes.is_empty());
    stage.clock.advance(2 * DAY);
    wait_for("its row goes", async || stage.dump().await.starts_with("\n--")).await;
    stage.end().await;
}
