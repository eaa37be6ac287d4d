//! Sessions: C22, C23 and C34.

use sotto_proto::socket as pb;

use super::{Party, start, two};
use crate::{
    ClientError, Event,
    receive::take_in,
    vault::prekeys::{self, OneTime, Standing},
};

#[tokio::test]
async fn a_first_message_to_somebody_offline_decrypts_and_uses_its_prekeys_up() {
    let (alice, bob) = two().await;

    let sends = alice.say(&bob, &["hello"]).await;
    assert_eq!(sends[0].messages[0].r#type, pb::CiphertextType::Prekey as i32);
    let intake = bob.receive(&alice, &sends).await;

    assert_eq!(intake.acks.len(), 1);
    assert_eq!(bob.shown().await, ["hello"]);
    let left = bob
        .vault
        .run(|tx| {
            let kyber = prekeys::kyber(tx.db, 2)?.is_some();
            Ok((prekeys::one_time_ec(tx.db, 1)?.is_some(), kyber))
        })
        .await
        .unwrap();
    assert_eq!(left, (false, false), "both one-time keys are gone from the store");
}

#[tokio::test]
async fn a_conversation_goes_both_ways() {
    let (alice, bob) = two().await;
    for round in 0..20 {
        let question = alice.say(&bob, &[&format!("question {round}")]).await;
        bob.receive(&alice, &question).await;
        let answer = bob.say(&alice, &[&format!("answer {round}")]).await;
        assert_eq!(answer[0].messages[0].r#type, pb::CiphertextType::Whisper as i32);
        alice.receive(&bob, &answer).await;
    }
    assert_eq!(bob.shown().await.len(), 20);
    assert_eq!(alice.shown().await.last().unwrap(), "answer 19");
}

#[tokio::test]
async fn messages_that_come_in_any_order_and_twice_are_shown_once_and_in_order() {
    let (alice, bob) = two().await;
    let texts: Vec<_> = (1..=30).map(|number| number.to_string()).collect();
    let sends = alice.say(&bob, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let mut shuffled: Vec<_> = sends.iter().rev().cloned().collect();
    shuffled.swap(3, 20);
    shuffled.extend(sends.iter().step_by(3).cloned());
    for send in &shuffled {
        let intake = bob.receive(&alice, std::slice::from_ref(send)).await;
        assert_eq!(intake.acks.len(), 1, "each is acknowledged, also one that came before");
    }

    assert_eq!(bob.shown().await, texts);
}

#[tokio::test]
async fn a_copy_that_has_another_envelope_is_dropped_by_its_ratchet() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["once"]).await;
    bob.receive(&alice, &sends).await;

    let mut again = sends.clone();
    again[0].client_msg_id = sotto_ids::ClientMsgId::new(5, [5; 10]).as_bytes().to_vec().into();
    let intake = bob.receive(&alice, &again).await;

    assert_eq!(intake.acks.len(), 1);
    assert_eq!(bob.shown().await, ["once"]);
}

#[tokio::test]
async fn a_session_goes_on_after_both_sides_restart() {
    let (mut alice, mut bob) = two().await;
    let first = alice.say(&bob, &["before"]).await;
    bob.receive(&alice, &first).await;
    let answer = bob.say(&alice, &["answer"]).await;

    alice.restart().await;
    bob.restart().await;
    alice.receive(&bob, &answer).await;
    let second = alice.say(&bob, &["after"]).await;
    bob.receive(&alice, &second).await;

    assert_eq!(alice.shown().await, ["answer"]);
    assert_eq!(bob.shown().await, ["before", "after"]);
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_batch_loses_neither_message_nor_ratchet() {
    let (alice, mut bob) = two().await;
    let sends = alice.say(&bob, &["one", "two", "three"]).await;
    let envelopes = bob.envelopes(&alice, &sends);

    let crashed: Result<(), ClientError> = bob
        .vault
        .run(move |tx| {
            let intake = take_in(tx, envelopes, false)?;
            assert_eq!(intake.acks.len(), 3);
            panic!("a crash, as a test wants it");
        })
        .await;
    assert_eq!(crashed.unwrap_err().reason(), "closed");
    bob.restart().await;
    assert!(bob.shown().await.is_empty());
    bob.receive(&alice, &sends).await;

    assert_eq!(bob.shown().await, ["one", "two", "three"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_shown_as_such_and_spoils_nothing_else() {
    let (alice, bob) = two().await;
    let hello = alice.say(&bob, &["hello"]).await;
    bob.receive(&alice, &hello).await;
    let answer = bob.say(&alice, &["hi"]).await;
    alice.receive(&bob, &answer).await;
    let sends = alice.say(&bob, &["one", "broken", "three"]).await;
    let mut envelopes = bob.envelopes(&alice, &sends);
    let mut ciphertext = envelopes[1].ciphertext.to_vec();
    *ciphertext.last_mut().unwrap() ^= 1;
    envelopes[1].ciphertext = ciphertext.into();

    let intake = bob.vault.run(move |tx| take_in(tx, envelopes, false)).await.unwrap();
    bob.after_ms(5_000);
    bob.vault.run(|tx| crate::receive::release_due(tx, tx.now_ms)).await.unwrap();

    assert_eq!(intake.acks.len(), 3, "all are acknowledged");
    assert_eq!(bob.shown().await, ["hello", "one", "[decryption_failed]", "three"]);
    // The true one still opens: the ratchet was not moved by the broken one.
    let mut late = sends[1].clone();
    late.client_msg_id = sotto_ids::ClientMsgId::new(5, [5; 10]).as_bytes().to_vec().into();
    bob.receive(&alice, &[late]).await;
    assert_eq!(bob.shown().await.last().unwrap(), "broken");
}

#[tokio::test]
async fn garbage_of_every_kind_gets_a_named_reason() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["hello"]).await;
    let kinds = [
        (pb::CiphertextType::Unspecified as i32, b"x".to_vec(), "[unknown_ciphertext_type]"),
        (pb::CiphertextType::Whisper as i32, vec![], "[malformed_ciphertext]"),
        (pb::CiphertextType::Prekey as i32, vec![0x44; 40], "[malformed_ciphertext]"),
        (pb::CiphertextType::Prekey as i32, vec![0x11; 40], "[unknown_ciphertext_version]"),
        (99, b"x".to_vec(), "[unknown_ciphertext_type]"),
    ];
    for (number, (kind, ciphertext, reason)) in (1_u8..).zip(kinds) {
        let mut envelope = bob.envelopes(&alice, &sends).remove(0);
        let id = sotto_ids::ClientMsgId::new(number.into(), [number; 10]);
        envelope.id = id.as_bytes().to_vec().into();
        (envelope.r#type, envelope.ciphertext) = (kind, ciphertext.into());

        bob.vault.run(move |tx| take_in(tx, vec![envelope], false)).await.unwrap();

        assert_eq!(bob.shown().await.last().unwrap(), reason);
    }
    bob.receive(&alice, &sends).await;
    assert_eq!(bob.shown().await.last().unwrap(), "hello");
}

#[tokio::test]
async fn a_receiver_that_lost_its_session_is_reached_again_once_it_has_answered() {
    let (alice, bob) = two().await;
    let first = alice.say(&bob, &["one"]).await;
    bob.receive(&alice, &first).await;
    let answer = bob.say(&alice, &["hi"]).await;
    alice.receive(&bob, &answer).await;
    bob.vault.run(|tx| Ok(tx.db.execute("DELETE FROM sessions", []).map(drop)?)).await.unwrap();

    let lost = alice.say(&bob, &["lost"]).await;
    bob.receive(&alice, &lost).await;
    assert_eq!(bob.shown().await, ["one", "[session_not_found]"]);
    bob.open_session(&alice).await;
    let again = bob.say(&alice, &["what did you say?"]).await;
    alice.receive(&bob, &again).await;
    let told = alice.say(&bob, &["this"]).await;
    bob.receive(&alice, &told).await;
    bob.after_ms(5_000);
    bob.vault.run(|tx| crate::receive::release_due(tx, tx.now_ms)).await.unwrap();

    assert_eq!(bob.shown().await.last().unwrap(), "this");
}

#[tokio::test]
async fn a_last_resort_key_serves_many_but_each_first_message_once() {
    let bob = Party::new().await;
    let mut firsts = Vec::new();
    for number in 0..6 {
        let alice = Party::new().await;
        alice.meet(&bob).await;
        bob.meet(&alice).await;
        alice.open_session(&bob).await;
        let sends = alice.say(&bob, &[&number.to_string()]).await;
        bob.receive(&alice, &sends).await;
        firsts.push((alice, sends));
    }
    assert_eq!(bob.shown().await, ["0", "1", "2", "3", "4", "5"], "four one-time keys, six people");

    // The server plays the last first message again, to a device that has forgotten
    // session and envelope: only the note of the base key is left.
    let (alice, sends) = firsts.pop().unwrap();
    bob.vault
        .run(|tx| Ok(tx.db.execute_batch("DELETE FROM sessions; DELETE FROM seen")?))
        .await
        .unwrap();
    bob.receive(&alice, &sends).await;

    assert_eq!(bob.shown().await.last().unwrap(), "[decryption_failed]");
    let standing = bob
        .vault
        .run(|tx| Ok(prekeys::current(tx.db, Standing::LastResort)?.is_some()))
        .await
        .unwrap();
    assert!(standing, "the last-resort key is still there");
    let left = bob.vault.run(|tx| Ok(prekeys::unpublished(tx.db, OneTime::Kyber, 9)?)).await;
    assert!(left.unwrap().is_empty());
}

#[tokio::test]
async fn a_thief_of_the_state_loses_track_once_both_sides_have_answered() {
    let (alice, mut bob) = two().await;
    let first = alice.say(&bob, &["one"]).await;
    bob.receive(&alice, &first).await;

    // The thief copies store and key.
    bob.vault.close().await;
    let stolen = bob.dir.path().join("stolen.db");
    std::fs::copy(bob.path(), &stolen).unwrap();
    bob.restart().await;
    let thief = Party {
        dir: std::sync::Arc::clone(&bob.dir),
        file: "stolen.db".to_owned(),
        clock: std::sync::Arc::clone(&bob.clock),
        vault: start(&stolen, 7, &bob.clock).await.unwrap().vault,
        events: bob.events.resubscribe(),
        address: bob.address,
        account: bob.account,
    };

    let second = alice.say(&bob, &["two"]).await;
    bob.receive(&alice, &second).await;
    thief.receive(&alice, &second).await;
    assert_eq!(thief.shown().await, ["one", "two"], "for now the thief reads along");
    // Bob's next key was made before the theft, the one after it was not.
    for round in ["first answer", "second answer"] {
        let answer = bob.say(&alice, &[round]).await;
        alice.receive(&bob, &answer).await;
        let next = alice.say(&bob, &["three"]).await;
        bob.receive(&alice, &next).await;
        thief.receive(&alice, &next).await;
    }

    assert_eq!(bob.shown().await, ["one", "two", "three", "three"]);
    assert_eq!(thief.shown().await.last().unwrap(), "[decryption_failed]");
}

#[tokio::test]
async fn two_devices_each_get_a_message_once() {
    let (alice, bob) = two().await;
    let tablet = bob.second_device(2).await;
    alice.meet(&bob).await;
    alice.open_session(&tablet).await;
    tablet.meet(&alice).await;

    let sends = alice.say(&bob, &["to both"]).await;
    assert_eq!(sends[0].messages.len(), 2);
    bob.receive(&alice, &sends).await;
    tablet.receive(&alice, &sends).await;

    assert_eq!(bob.shown().await, ["to both"]);
    assert_eq!(tablet.shown().await, ["to both"]);
}

#[tokio::test]
async fn what_happens_is_told_after_it_is_stored() {
    let (alice, mut bob) = two().await;
    let sends = alice.say(&bob, &["hello"]).await;
    bob.receive(&alice, &sends).await;

    let Ok(Event::Message(message)) = bob.events.try_recv() else {
        panic!("no message was told");
    };
    assert_eq!(message.body.text(), Some("hello"));
    assert_eq!(message.peer, alice.account);
    assert!(!format!("{message:?}").contains("hello"), "debug output quotes nothing");
}
