//! What is over goes.

use std::time::Duration;

use reqwest::StatusCode;
use sotto_groups::GroupsConfig;
use sqlx::PgPool;

use crate::stage::{Caller, Group, Letter, Link, Stage, wait_for};

const DAY: Duration = Duration::from_hours(24);

fn often(config: &mut GroupsConfig) {
    config.log.expire_every = Duration::from_millis(20);
    // Less than there is to delete.
    config.log.expire_rows = 3;
}

async fn kept_from(stage: &Stage, group: Group) -> i64 {
    sqlx::query_scalar("SELECT kept_from_seq FROM groups.groups WHERE group_id = $1")
        .bind(group.0.as_uuid())
        .fetch_one(&stage.db)
        .await
        .unwrap()
}

/// It fails where `kept_from_seq` stays, and where more goes than what lies before it.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn entries_are_kept_for_their_time_and_who_lacks_older_ones_is_told_so(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(often).await;
    let mut link = Link::attach(&replica).await;
    let members = stage.crowd(3);
    let (group, quiet) = (stage.group(&members).await, stage.group(&members).await);
    for _ in 0..10 {
        link.send(&Letter::new(members[0], group, 0)).await.seq();
    }
    stage.commit(group, &members[2..], &[]).await;
    stage.clock.advance(20 * DAY);
    for _ in 0..4 {
        link.send(&Letter::new(members[0], group, 1)).await.seq();
    }
    let caller = Caller::new(&replica, members[1]);
    assert_eq!(caller.whole_log(group, 5).await.len(), 16);

    stage.clock.advance(11 * DAY);
    wait_for("the old ones go", async || kept_from(&stage, group).await == 13).await;
    wait_for("those of the quiet group", async || kept_from(&stage, quiet).await == 2).await;

    let seqs: Vec<u64> = stage.log(group).await.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, [13, 14, 15, 16]);
    let expired = (StatusCode::GONE, "log_expired".to_owned());
    assert_eq!(caller.log(group, 11, 500).await.unwrap_err(), expired);
    assert_eq!(caller.log(group, 12, 500).await.unwrap().entries.len(), 4);
    let caught_up = caller.log(quiet, 1, 500).await.unwrap();
    assert!(caught_up.entries.is_empty(), "who has all of it lacks nothing");
    assert_eq!(stage.count("members").await, 5, "who has left has nothing more to read");
    assert_eq!(link.send(&Letter::new(members[0], quiet, 0)).await.seq(), 2, "it goes on");
    stage.end().await;
}

/// The clocks of replicas differ: what looks old behind what looks new stays until its turn.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn no_gap_comes_of_clocks_that_differ(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(often).await;
    let mut link = Link::attach(&replica).await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;
    for _ in 0..9 {
        link.send(&Letter::new(member, group, 0)).await.seq();
    }
    sqlx::query("UPDATE groups.log SET server_time_ms = server_time_ms + 1000000 WHERE seq = 5")
        .execute(&stage.db)
        .await
        .unwrap();

    stage.clock.advance(30 * DAY + Duration::from_secs(1));
    wait_for("those before it go", async || kept_from(&stage, group).await == 5).await;
    // The job has come by here again when it has cut another group.
    let other = stage.group(&[member]).await;
    sqlx::query("UPDATE groups.log SET server_time_ms = 0 WHERE group_id = $1")
        .bind(other.0.as_uuid())
        .execute(&stage.db)
        .await
        .unwrap();
    wait_for("another group", async || kept_from(&stage, other).await == 2).await;

    let seqs: Vec<u64> = stage.log(group).await.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, [5, 6, 7, 8, 9, 10]);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_group_that_nobody_is_in_goes_with_its_log(db: PgPool) {
    let mut stage = Stage::set(db).await;
    stage.replica_with(often).await;
    let members = stage.crowd(2);
    let (empty, other) = (stage.group(&members[..1]).await, stage.group(&members).await);
    stage.commit(empty, &members[..1], &[]).await;

    stage.clock.advance(31 * DAY);

    wait_for("the group", async || stage.count("groups").await == 1).await;
    assert_eq!(stage.head(other).await, (0, 1));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_welcome_that_nobody_fetches_goes_and_a_tree_with_the_last_one(db: PgPool) {
    let mut stage = Stage::set(db).await;
    stage.replica_with(often).await;
    let members = stage.crowd(2);
    let group = stage.group(&members).await;
    stage.commit(group, &[], &[]).await;
    stage.commit(group, &[], &[]).await;
    let made_at_ms = i64::try_from(stage.now_ms()).unwrap();
    sqlx::query(
        "INSERT INTO groups.welcomes \
             (account, device, group_id, generation, epoch, seq, made_at_ms, welcome) \
         VALUES ($1, 1, $2, 0, 1, 2, $3, '')",
    )
    .bind(members[0].address.account.as_uuid())
    .bind(group.0.as_uuid())
    .bind(made_at_ms)
    .execute(&stage.db)
    .await
    .unwrap();
    for epoch in [1_i64, 2] {
        sqlx::query(
            "INSERT INTO groups.trees (group_id, generation, epoch, made_at_ms, tree) \
             VALUES ($1, 0, $2, $3, '')",
        )
        .bind(group.0.as_uuid())
        .bind(epoch)
        .bind(made_at_ms)
        .execute(&stage.db)
        .await
        .unwrap();
    }

    // The job has come by when it has cut a log.
    let witness = stage.group(&members).await;
    sqlx::query("UPDATE groups.log SET server_time_ms = 0 WHERE group_id = $1")
        .bind(witness.0.as_uuid())
        .execute(&stage.db)
        .await
        .unwrap();
    wait_for("the job", async || kept_from(&stage, witness).await == 2).await;
    assert_eq!((stage.count("trees").await, stage.count("welcomes").await), (2, 1));

    stage.clock.advance(31 * DAY);
    wait_for("they go", async || {
        (stage.count("trees").await, stage.count("welcomes").await) == (1, 0)
    })
    .await;
    stage.end().await;
}
