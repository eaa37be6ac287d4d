//! Chains: what is appended, and what is served.

use futures_util::future::join_all;
use prost::Message as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sotto_identity::{SignedOp, build, replay};
use sqlx::PgPool;
use std::time::Duration;

use crate::harness::{
    NOW_MS, TestKeys, op_json,
    person::{Person, base64, device_id},
};

fn decode(mut bytes: &[u8]) -> Vec<SignedOp> {
    let mut ops = Vec::new();
    while !bytes.is_empty() {
        ops.push(SignedOp::decode_length_delimited(&mut bytes).unwrap());
    }
    ops
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_chain_comes_back_byte_for_byte(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let ops = [alice.set_handle("alice"), alice.add_device(2, false)];
    let body = keys.append(&alice, &ops).await.ok();
    assert_eq!(body["head"], json!({ "seq": 2, "hash": base64(alice.state.head.as_bytes()) }));

    for name in [alice.id().to_string(), alice.uuid().to_string()] {
        let chain = keys.get(&format!("/v1/accounts/{name}/ops")).await;
        assert_eq!(decode(&chain.bytes), alice.ops);
        assert_eq!(replay(&decode(&chain.bytes)).unwrap().head, alice.state.head);

        let tail = keys.get(&format!("/v1/accounts/{name}/ops?from=2")).await;
        assert_eq!(decode(&tail.bytes), alice.ops[2..]);
        let beyond = keys.get(&format!("/v1/accounts/{name}/ops?from=9")).await;
        assert_eq!((beyond.status, beyond.bytes), (StatusCode::OK, vec![]));

        let head = keys.get(&format!("/v1/accounts/{name}/head")).await.ok();
        assert_eq!(head["account_id"], alice.id().to_string());
        assert_eq!((&head["seq"], &head["hash"]), (&body["head"]["seq"], &body["head"]["hash"]));
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nobody_s_chain_is_not_found(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let nobody = Person::new();
    for name in [nobody.id().to_string(), nobody.uuid().to_string()] {
        keys.get(&format!("/v1/accounts/{name}/ops")).await.refused(404, "unknown_account");
        keys.get(&format!("/v1/accounts/{name}/head")).await.refused(404, "unknown_account");
    }
    keys.get("/v1/accounts/alice/head").await.refused(422, "malformed_path");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn ops_that_come_again_change_nothing(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let ops = [alice.set_handle("alice"), alice.set_handle("alice.b")];
    let first = keys.append(&alice, &ops).await.ok();

    let second = keys.append(&alice, &ops).await.ok();
    assert_eq!(first, second);

    // The second half of what came before, and something new.
    let mixed = [ops[1].clone(), alice.set_handle("alice.c")];
    assert_eq!(keys.append(&alice, &mixed).await.ok()["head"]["seq"], 3);
}

/// Caught: an append that does not compare the head. The key of the table then stops
/// it, as a failure of ours.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn of_appends_at_once_one_wins_and_the_others_learn_the_head(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let drafts: Vec<SignedOp> = (0..40)
        .map(|n| {
            let handle = format!("crowd{}{}", char::from(b'a' + n / 26), char::from(b'a' + n % 26));
            alice.draft(build::set_handle(&handle.parse().unwrap()))
        })
        .collect();

    let answers =
        join_all(drafts.iter().map(|op| keys.append(&alice, std::slice::from_ref(op)))).await;

    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == StatusCode::OK);
    assert_eq!((won.len(), lost.len()), (1, 39));
    let head = won[0].json()["head"].clone();
    for answer in lost {
        assert_eq!(answer.refused(409, "head_moved")["head"], head);
    }
}

/// A client that sends the same request twice at once must not be told that it lost
/// against itself.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_same_ops_at_once_all_succeed(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let op = [alice.set_handle("alice")];

    let answers = join_all((0..20).map(|_| keys.append(&alice, &op))).await;

    for answer in answers {
        assert_eq!(answer.ok()["head"]["seq"], 1);
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn ops_of_one_request_stand_or_fall_together(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let good = alice.set_handle("alice");
    let mut bad = alice.set_handle("alice.b");
    bad.sigs[0].sig[0] ^= 1;

    keys.append(&alice, &[good, bad]).await.refused(422, "bad_signature");

    keys.get("/v1/u/alice").await.refused(404, "unknown_handle");
    let head = keys.get(&format!("/v1/accounts/{}/head", alice.id())).await.ok();
    assert_eq!(head["seq"], 0);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn after_an_admin_is_revoked_the_key_is_rotated_in_the_same_request(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let added = alice.add_device(2, true);
    keys.append(&alice, &[added]).await.ok();

    let revoked = alice.revoke_device(2);
    keys.append(&alice, std::slice::from_ref(&revoked)).await.refused(422, "rotation_due");

    let rotated = alice.rotate();
    assert_eq!(keys.append(&alice, &[revoked, rotated]).await.ok()["head"]["seq"], 3);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn only_a_device_of_the_account_appends_to_its_chain(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, mallory) = (keys.person().await, keys.person().await);
    let op = alice.set_handle("alice");
    let path = format!("/v1/accounts/{}/ops", alice.id());
    let body = json!({ "ops": [op_json(&op)] });

    let answer = keys.call(Method::POST, &path, Some(&mallory.token), Some(body.clone())).await;
    answer.refused(403, "not_your_account");
    keys.call(Method::POST, &path, None, Some(body)).await.refused(401, "token_missing");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gap_and_a_foreign_op_are_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, mut bob) = (keys.person().await, keys.person().await);
    alice.set_handle("alice");
    let after_the_gap = alice.set_handle("alice.b");
    keys.append(&alice, &[after_the_gap]).await.refused(422, "wrong_seq");

    let foreign = bob.set_handle("bobby");
    keys.append(&alice, &[foreign]).await.refused(422, "wrong_account");
    keys.append(&alice, &[]).await.refused(422, "no_ops");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_chain_grows_no_faster_than_it_may(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| config.handles.per_account = 100).await;
    let mut alice = keys.person().await;
    let name = |n: u8| format!("alice.{}", char::from(b'a' + n));
    // The genesis was the first of twenty.
    let burst: Vec<SignedOp> = (0..19).map(|n| alice.set_handle(&name(n))).collect();
    keys.append(&alice, &burst).await.ok();

    let next = [alice.set_handle(&name(19))];
    let problem = keys.append(&alice, &next).await.refused(429, "op_rate");
    assert_eq!(problem["retry_after_ms"], 6 * 60 * 1000);

    // What the chain holds already costs nothing.
    keys.append(&alice, &burst).await.ok();

    keys.clock.advance(Duration::from_mins(6));
    keys.append(&alice, &next).await.ok();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_server_does_not_build_on_a_chain_that_was_altered(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let forged = Person::new().ops.remove(0).encode_to_vec();
    sqlx::query("UPDATE keys.chain_ops SET signed_op = $1 WHERE account = $2")
        .bind(forged)
        .bind(alice.uuid().as_uuid())
        .execute(&keys.db)
        .await
        .unwrap();

    let op = alice.set_handle("alice");

    keys.append(&alice, &[op]).await.refused(500, "damaged");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_takes_itself_off(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    let op = alice.state.next_op(build::revoke_device(device_id(2)), NOW_MS);
    let payload = sotto_identity::encode_op(&op);
    let key = &alice.devices[&2].key;
    let signature = ed25519_dalek::Signer::sign(key, &sotto_identity::signing_message(&payload));
    let signed = build::signed(payload, [(key.verifying_key().to_bytes(), signature.to_bytes())]);

    let body: Value = keys.append(&alice, &[signed]).await.ok();

    assert_eq!(body["head"]["seq"], 2);
    let token = keys.socialink.token(&alice.user);
    keys.try_log_in(&alice, &token, 2).await.refused(403, "device_revoked");
}
