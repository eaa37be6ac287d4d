//! The days of the queue.

use std::time::Duration;

use sqlx::{Executor as _, PgPool};

use crate::harness::{Answer, DAY, Letter, Link, Stage, gateway, wait_for};

async fn days(db: &PgPool) -> Vec<String> {
    sqlx::query_scalar!(
        r#"
        SELECT relname::text AS "name!"
        FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent = 'messages.queue'::regclass
        ORDER BY 1
        "#
    )
    .fetch_all(db)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_days_that_a_send_may_fall_on_exist_before_the_service_is_ready(db: PgPool) {
    let mut stage = Stage::set(db).await;

    stage.replica().await;

    let expected = ["queue_20250615", "queue_20250616", "queue_20250617", "queue_20250618"];
    assert_eq!(days(&stage.db).await, expected);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn replicas_that_start_at_once_do_not_trip_over_each_other(db: PgPool) {
    let mut stage = Stage::set(db.clone()).await;
    let make = (0..30).map(|_| {
        sqlx::query_scalar!(
            "SELECT messages.create_queue_partitions($1, $2)",
            1_750_075_200_000,
            1_750_075_200_000 + 10 * 86_400_000,
        )
        .fetch_one(&db)
    });

    let made = futures_util::future::join_all(make).await;

    let made: Vec<i32> = made.into_iter().map(|made| made.unwrap().unwrap()).collect();
    assert_eq!(made.iter().sum::<i32>(), 11, "each day was made once");
    stage.replica().await;
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn days_come_and_go_as_time_passes_and_no_send_falls_between(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage
        .replica_with(|config| {
            config.queue.max_age = 3 * DAY;
            config.queue.partitions_every = Duration::from_millis(20);
        })
        .await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));

    for _ in 0..8 {
        assert_eq!(link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await, Answer::Accepted);
        let yesterday = stage.now_ms() - 86_400_000;
        assert_eq!(link.send(&Letter::new(alice[0], &bob, yesterday)).await, Answer::Accepted);
        let before = days(&stage.db).await;
        stage.clock.advance(DAY);
        wait_for("tomorrow's day", async || days(&stage.db).await.last() > before.last()).await;
    }

    // The 24th, at noon: what was accepted four days ago may still wait, and it may
    // have been a day old then.
    wait_for("old days go", async || days(&stage.db).await.first().unwrap() == "queue_20250620")
        .await;
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_role_of_the_service_can_neither_make_nor_drop_tables_by_itself(db: PgPool) {
    let mut stage = Stage::set(db).await;
    stage.replica().await;
    let mut service = stage.db.acquire().await.unwrap();
    service.execute("SET ROLE sotto_messages").await.unwrap();

    for statement in [
        "CREATE TABLE messages.mine ()",
        "DROP TABLE messages.queue_20250616",
        "DROP TABLE messages.queue",
        "SELECT * FROM keys.accounts",
    ] {
        let error = service.execute(statement).await.unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "42501", "{statement}");
    }
    drop(service);
    stage.end().await;
}
