//! What devices read of the logs of their groups.

use reqwest::StatusCode;
use sqlx::PgPool;

use crate::stage::{Caller, Letter, Link, Stage};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_log_is_read_in_pages_without_gaps(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(|config| config.log.page_bytes.0 = 4_000).await;
    let member = stage.account(1)[0];
    let group = stage.group(&[member]).await;
    let mut link = Link::attach(&replica).await;
    let letters: Vec<Letter> = (0..25).map(|_| Letter::new(member, group, 0).body(1_000)).collect();
    for frame in link.submit(&letters).await {
        link.answer(frame).await.seq();
    }
    let caller = Caller::new(&replica, member);

    let page = caller.log(group, 3, 2).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(page.head_seq, 26);
    assert_eq!(page.entries[0].message, letters[2].send().message);
    let by_bytes = caller.log(group, 1, 500).await.unwrap();
    assert_eq!(by_bytes.entries.len(), 4, "the one that reaches the bytes is the last");
    assert_eq!(caller.whole_log(group, 7).await, (1..=26).collect::<Vec<_>>());
    let end = caller.log(group, 26, 500).await.unwrap();
    assert!(end.entries.is_empty());
    assert_eq!(end.head_seq, 26);
    stage.end().await;
}

/// It fails where `joined_seq` or `removed_seq` is not looked at.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_reads_from_where_it_came_to_where_it_went(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let members = stage.crowd(3);
    let (stayer, guest, stranger) = (members[0], members[1], members[2]);
    let group = stage.group(&[stayer]).await;
    let mut link = Link::attach(&replica).await;
    link.send(&Letter::new(stayer, group, 0)).await.seq();
    stage.commit(group, &[], &[guest]).await;
    for _ in 0..3 {
        link.send(&Letter::new(stayer, group, 1)).await.seq();
    }
    stage.commit(group, &[guest], &[]).await;
    link.send(&Letter::new(stayer, group, 2)).await.seq();

    let guest = Caller::new(&replica, guest);
    assert_eq!(guest.whole_log(group, 500).await, [3, 4, 5, 6, 7]);
    assert_eq!(guest.log(group, 0, 500).await.unwrap().head_seq, 7, "nothing of what follows");
    assert!(guest.log(group, 7, 500).await.unwrap().entries.is_empty());
    assert_eq!(Caller::new(&replica, stayer).whole_log(group, 500).await.len(), 8);
    stage.commit(group, &[], &[stranger]).await;
    let stale = link.send(&Letter::new(stranger, group, 0)).await.stale();
    let told: Vec<u64> = stale.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!((told, stale.more), (vec![9], true), "nor is it told more by a refusal");
    stage.commit(group, &[stranger], &[]).await;
    let stranger = Caller::new(&replica, stage.account(1)[0]);
    let refused = (StatusCode::FORBIDDEN, "not_a_member".to_owned());
    assert_eq!(stranger.log(group, 0, 500).await.unwrap_err(), refused);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_lists_the_groups_that_it_is_in_and_those_that_it_has_left(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let members = stage.crowd(2);
    let (group, left) = (stage.group(&members).await, stage.group(&members).await);
    stage.commit(left, &members[1..], &[]).await;
    stage.commit(left, &[], &[]).await;

    let (status, answer) = Caller::new(&replica, members[1]).get("").await;

    assert_eq!(status, StatusCode::OK);
    let groups = answer["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    let (first, second) = (&groups[0], &groups[1]);
    assert_eq!(first["group"], group.0.to_string());
    assert_eq!((first["seq"].as_u64(), first["joined_seq"].as_u64()), (Some(1), Some(1)));
    assert!(first.get("removed_seq").is_none());
    assert_eq!(second["group"], left.0.to_string());
    assert_eq!((second["seq"].as_u64(), second["removed_seq"].as_u64()), (Some(2), Some(2)));
    stage.end().await;
}
