//! What a dishonest server can try, and the name that each attempt gets.

use rand::{SeedableRng as _, rngs::StdRng};
use sotto_identity::{build, encode_op, pin::Pin};
use sotto_ids::{Base64Bytes, DeviceId};

use super::{Party, two};
use crate::{
    Draft, Event,
    chain::{compare_all, extend, is_other_branch},
    receive::take_in,
    rest::wire::DeviceBundle,
    vault::{accounts, chains},
};

/// The name of the error that a bundle ends in, once `tamper` has been at it.
async fn tampered(tamper: impl FnOnce(&mut DeviceBundle)) -> String {
    let (alice, bob) = two().await;
    let mut bundle = bob.bundle().await;
    tamper(&mut bundle);
    alice.try_open_session(&bob, bundle).await.unwrap_err().reason().to_owned()
}

fn other_ec_key() -> Base64Bytes {
    let pair = libsignal_protocol::KeyPair::generate(&mut StdRng::seed_from_u64(1));
    pair.public_key.serialize().into_vec().into()
}

#[tokio::test]
async fn a_swapped_identity_key_is_refused() {
    assert_eq!(tampered(|bundle| bundle.identity_key = other_ec_key()).await, "identity_mismatch");
    assert_eq!(tampered(|bundle| bundle.registration_id ^= 1).await, "identity_mismatch");
}

#[tokio::test]
async fn a_ghost_device_is_refused() {
    let ghost = DeviceId::try_from(9_u32).unwrap();
    assert_eq!(tampered(|bundle| bundle.device_id = ghost).await, "ghost_device");
}

#[tokio::test]
async fn a_bundle_without_its_post_quantum_key_is_refused() {
    assert_eq!(tampered(|bundle| bundle.kyber = None).await, "kyber_stripped");
}

#[tokio::test]
async fn a_swapped_prekey_is_refused_by_its_signature() {
    let reason = tampered(|bundle| bundle.signed_ec.public_key = other_ec_key()).await;
    assert_eq!(reason, "bad_prekey_signature");

    let reason = tampered(|bundle| {
        let kyber = bundle.kyber.as_mut().unwrap();
        *kyber.public_key.0.last_mut().unwrap() ^= 1;
    })
    .await;
    assert_eq!(reason, "bad_prekey_signature");
}

#[tokio::test]
async fn keys_that_give_a_secret_anybody_knows_are_refused() {
    let zero = Base64Bytes([vec![5], vec![0; 32]].concat());
    let mut one = vec![0; 32];
    one[0] = 1;
    let one = Base64Bytes([vec![5], one].concat());
    for key in [zero, one] {
        let reason = tampered(|bundle| bundle.signed_ec.public_key = key.clone()).await;
        assert_eq!(reason, "low_order_key");
        let reason =
            tampered(|bundle| bundle.one_time_ec.as_mut().unwrap().public_key = key.clone()).await;
        assert_eq!(reason, "low_order_key", "an unsigned one too");
    }
    let zero = Base64Bytes([vec![8], vec![0; 1568]].concat());
    let reason = tampered(|bundle| bundle.kyber.as_mut().unwrap().public_key = zero).await;
    assert_eq!(reason, "low_order_key");
}

#[tokio::test]
async fn keys_of_another_form_are_refused() {
    let short = Base64Bytes(vec![5; 20]);
    let reason = tampered(|bundle| bundle.signed_ec.public_key = short.clone()).await;
    assert_eq!(reason, "malformed_answer");
    let reason = tampered(|bundle| bundle.kyber.as_mut().unwrap().public_key = short).await;
    assert_eq!(reason, "malformed_answer");
}

#[tokio::test]
async fn a_bundle_that_was_refused_leaves_no_session() {
    let (alice, bob) = (Party::new().await, Party::new().await);
    alice.meet(&bob).await;
    let mut bundle = bob.bundle().await;
    bundle.kyber = None;

    alice.try_open_session(&bob, bundle).await.unwrap_err();
    alice.write(&bob, "hello").await;

    assert_eq!(alice.batch().await.strangers, [bob.account.uuid()]);
}

#[tokio::test]
async fn a_sender_that_is_not_known_is_to_be_looked_up_first() {
    let (alice, bob) = (Party::new().await, Party::new().await);
    alice.meet(&bob).await;
    alice.open_session(&bob).await;
    let sends = alice.say(&bob, &["hello"]).await;

    let intake = bob.receive(&alice, &sends).await;
    assert!(intake.acks.is_empty(), "it stays at the server until it is stored");
    assert_eq!(intake.unknown.len(), 1);
    bob.meet(&alice).await;
    let intake = bob.receive(&alice, &sends).await;

    assert_eq!(intake.acks.len(), 1);
    assert_eq!(bob.shown().await, ["hello"]);
}

#[tokio::test]
async fn a_device_that_the_chain_does_not_have_is_not_read() {
    let (alice, bob) = two().await;
    let tablet = alice.second_device(2).await;
    tablet.meet(&bob).await;
    tablet.open_session(&bob).await;
    let sends = tablet.say(&bob, &["from nowhere"]).await;
    let envelopes = bob.envelopes(&tablet, &sends);

    // Bob has just fetched Alice's chain, and the server left the device out.
    let intake = bob.vault.run(move |tx| take_in(tx, envelopes, true)).await.unwrap();

    assert_eq!(intake.acks.len(), 1);
    assert_eq!(bob.shown().await, ["[sender_not_in_chain]"]);
}

#[tokio::test]
async fn a_message_in_the_name_of_another_device_is_not_read() {
    let (alice, bob) = two().await;
    let mallory = Party::new().await;
    mallory.meet(&bob).await;
    mallory.open_session(&bob).await;
    let sends = mallory.say(&bob, &["I am Alice"]).await;

    // The server says that it came from Alice.
    let mut envelopes = bob.envelopes(&mallory, &sends);
    envelopes[0].sender = alice.account.uuid().as_bytes().to_vec().into();
    bob.vault.run(move |tx| take_in(tx, envelopes, false)).await.unwrap();

    assert_eq!(bob.shown().await, ["[identity_mismatch]"]);
}

#[tokio::test]
async fn a_chain_that_became_shorter_is_refused_and_the_pin_stays() {
    let (alice, bob) = two().await;
    bob.second_device(2).await;
    alice.meet(&bob).await;
    let old = bob.ops().await[..1].to_vec();
    let (uuid, pin) = (bob.account.uuid(), Pin::of(&*bob.state().await));

    let verdict =
        alice.vault.run(move |tx| compare_all(tx, uuid, &pin, &old)).await.unwrap().unwrap_err();

    assert_eq!(verdict.reason(), "chain_rollback");
    let pinned = alice.vault.run(move |tx| Ok(accounts::find(tx.db, uuid)?)).await.unwrap();
    assert_eq!(pinned.unwrap().seq, 1);
}

#[tokio::test]
async fn a_chain_that_forks_freezes_the_account_and_leaves_evidence() {
    let (alice, bob) = two().await;
    let genesis = bob.state().await;
    let op = |handle: &str| {
        let body = build::set_handle(&handle.parse().unwrap());
        encode_op(&genesis.next_op(body, 5))
    };
    let (ours, theirs) = (bob.sign(op("bob")).await, bob.sign(op("b0b")).await);
    bob.append(ours).await;
    alice.meet(&bob).await;
    let forked = vec![bob.ops().await.remove(0), theirs];
    let (uuid, pin) = (bob.account.uuid(), Pin::of(&*bob.state().await));

    let verdict =
        alice.vault.run(move |tx| compare_all(tx, uuid, &pin, &forked)).await.unwrap().unwrap_err();

    assert_eq!(verdict.reason(), "chain_fork");
    let evidence: Vec<u8> = alice
        .vault
        .run(|tx| Ok(tx.db.query_row("SELECT file FROM evidence", [], |row| row.get(0))?))
        .await
        .unwrap();
    let evidence = sotto_identity::Evidence::from_bytes(&evidence).unwrap();
    assert_eq!(evidence.verify(), Ok(bob.account), "it verifies by itself");
    let to = bob.account;
    let refused = alice
        .vault
        .run(move |tx| crate::outbox::enqueue(tx, to, Draft::text("hi")))
        .await
        .unwrap_err();
    assert_eq!(refused.reason(), "chain_fork");
}

#[tokio::test]
async fn another_account_key_is_told() {
    use ed25519_dalek::{Signer as _, SigningKey};
    let (mut alice, bob) = two().await;
    let new_key = SigningKey::from_bytes(&[3; 32]);
    let body = build::rotate_account(new_key.verifying_key().to_bytes());
    let payload = encode_op(&bob.state().await.next_op(body, 5));
    let mut rotation = bob.sign(payload.clone()).await;
    let by_new = new_key.sign(&sotto_identity::signing_message(&payload));
    rotation.sigs.push(sotto_identity::Sig {
        key: new_key.verifying_key().to_bytes().to_vec(),
        sig: by_new.to_vec(),
    });

    let uuid = bob.account.uuid();
    alice.vault.run(move |tx| extend(tx, uuid, 0, &[rotation])).await.unwrap().unwrap();

    assert!(matches!(alice.events.try_recv(), Ok(Event::ChainMoved { .. })));
    let told = alice.events.try_recv().unwrap();
    assert!(
        matches!(told, Event::IdentityChanged { account, held: true } if account == bob.account)
    );
}

#[tokio::test]
async fn ops_of_another_branch_are_told_from_those_that_go_on() {
    let (alice, bob) = two().await;
    let mallory = Party::new().await;
    mallory.second_device(2).await;
    let uuid = bob.account.uuid();
    bob.second_device(2).await;
    let (good, bad) = (bob.ops().await[1..].to_vec(), mallory.ops().await[1..].to_vec());

    let foreign = alice.vault.run(move |tx| extend(tx, uuid, 0, &bad)).await.unwrap_err();
    assert_eq!(foreign.reason(), "wrong_account");
    let replayed = good.clone();
    alice.vault.run(move |tx| extend(tx, uuid, 0, &good)).await.unwrap().unwrap();
    let again = alice.vault.run(move |tx| extend(tx, uuid, 1, &replayed)).await.unwrap_err();

    assert!(is_other_branch(&again));
    let known = alice.vault.run(move |tx| Ok(chains::ops(tx.db, uuid)?.len())).await.unwrap();
    assert_eq!(known, 2);
}
