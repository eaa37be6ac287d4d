//! Whatever is wrong with one envelope, the others of its batch are taken in.

use sotto_proto::socket as pb;

use super::{Party, START_MS, two};
use crate::{
    Body,
    content::{Content, Head, Kind, pad},
    message_id::{client_msg_id, message_id},
    receive::take_in,
    signal::encrypt,
    vault::{chains, messages, own},
};

/// A send whose content says that its sender's chain goes as far as `seq`.
async fn claiming(alice: &Party, bob: &Party, seq: u64) -> pb::Send {
    let to = bob.account.uuid();
    alice
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let (_, state) = chains::find(tx.db, tx.chains, to)?.unwrap();
            let kind = Kind::Body(Body::Text("my chain is endless".to_owned()));
            let content = Content {
                sender_head: Some(Head { seq, hash: [4; 32] }),
                ..Content::new(message_id(tx.now_ms, tx.rng), tx.now_ms, kind)
            };
            Ok(pb::Send {
                client_msg_id: client_msg_id(tx, tx.now_ms)?.as_bytes().to_vec().into(),
                recipient: to.as_bytes().to_vec().into(),
                messages: encrypt::for_account(tx, &own, &state, &pad(content.encode()))?,
                ..pb::Send::default()
            })
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_claim_that_no_chain_can_live_up_to_spoils_its_own_message_only() {
    let (alice, bob) = two().await;
    let mut sends = vec![claiming(&alice, &bob, u64::MAX).await];
    sends.extend(alice.say(&bob, &["hello"]).await);

    let intake = bob.receive(&alice, &sends).await;

    assert_eq!(intake.acks.len(), 2, "neither comes again");
    assert!(intake.claims.is_empty());
    assert_eq!(bob.shown().await, ["[malformed_content]", "hello"]);
}

#[tokio::test]
async fn a_message_that_the_store_refuses_spoils_no_other() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["before", "poison", "after"]).await;
    let refusal = "CREATE TEMP TRIGGER refusal BEFORE INSERT ON messages
                   WHEN NEW.text = 'poison' BEGIN SELECT RAISE(ABORT, 'refused'); END";
    bob.vault.run(move |tx| Ok(tx.db.execute_batch(refusal)?)).await.unwrap();

    let intake = bob.receive(&alice, &sends[..2]).await;
    bob.receive(&alice, &sends[2..]).await;

    assert_eq!(intake.acks.len(), 2, "neither comes again");
    bob.after_ms(5_000);
    bob.vault.run(|tx| crate::receive::release_due(tx, tx.now_ms)).await.unwrap();
    assert_eq!(bob.shown().await, ["before", "[not_taken_in]", "after"]);
}

#[tokio::test]
async fn a_server_time_from_beyond_all_time_harms_nobody() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["one", "two"]).await;
    let mut envelopes = bob.envelopes(&alice, &sends);
    envelopes[0].server_time_ms = u64::MAX;

    bob.vault.run(move |tx| take_in(tx, envelopes, false)).await.unwrap();

    assert_eq!(bob.shown().await, ["one", "two"]);
    let shown = bob.vault.run(|tx| Ok(messages::after(tx.db, 0, 2)?)).await.unwrap();
    assert!(shown[0].server_time_ms > Some(START_MS));
    assert_eq!(shown[1].server_time_ms, Some(START_MS));
}

#[tokio::test]
async fn a_store_that_has_failed_loses_nothing() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["one", "two"]).await;
    let envelopes = bob.envelopes(&alice, &sends);
    let rename = |from, to| format!("ALTER TABLE {from} RENAME TO {to}");

    let gone = rename("messages", "elsewhere");
    bob.vault.run(move |tx| Ok(tx.db.execute_batch(&gone)?)).await.unwrap();
    let failed = bob.vault.run(move |tx| take_in(tx, envelopes, false)).await;
    let back = rename("elsewhere", "messages");
    bob.vault.run(move |tx| Ok(tx.db.execute_batch(&back)?)).await.unwrap();

    assert_eq!(failed.err().unwrap().reason(), "store", "nothing is acknowledged");
    bob.receive(&alice, &sends).await;
    assert_eq!(bob.shown().await, ["one", "two"]);
}
