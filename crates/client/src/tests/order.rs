//! Order and holes, with the store behind them: C54 and invariant I-3.

use super::{Party, two};
use crate::{Event, receive::release_due, vault::held};

async fn release(party: &Party) {
    party.vault.run(|tx| release_due(tx, tx.now_ms)).await.unwrap();
}

/// I-3. Caught: a message ahead of a hole that is shown at once.
#[tokio::test]
async fn a_message_ahead_of_a_hole_waits_five_seconds_and_no_longer() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["one", "two", "three"]).await;
    bob.receive(&alice, &sends[0..1]).await;
    bob.receive(&alice, &sends[2..]).await;

    release(&bob).await;
    assert_eq!(bob.shown().await, ["one"]);
    bob.after_ms(5_000);
    release(&bob).await;
    assert_eq!(bob.shown().await, ["one", "three"]);
    bob.receive(&alice, &sends[1..2]).await;
    assert_eq!(bob.shown().await, ["one", "three", "two"], "late, but not lost");
}

#[tokio::test]
async fn a_clock_that_is_put_back_makes_no_long_wait() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["one", "two"]).await;
    bob.receive(&alice, &sends[1..]).await;

    bob.clock.0.fetch_sub(3_600_000, std::sync::atomic::Ordering::SeqCst);
    release(&bob).await;
    bob.after_ms(5_000);
    release(&bob).await;

    assert_eq!(bob.shown().await, ["two"]);
}

#[tokio::test]
async fn what_is_held_survives_a_restart() {
    let (alice, mut bob) = two().await;
    let sends = alice.say(&bob, &["one", "two", "three"]).await;
    let intake = bob.receive(&alice, &sends[1..]).await;
    assert_eq!(intake.acks.len(), 2, "held is stored, so the server may forget it");

    bob.restart().await;
    let due = bob.vault.run(|tx| Ok(held::next_due(tx.db)?)).await.unwrap();
    assert_eq!(due, Some(super::START_MS + 5_000));
    bob.receive(&alice, &sends[0..1]).await;

    assert_eq!(bob.shown().await, ["one", "two", "three"]);
}

#[tokio::test]
async fn a_device_that_joins_late_shows_its_first_message_at_once() {
    let (alice, bob) = two().await;
    for number in 1..=5 {
        let sends = alice.say(&bob, &[&number.to_string()]).await;
        bob.receive(&alice, &sends).await;
    }
    let tablet = bob.second_device(2).await;
    alice.meet(&bob).await;
    alice.open_session(&tablet).await;
    tablet.meet(&alice).await;

    let sends = alice.say(&bob, &["six", "seven"]).await;
    tablet.receive(&alice, &sends[1..]).await;
    assert!(tablet.shown().await.is_empty(), "six is on its way");
    tablet.receive(&alice, &sends[..1]).await;

    assert_eq!(tablet.shown().await, ["six", "seven"]);
}

#[tokio::test]
async fn an_answer_of_somebody_we_wrote_to_is_shown_at_once() {
    let (alice, bob) = two().await;
    let hello = alice.say(&bob, &["hello"]).await;
    bob.receive(&alice, &hello).await;

    let answers = bob.say(&alice, &["one", "two"]).await;
    alice.receive(&bob, &answers).await;

    assert_eq!(alice.shown().await, ["one", "two"]);
}

#[tokio::test]
async fn a_message_that_was_encrypted_anew_is_shown_once() {
    let (alice, bob) = two().await;
    alice.write(&bob, "once").await;
    let first = alice.batch().await;
    let (seq, _, accepted) = first.sends.into_iter().next().unwrap();
    // The answer to it was lost, and when it was sent again the server named other
    // devices and then another time.
    alice.answer(seq, crate::outbox::Answer::Encrypt).await;
    let second = alice.batch().await.sends.remove(0).2;
    assert_ne!(accepted.messages[0].ciphertext, second.messages[0].ciphertext);
    assert_eq!(accepted.client_msg_id, second.client_msg_id, "so it is the same envelope");
    alice.answer(seq, crate::outbox::Answer::Rename { server_now_ms: super::START_MS + 9 }).await;
    let third = alice.batch().await.sends.remove(0).2;
    assert_ne!(second.client_msg_id, third.client_msg_id);

    bob.receive(&alice, &[accepted]).await;
    bob.receive(&alice, &[third]).await;

    assert_eq!(bob.shown().await, ["once"]);
}

#[tokio::test]
async fn heads_that_contradict_each_other_are_told() {
    let (alice, mut bob) = two().await;
    // Bob was shown another chain of Alice's than the one she has herself.
    let uuid = alice.account.uuid();
    bob.vault
        .run(move |tx| {
            tx.db.execute(
                "UPDATE chain_ops SET hash = zeroblob(32) WHERE uuid = ?1",
                [uuid.as_bytes()],
            )?;
            Ok(())
        })
        .await
        .unwrap();

    let sends = alice.say(&bob, &["hello"]).await;
    bob.receive(&alice, &sends).await;

    let told = bob.events.try_recv().unwrap();
    assert!(matches!(told, Event::ForkSuspected { account } if account == alice.account));
    assert_eq!(bob.shown().await, ["hello"]);
}

#[tokio::test]
async fn a_head_that_we_have_not_seen_is_to_be_looked_up() {
    let (alice, bob) = two().await;
    alice.second_device(2).await;

    let sends = alice.say(&bob, &["hello"]).await;
    let intake = bob.receive(&alice, &sends).await;

    assert_eq!(intake.claims.len(), 1);
    assert_eq!((intake.claims[0].0, intake.claims[0].1.seq), (alice.account.uuid(), 1));
}
