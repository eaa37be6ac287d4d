//! How far devices are.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use reqwest::StatusCode;
use sotto_kit::read_only::Maintenance;
use sqlx::PgPool;

use crate::stage::{Caller, Letter, Link, Stage, wait_for};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_cursor_moves_forward_only_and_no_further_than_the_device_may_read(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await).await;
    let members = stage.crowd(3);
    let (group, other) = (stage.group(&members).await, stage.group(&members[..1]).await);
    for _ in 0..9 {
        link.send(&Letter::new(members[0], group, 0)).await.seq();
    }
    stage.commit(group, &members[2..], &[]).await;
    link.send(&Letter::new(members[0], group, 1)).await.seq();

    link.acknowledge(members[0], &[(group, 5), (group, 3)]).await;
    link.acknowledge(members[1], &[(group, u64::MAX), (other, 1)]).await;
    link.acknowledge(members[2], &[(group, 12)]).await;

    wait_for("all of them", async || {
        let mut cursors = Vec::new();
        for member in &members {
            cursors.push(stage.cursor(group, *member).await);
        }
        cursors == [5, 12, 11]
    })
    .await;
    link.acknowledge(members[0], &[(group, 4)]).await;
    link.acknowledge(members[0], &[(other, 1)]).await;
    wait_for("the later one", async || stage.cursor(other, members[0]).await == 1).await;
    assert_eq!(stage.cursor(group, members[0]).await, 5);
    stage.end().await;
}

/// Acknowledgements of a crowd, while members are being removed in the opposite order: nobody
/// is held up for longer than a moment, and all cursors arrive.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn acknowledgements_of_a_crowd_arrive_while_members_go(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replicas = [stage.replica().await, stage.replica().await];
    let members = stage.crowd(80);
    let group = stage.group(&members).await;
    let mut sender = Link::attach(&replicas[0]).await;
    for _ in 0..20 {
        sender.send(&Letter::new(members[0], group, 0)).await.seq();
    }
    let mut going: Vec<_> = members[40..].to_vec();
    going.sort_unstable_by_key(|device| std::cmp::Reverse(device.address));

    let acknowledging = join_all(members.iter().enumerate().map(async |(number, member)| {
        let mut link = Link::attach(&replicas[number % 2]).await;
        for seq in 1..=21 {
            link.acknowledge(*member, &[(group, seq)]).await;
        }
        link.heads(&[]).await;
    }));
    let leaving = async {
        for gone in going.chunks(8) {
            stage.commit(group, gone, &[]).await;
        }
    };
    tokio::join!(acknowledging, leaving);

    wait_for("all cursors", async || {
        let mut arrived = 0;
        for member in &members {
            arrived += usize::from(stage.cursor(group, *member).await == 21);
        }
        arrived == members.len()
    })
    .await;
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn members_see_how_far_each_device_is(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let members = stage.crowd(3);
    let group = stage.group(&members[..2]).await;
    let (reader, stranger) = (Caller::new(&replica, members[0]), Caller::new(&replica, members[2]));
    Link::attach(&replica).await.send(&Letter::new(members[0], group, 0)).await.seq();

    assert_eq!(reader.put_cursors(&[(group, 2)]).await, StatusCode::NO_CONTENT);
    assert_eq!(stranger.put_cursors(&[(group, 2)]).await, StatusCode::NO_CONTENT);
    wait_for("the cursor", async || stage.cursor(group, members[0]).await == 2).await;

    let (status, answer) = reader.get(&format!("/{}/cursors", group.0)).await;
    assert_eq!(status, StatusCode::OK);
    let seen = answer["members"].as_array().unwrap();
    assert_eq!(seen.len(), 2);
    let own = members[0].address.account.to_string();
    let own = seen.iter().find(|member| member["account"] == own).unwrap();
    assert_eq!((own["device_id"].as_u64(), own["cursor"].as_u64()), (Some(1), Some(2)));
    let (status, problem) = stranger.get(&format!("/{}/cursors", group.0)).await;
    assert_eq!((status, &problem["reason"]), (StatusCode::FORBIDDEN, &"not_a_member".into()));
    let too_many = vec![(group, 1); 257];
    assert_eq!(reader.put_cursors(&too_many).await, StatusCode::UNPROCESSABLE_ENTITY);
    stage.end().await;
}

/// I-9. It fails where cursors are written as ever.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn during_maintenance_messages_are_refused_logs_are_read_and_cursors_wait(db: PgPool) {
    let mut stage = Stage::set(db).await;
    // The first cursor is written at once, if it is.
    let replica = stage.replica_with(|config| config.acks.rows = 1).await;
    let mut link = Link::attach(&replica).await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;
    link.send(&Letter::new(member, group, 0)).await.seq();
    let before = stage.dump().await;

    let until_ms = Some(stage.now_ms() + 60_000);
    let maintenance = Maintenance { reason: Some("moving house".to_owned()), until_ms };
    stage.maintenance.send_replace(Some(Arc::new(maintenance)));

    assert_eq!(link.send(&Letter::new(member, group, 0)).await.reason(), "read_only");
    link.acknowledge(member, &[(group, 2)]).await;
    assert_eq!(Caller::new(&replica, member).whole_log(group, 500).await, [1, 2]);
    assert_eq!(link.memberships(member).await.heads.len(), 1);
    assert_eq!(stage.dump().await, before);

    stage.clock.advance(Duration::from_mins(1));
    wait_for("the cursor", async || stage.cursor(group, member).await == 2).await;
    link.send(&Letter::new(member, group, 0)).await.seq();
    stage.end().await;
}

/// A standby that was not promoted yet, or a disk that is full (SQLSTATE 25006).
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_database_that_takes_no_writes_is_maintenance_that_nobody_announced(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let options = stage.db.connect_options().as_ref().clone();
    let options = options.options([("default_transaction_read_only", "on")]);
    let replica = stage.replica_over(options, |_| {}).await;
    let mut link = Link::attach(&replica).await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;

    assert_eq!(link.send(&Letter::new(member, group, 0)).await.reason(), "read_only");
    assert_eq!(Caller::new(&replica, member).whole_log(group, 500).await, [1]);
    stage.end().await;
}
