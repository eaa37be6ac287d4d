//! The outbox: C25 and C35.

use super::{everything, two};
use crate::{
    Event, MessageState,
    outbox::{Answer, Wanted, next_batch},
    vault::messages,
};

#[tokio::test]
async fn what_was_encrypted_is_sent_again_byte_for_byte_until_it_is_accepted() {
    let (mut alice, bob) = two().await;
    alice.write(&bob, "one").await;
    alice.write(&bob, "two").await;

    let first = alice.batch().await;
    alice.restart().await;
    let second = alice.batch().await;

    assert_eq!(first.sends, second.sends);
    let texts: Vec<_> = second.sends.iter().map(|(seq, ..)| *seq).collect();
    alice.answer(texts[0], Answer::Accepted { server_time_ms: 5 }).await;
    let third = alice.batch().await;
    assert_eq!(third.sends, second.sends[1..]);
}

#[tokio::test]
async fn messages_written_offline_go_out_in_order() {
    let (mut alice, bob) = two().await;
    let texts: Vec<_> = (0..100).map(|number| format!("text {number}")).collect();
    for text in &texts {
        alice.write(&bob, text).await;
    }
    alice.restart().await;

    let sends = alice.send_all().await;
    let ids: Vec<_> = sends.iter().map(|send| send.client_msg_id.clone()).collect();
    assert!(ids.is_sorted(), "so the queue at the server has the same order");
    bob.receive(&alice, &sends).await;

    assert_eq!(bob.shown().await, texts);
    assert!(alice.batch().await.sends.is_empty());
}

#[tokio::test]
async fn rows_on_their_way_and_halted_peers_are_passed_over() {
    let (alice, bob) = two().await;
    for text in ["one", "two", "three"] {
        alice.write(&bob, text).await;
    }

    let (peer, first) = {
        let batch = alice.batch().await;
        (batch.sends[0].1, batch.sends[0].0)
    };
    let skipping = alice
        .vault
        .run(move |tx| {
            let wanted = everything(tx.now_ms);
            next_batch(tx, Wanted { room: 1, in_flight: [first].into(), ..wanted })
        })
        .await
        .unwrap();
    let halted = alice
        .vault
        .run(move |tx| {
            let wanted = everything(tx.now_ms);
            next_batch(tx, Wanted { halted: [peer].into(), ..wanted })
        })
        .await
        .unwrap();

    assert_eq!(skipping.sends.len(), 1);
    assert_eq!(skipping.sends[0].0, first + 1);
    assert!(halted.sends.is_empty());
}

#[tokio::test]
async fn a_stranger_is_named_and_takes_no_counter() {
    let (alice, bob) = two().await;
    bob.write(&alice, "no session yet").await;

    let batch = bob.batch().await;
    assert_eq!(batch.strangers, [alice.account.uuid()]);
    assert!(batch.sends.is_empty());
    bob.open_session(&alice).await;
    let sends = bob.send_all().await;
    alice.receive(&bob, &sends).await;

    assert_eq!(alice.shown().await, ["no session yet"], "shown at once: it is the first");
}

#[tokio::test]
async fn other_devices_mean_other_ciphertexts_under_the_same_id() {
    let (alice, bob) = two().await;
    alice.write(&bob, "hello").await;
    let (seq, _, first) = alice.batch().await.sends.remove(0);

    let tablet = bob.second_device(2).await;
    tablet.meet(&alice).await;
    alice.meet(&bob).await;
    alice.answer(seq, Answer::Encrypt).await;
    alice.open_session(&tablet).await;
    let (_, _, second) = alice.batch().await.sends.remove(0);

    assert_eq!(first.client_msg_id, second.client_msg_id);
    assert_eq!(second.messages.len(), 2);
    tablet.receive(&alice, &[second]).await;
    assert_eq!(tablet.shown().await, ["hello"]);
}

#[tokio::test]
async fn another_name_leaves_the_ciphertexts_as_they_are() {
    let (alice, bob) = two().await;
    alice.write(&bob, "hello").await;
    let (seq, _, first) = alice.batch().await.sends.remove(0);

    let server_now_ms = 1_600_000_000_000;
    alice.answer(seq, Answer::Rename { server_now_ms }).await;
    let (_, _, second) = alice.batch().await.sends.remove(0);

    assert_eq!(first.messages, second.messages);
    let id = sotto_ids::ClientMsgId::try_from(second.client_msg_id.as_ref()).unwrap();
    assert_eq!(id.unix_ms(), server_now_ms, "although our clock was ahead");
}

#[tokio::test]
async fn each_answer_stands_in_the_history_and_is_told() {
    let (mut alice, bob) = two().await;
    let accepted = alice.write(&bob, "one").await;
    let failed = alice.write(&bob, "two").await;
    let batch = alice.batch().await;

    alice.answer(batch.sends[0].0, Answer::Accepted { server_time_ms: 5 }).await;
    alice.answer(batch.sends[1].0, Answer::Failed { reason: "not_allowed".into() }).await;

    let states: Vec<_> = alice
        .vault
        .run(|tx| Ok(messages::after(tx.db, 0, 9)?))
        .await
        .unwrap()
        .into_iter()
        .map(|message| message.state)
        .collect();
    let failure = MessageState::Failed { reason: "not_allowed".into() };
    assert_eq!(states, [MessageState::Accepted, failure]);
    let told = [alice.events.try_recv().unwrap(), alice.events.try_recv().unwrap()];
    assert!(matches!(&told[0], Event::MessageAccepted { id, .. } if *id == accepted));
    assert!(matches!(&told[1], Event::MessageFailed { id, .. } if *id == failed));
}

#[tokio::test]
async fn a_frame_that_the_server_would_not_take_is_failed_by_name() {
    let (alice, bob) = two().await;
    alice.write(&bob, &"x".repeat(10_000)).await;

    let batch = alice
        .vault
        .run(|tx| next_batch(tx, Wanted { max_frame: 4_096, ..everything(tx.now_ms) }))
        .await
        .unwrap();

    assert!(batch.sends.is_empty());
    let message = alice.vault.run(|tx| Ok(messages::after(tx.db, 0, 9)?)).await.unwrap().remove(0);
    assert_eq!(message.state, MessageState::Failed { reason: "frame_too_large".into() });
}

#[tokio::test]
async fn a_note_to_oneself_on_the_only_device_has_arrived_at_once() {
    let (alice, _) = two().await;
    alice.write(&alice, "milk").await;

    assert!(alice.batch().await.sends.is_empty());
    let note = alice.vault.run(|tx| Ok(messages::after(tx.db, 0, 9)?)).await.unwrap().remove(0);
    assert_eq!((note.state, note.peer), (MessageState::Accepted, alice.account));
}

#[tokio::test]
async fn a_note_to_oneself_goes_to_the_other_devices() {
    let (alice, _) = two().await;
    let tablet = alice.second_device(2).await;
    alice.open_session(&tablet).await;
    alice.write(&alice, "milk").await;

    let sends = alice.send_all().await;
    assert_eq!(sends[0].messages.len(), 1, "not to the device that wrote it");
    tablet.receive(&alice, &sends).await;

    assert_eq!(tablet.shown().await, ["milk"]);
}
