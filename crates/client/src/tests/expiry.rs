//! C32: messages that delete themselves.

use std::time::Duration;

use super::{Party, post, two, two_and_a_laptop};
use crate::{
    Body, Draft, Event, MessageId,
    kinds::{reaction, read},
};

const MINUTE: Duration = Duration::from_mins(1);
const MINUTE_MS: u64 = 60_000;

impl Party {
    async fn reads(&self, peer: &Self) {
        let peer = peer.account;
        self.vault.run(move |tx| read::mark(tx, peer)).await.unwrap();
    }

    /// Rows of any table that have this id in some column.
    async fn traces(&self, id: MessageId) -> u64 {
        self.vault
            .run(move |tx| {
                let mut found = 0;
                for (table, column) in [
                    ("messages", "id"),
                    ("edits", "target"),
                    ("reactions", "target"),
                    ("votes", "target"),
                    ("receipts", "message"),
                    ("receipts_due", "message"),
                ] {
                    let sql = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
                    let rows: u64 = tx.db.query_row(&sql, [id.as_bytes()], |row| row.get(0))?;
                    found += rows;
                }
                Ok(found)
            })
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_message_goes_its_time_after_it_was_read_and_leaves_nothing() {
    let (alice, mut bob) = two().await;
    let id = alice.draft(&bob, Draft::text("psst").expire_after(Some(MINUTE))).await;
    let sends = alice.send_all().await;
    assert_eq!(sends[0].ttl_seconds, 24 * 3_600, "copies do not wait for ever either");
    bob.receive(&alice, &sends).await;
    bob.vault.run(move |tx| reaction::write(tx, id, Some("👍".into()))).await.unwrap();

    bob.later(10 * MINUTE_MS).await;
    assert_eq!(bob.history().await, ["psst"], "unread, it stays");
    bob.reads(&alice).await;
    bob.later(MINUTE_MS - 1).await;
    assert_eq!(bob.history().await, ["psst"]);
    bob.later(1).await;

    assert!(bob.history().await.is_empty());
    assert_eq!(bob.traces(id).await, 0);
    assert!(bob.told().iter().any(|event| matches!(event, Event::MessageExpired { .. })));
    bob.vault
        .run(|tx| Ok(tx.db.execute_batch("DELETE FROM seen; DELETE FROM lanes")?))
        .await
        .unwrap();
    let mut again = sends;
    again[0].client_msg_id = sotto_ids::ClientMsgId::new(5, [5; 10]).as_bytes().to_vec().into();
    bob.receive(&alice, &again).await;
    assert!(bob.history().await.is_empty(), "a copy that comes later is not shown");
}

#[tokio::test]
async fn the_writers_copy_goes_its_time_after_it_was_sent() {
    let (alice, bob) = two().await;
    let id = alice.draft(&bob, Draft::text("psst").expire_after(Some(MINUTE))).await;
    alice.later(10 * MINUTE_MS).await;
    assert_eq!(alice.history().await, ["psst"], "it has not gone out yet");

    alice.send_all().await;
    alice.later(MINUTE_MS).await;

    assert_eq!(alice.traces(id).await, 0);
}

#[tokio::test]
async fn what_is_read_on_one_device_goes_on_the_other_too() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let id = bob.draft(&alice, Draft::text("psst").expire_after(Some(MINUTE))).await;
    post(&[&alice, &laptop, &bob]).await;

    alice.reads(&bob).await;
    post(&[&alice, &laptop, &bob]).await;
    laptop.later(MINUTE_MS).await;

    assert_eq!(laptop.traces(id).await, 0);
}

#[tokio::test]
async fn a_conversation_has_a_timer_for_what_is_written_from_then_on_by_both() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let all = [&alice, &laptop, &bob];
    let before = alice.write(&bob, "stays").await;
    alice.draft(&bob, Draft::new(Body::TimerChanged { after: Some(MINUTE) })).await;
    post(&all).await;

    let mut ids = Vec::new();
    for (from, to) in [(&alice, &bob), (&laptop, &bob), (&bob, &alice)] {
        ids.push(from.write(to, "goes").await);
    }
    let stays = bob.draft(&alice, Draft::text("stays").expire_after(None)).await;
    post(&all).await;

    for id in ids {
        assert_eq!(bob.message(id).await.unwrap().expire_after, Some(MINUTE));
        assert_eq!(alice.message(id).await.unwrap().expire_after, Some(MINUTE));
    }
    for id in [before, stays] {
        assert_eq!(bob.message(id).await.unwrap().expire_after, None);
    }
    bob.after_ms(1);
    bob.draft(&alice, Draft::new(Body::TimerChanged { after: None })).await;
    post(&all).await;
    let last = alice.write(&bob, "stays").await;
    assert_eq!(alice.message(last).await.unwrap().expire_after, None);
}

/// Sabotage: without the bound in `kinds/message.rs` alice can never change it again.
#[tokio::test]
async fn a_timer_that_was_set_by_a_wrong_clock_can_be_set_again() {
    let (alice, bob) = two().await;
    bob.meet(&alice).await;
    bob.after_ms(1_000 * 365 * 24 * 60 * MINUTE_MS);
    bob.open_session(&alice).await;
    bob.draft(&alice, Draft::new(Body::TimerChanged { after: Some(MINUTE) })).await;
    let sends = bob.send_all().await;
    alice.receive(&bob, &sends).await;
    let id = alice.write(&bob, "goes").await;
    assert_eq!(alice.message(id).await.unwrap().expire_after, Some(MINUTE));

    let off = alice.draft(&bob, Draft::new(Body::TimerChanged { after: None })).await;

    let id = alice.write(&bob, "stays").await;
    assert_eq!(alice.message(id).await.unwrap().expire_after, None);
    let said_ms = alice.message(off).await.unwrap().sent_at_ms;
    assert!(said_ms < super::START_MS + 10 * MINUTE_MS, "and not in a thousand years");
}

#[tokio::test]
async fn a_time_in_the_servers_queue_can_be_asked_for() {
    let (alice, bob) = two().await;
    alice.draft(&bob, Draft::text("now or never").queue_ttl(MINUTE).urgent()).await;

    let send = alice.send_all().await.remove(0);

    assert_eq!((send.ttl_seconds, send.class), (60, 1));
}
