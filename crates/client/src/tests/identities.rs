//! Accounts that change: devices that go, keys that are replaced, words that are typed.

use super::{Party, server::Server, two};
use crate::{
    Client, Endpoint, EndpointKind, Event, Me, OnIdentityChange, PeerName, Phase, RecoveryPhrase,
    chain::extend,
    client::identity::{revoke, rotate},
    kinds::identity::tell_changed,
    outbox::next_batch,
    vault::{accounts, outbox, own, sessions},
};

fn phrase(number: u64) -> RecoveryPhrase {
    use rand::{SeedableRng as _, rngs::StdRng};
    RecoveryPhrase::generate(&mut StdRng::seed_from_u64(number))
}

async fn registered(server: &Server, number: u64) -> (Client, tempfile::TempDir, Me) {
    let (client, dir) = server.client().await;
    let me = client.register(&phrase(number), Some(&"alice".parse().unwrap())).await.unwrap();
    (client, dir, me)
}

async fn second_device(
    server: &Server,
    first: &Client,
    admin: bool,
) -> (Client, tempfile::TempDir) {
    let (second, dir) = server.client().await;
    let pending = second.open_link().await.unwrap();
    let link = pending.link().to_string().parse().unwrap();
    let (approved, linked) = tokio::join!(first.approve_link(&link, admin), pending.finish(None));
    approved.unwrap();
    linked.unwrap();
    (second, dir)
}

#[tokio::test]
async fn a_device_takes_itself_off_and_an_admin_takes_off_any_other() {
    let server = Server::start().await;
    let (phone, _phone, me) = registered(&server, 1).await;
    let (laptop, _laptop) = second_device(&server, &phone, false).await;
    let (tablet, _tablet) = second_device(&server, &phone, false).await;
    let (laptop_id, tablet_id) =
        (laptop.me().await.unwrap().unwrap().device, tablet.me().await.unwrap().unwrap().device);

    let refused = laptop.revoke_device(tablet_id).await.unwrap_err();
    assert_eq!(refused.reason(), "not_admin");
    laptop.revoke_device(laptop_id).await.unwrap();
    phone.revoke_device(tablet_id).await.unwrap();

    let chain = phone.chain(me.account).await.unwrap();
    let revoked: Vec<_> = chain.devices.iter().map(|device| device.revoked_at_seq).collect();
    assert!(matches!(revoked.as_slice(), [None, Some(_), Some(_)]), "{revoked:?}");
    let refused = phone.revoke_device(tablet_id).await.unwrap_err();
    assert_eq!(refused.reason(), "device_revoked");
    let refused = phone.revoke_device(me.device).await.unwrap_err();
    assert_eq!(refused.reason(), "admin_leaves");
}

/// Caught when the new key was not stored before its op was made: the account had nobody
/// left who could sign for it.
#[tokio::test]
async fn an_account_key_outlives_a_crash_between_the_server_and_the_store() {
    let server = Server::start().await;
    let (phone, dir, me) = registered(&server, 1).await;
    let before = phone.chain(me.account).await.unwrap().account_key;
    // The server takes the rotation, and the answer never comes.
    let ops = phone
        .inner
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let state = sotto_identity::replay(&crate::vault::chains::ops(tx.db, me.uuid)?)?;
            rotate(tx, own.account_key.as_ref().unwrap(), &state)
        })
        .await
        .unwrap();
    server.state().chains.get_mut(&me.account).unwrap().push(ops);
    phone.close().await;

    let phone = server.client_at(&dir, |_| {}).await;
    phone.set_handle(&"alice2".parse().unwrap()).await.unwrap();

    let after = phone.chain(me.account).await.unwrap();
    assert_ne!(after.account_key, before);
    assert!(phone.me().await.unwrap().unwrap().admin);
}

#[tokio::test]
async fn an_op_is_made_anew_where_another_device_was_faster() {
    let server = Server::start().await;
    let (phone, _phone, me) = registered(&server, 1).await;
    server.refuse("POST /v1/accounts/", 409, serde_json::json!({ "reason": "head_moved" }));

    phone.rotate_account().await.unwrap();

    let kinds: Vec<_> =
        phone.chain(me.account).await.unwrap().ops.iter().map(|op| op.kind).collect();
    assert_eq!(kinds, ["genesis", "set_handle", "rotate_account"]);
}

#[tokio::test]
async fn the_words_bring_an_account_back_and_whoever_had_it_is_out() {
    let server = Server::start().await;
    let (thief, _thief, me) = registered(&server, 1).await;
    let (laptop, _laptop) = second_device(&server, &thief, true).await;
    let (wiped, _wiped) = server.client().await;

    let back = wiped.recover(&PeerName::Account(me.account), &phrase(1)).await.unwrap();

    assert_eq!(back.account, me.account);
    assert_eq!(back.handle, me.handle);
    assert!(back.admin && back.phase == Phase::Ready);
    let chain = wiped.chain(me.account).await.unwrap();
    let live: Vec<_> =
        chain.devices.iter().filter(|device| device.revoked_at_seq.is_none()).collect();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].id, back.device);
    for out in [&thief, &laptop] {
        assert_eq!(out.rotate_account().await.unwrap_err().reason(), "not_admin");
    }
}

#[tokio::test]
async fn a_recovery_goes_on_after_the_answer_was_lost() {
    let server = Server::start().await;
    let (_first, _dir, me) = registered(&server, 1).await;
    let (wiped, dir) = server.client().await;
    server.refuse("GET /v1/keys/count", 503, serde_json::json!({ "reason": "unavailable" }));
    let interrupted = wiped.recover(&PeerName::Account(me.account), &phrase(1)).await.unwrap_err();
    assert!(interrupted.is_temporary());
    wiped.close().await;

    let wiped = server.client_at(&dir, |_| {}).await;
    let back = wiped.recover(&PeerName::Account(me.account), &phrase(1)).await.unwrap();

    assert_eq!(back.phase, Phase::Ready);
    let ops = wiped.chain(me.account).await.unwrap().ops;
    assert_eq!(ops.iter().filter(|op| op.kind == "recover").count(), 1);
}

#[tokio::test]
async fn other_words_do_not_recover_and_replaced_ones_do_not_either() {
    let server = Server::start().await;
    let (phone, _phone, me) = registered(&server, 1).await;
    let (wiped, _wiped) = server.client().await;
    let name = PeerName::Account(me.account);

    assert_eq!(wiped.recover(&name, &phrase(9)).await.unwrap_err().reason(), "wrong_phrase");
    let refused = phone.set_recovery(&phrase(9), &phrase(2)).await.unwrap_err();
    assert_eq!(refused.reason(), "wrong_phrase");
    phone.set_recovery(&phrase(1), &phrase(2)).await.unwrap();
    phone.set_recovery(&phrase(1), &phrase(2)).await.unwrap();

    assert_eq!(wiped.recover(&name, &phrase(1)).await.unwrap_err().reason(), "wrong_phrase");
    wiped.recover(&name, &phrase(2)).await.unwrap();
}

#[tokio::test]
async fn endpoints_stand_in_the_chain_until_they_are_dropped() {
    let server = Server::start().await;
    let (phone, _phone, me) = registered(&server, 1).await;
    let relay = Endpoint { kind: EndpointKind::Relay, url: "https://lumen.chat".to_owned() };

    phone.add_endpoint(&relay).await.unwrap();
    assert!(phone.endpoints(me.account).await.unwrap() == [relay.clone()]);
    let again = phone.add_endpoint(&relay).await.unwrap_err();
    assert_eq!(again.reason(), "endpoint_exists");
    phone.drop_endpoint(&relay).await.unwrap();

    assert!(phone.endpoints(me.account).await.unwrap().is_empty());
}

/// The ops that rotate Bob's account key.
async fn rotation(bob: &Party) -> Vec<sotto_identity::SignedOp> {
    let state = bob.state().await;
    bob.vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            Ok(vec![rotate(tx, own.account_key.as_ref().unwrap(), &state)?])
        })
        .await
        .unwrap()
}

/// Caught when the outbox asked nobody whether a person has agreed: both were sent.
#[tokio::test]
async fn nothing_goes_to_a_changed_identity_before_a_person_agrees() {
    let (mut alice, bob) = two().await;
    let ops = rotation(&bob).await;
    let uuid = bob.account.uuid();
    alice.write(&bob, "before").await;

    alice.vault.run(move |tx| extend(tx, uuid, 0, &ops)).await.unwrap().unwrap();
    alice.write(&bob, "after").await;

    let told = std::iter::from_fn(|| alice.events.try_recv().ok());
    let held = |event: &Event| matches!(event, Event::IdentityChanged { held: true, .. });
    assert_eq!(told.filter(held).count(), 1);
    assert!(alice.batch().await.sends.is_empty(), "both wait");
    alice.vault.run(move |tx| Ok(accounts::set_key_changed(tx.db, uuid, false)?)).await.unwrap();
    assert_eq!(alice.batch().await.sends.len(), 2, "and go once the person agrees");
}

#[tokio::test]
async fn a_changed_identity_is_only_told_where_the_setting_says_so() {
    let (alice, bob) = two().await;
    let ops = rotation(&bob).await;
    let uuid = bob.account.uuid();
    alice.write(&bob, "hello").await;

    let sends = alice
        .vault
        .run(move |tx| {
            let mut tuning = tx.tuning.clone();
            tuning.on_identity_change = OnIdentityChange::Warn;
            tx.tuning = Box::leak(Box::new(tuning));
            extend(tx, uuid, 0, &ops)?;
            Ok(next_batch(tx, super::everything(tx.now_ms))?.sends.len())
        })
        .await
        .unwrap();

    assert_eq!(sends, 1);
}

/// I-7. Caught when a chain that moves left what was sealed as it was: the tablet was in
/// the send.
#[tokio::test]
async fn what_was_encrypted_for_a_revoked_device_is_never_sent() {
    let (alice, bob) = two().await;
    let tablet = bob.second_device(2).await;
    alice.meet(&bob).await;
    alice.open_session(&tablet).await;
    alice.write(&bob, "for both").await;
    assert_eq!(alice.batch().await.sends[0].2.messages.len(), 2);

    let (state, uuid) = (bob.state().await, bob.account.uuid());
    let device = tablet.address.device;
    let ops = bob
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            revoke(tx, &own, &state, device)
        })
        .await
        .unwrap();
    alice.vault.run(move |tx| extend(tx, uuid, 1, &ops)).await.unwrap().unwrap();

    let sends = alice.batch().await.sends;
    let devices: Vec<_> = sends[0].2.messages.iter().map(|message| message.device_id).collect();
    assert_eq!(devices, [1]);
    let tablet = tablet.address;
    let session = alice.vault.run(move |tx| Ok(sessions::find(tx.db, tablet)?)).await.unwrap();
    assert!(session.is_none());
    assert!(alice.vault.run(|tx| Ok(outbox::count(tx.db)? == 1)).await.unwrap());
}

#[tokio::test]
async fn contacts_hear_of_a_new_account_key_from_its_owner() {
    let (alice, bob) = two().await;
    let hello = alice.say(&bob, &["hello"]).await;
    bob.receive(&alice, &hello).await;
    let ops = rotation(&bob).await;
    let uuid = bob.account.uuid();
    bob.vault.run(move |tx| extend(tx, uuid, 0, &ops)).await.unwrap().unwrap();

    bob.vault.run(tell_changed).await.unwrap();
    let told = bob.send_all().await;
    assert_eq!(told.len(), 1);
    let intake = alice.receive(&bob, &told).await;

    // She is to look at his chain, and shows nothing in the conversation.
    let head = bob.state().await;
    assert!(intake.claims.iter().any(|(of, claim)| *of == uuid && claim.seq == head.seq));
    assert_eq!(alice.shown().await, [""; 0]);
}
