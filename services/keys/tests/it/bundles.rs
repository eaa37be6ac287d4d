//! Bundles: who gets what.

use reqwest::Method;
use serde_json::{Value, json};
use sotto_kit::clock::Clock as _;
use sqlx::{Executor as _, PgPool};
use std::time::Duration;

use crate::harness::{
    TestKeys, op_json,
    person::{Person, base64},
    wait_until,
};

fn ids(bundles: &Value) -> Vec<u64> {
    let devices = bundles["devices"].as_array().unwrap();
    devices.iter().map(|device| device["device_id"].as_u64().unwrap()).collect()
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_bundle_has_what_a_session_needs(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);
    let device = &alice.devices[&1];
    let (signed, last, one_time) = (device.signed_ec(4), device.kyber(5), device.kyber(6));
    let bare = crate::harness::prekeys::bare(7);
    keys.put("/v1/keys/signed", &alice.token, signed.clone()).await.ok();
    keys.put("/v1/keys/one-time", &alice.token, json!({ "keys": [bare] })).await.ok();
    let body = json!({ "last_resort": last, "one_time": [one_time] });
    keys.put("/v1/keys/kyber", &alice.token, body).await.ok();
    let with = |mut key: Value, last_resort: bool| {
        key["last_resort"] = json!(last_resort);
        key
    };

    let mut bundle = keys.fetch_one(&bob, &alice).await;

    let mut expected = json!({
        "device_id": 1,
        "registration_id": device.registration_id,
        "identity_key": base64(device.identity_key().as_bytes()),
        "signed_ec": signed,
        "one_time_ec": bare,
        "kyber": with(one_time, false),
    });
    assert_eq!(bundle, expected);

    bundle = keys.fetch_one(&bob, &alice).await;
    expected["one_time_ec"] = Value::Null;
    expected["kyber"] = with(last, true);
    assert_eq!(bundle, expected, "the shelf is empty");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn only_devices_that_have_published_are_in_it(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person_with_prekeys(3).await, keys.person().await);
    let second = keys.link(&mut alice, 2).await;
    assert_eq!(ids(&keys.fetch(&bob, &alice, json!({})).await.ok()), [1]);

    keys.publish(&alice, &second, 2, 3).await;
    assert_eq!(ids(&keys.fetch(&bob, &alice, json!({})).await.ok()), [1, 2]);

    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();
    assert_eq!(ids(&keys.fetch(&bob, &alice, json!({})).await.ok()), [1]);
}

/// Makes whoever takes a one-time key wait for the advisory lock 1.
async fn hold_up_claims(db: &PgPool) {
    db.execute(
        "CREATE FUNCTION public.hold_up() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN OLD; END';
         CREATE TRIGGER hold_up BEFORE DELETE ON keys.one_time_ec_prekeys
             FOR EACH ROW EXECUTE FUNCTION public.hold_up();",
    )
    .await
    .unwrap();
}

async fn is_held_up(db: &PgPool) -> bool {
    let waiting = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON oid = database
                   WHERE locktype = 'advisory' AND NOT granted AND datname = current_database())";
    sqlx::query_scalar(waiting).fetch_one(db).await.unwrap()
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_is_revoked_while_its_bundle_is_taken_is_left_out(db: PgPool) {
    hold_up_claims(&db).await;
    let keys = TestKeys::start(db.clone()).await;
    let (mut alice, bob) = (keys.person_with_prekeys(3).await, keys.person().await);
    let second = keys.link(&mut alice, 2).await;
    // No one-time keys: those would make the revocation wait for the claim.
    let device = &alice.devices[&2];
    keys.put("/v1/keys/signed", &second, device.signed_ec(1)).await.ok();
    let last_resort = json!({ "last_resort": device.kyber(1000), "one_time": [] });
    keys.put("/v1/keys/kyber", &second, last_resort).await.ok();
    let revoked = alice.revoke_device(2);

    let mut gate = db.begin().await.unwrap();
    gate.execute("SELECT pg_advisory_xact_lock(1)").await.unwrap();
    let fetch = keys.fetch(&bob, &alice, json!({ "have": 0 }));
    let revoke = async {
        wait_until(|| is_held_up(&db)).await;
        keys.append(&alice, &[revoked]).await.ok();
        gate.rollback().await.unwrap();
    };
    let (bundles, ()) = futures_util::future::join(fetch, revoke).await;

    let bundles = bundles.ok();
    assert_eq!(bundles["head"]["seq"], 2, "the chain in the answer has the revocation");
    assert_eq!(ids(&bundles), [1]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_whose_certificate_has_ended_is_left_out(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person_with_prekeys(3).await, keys.person().await);
    let added = alice.add_device_until(2, keys.clock.now_ms() + 60_000);
    keys.append(&alice, &[added]).await.ok();
    let app_token = keys.socialink.token(&alice.user);
    let second = keys.log_in(&alice, &app_token, 2).await;
    keys.publish(&alice, &second, 2, 3).await;
    assert_eq!(ids(&keys.fetch(&bob, &alice, json!({})).await.ok()), [1, 2]);

    keys.clock.advance(Duration::from_mins(1));

    assert_eq!(ids(&keys.fetch(&bob, &alice, json!({})).await.ok()), [1]);
    keys.try_log_in(&alice, &app_token, 2).await.refused(403, "device_expired");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn devices_can_be_named_and_wrong_ones_use_up_nothing(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person_with_prekeys(3).await, keys.person().await);
    let second = keys.link(&mut alice, 2).await;
    keys.link(&mut alice, 3).await;
    keys.publish(&alice, &second, 2, 3).await;

    let one = keys.fetch(&bob, &alice, json!({ "device_ids": [2] })).await.ok();
    assert_eq!(ids(&one), [2]);
    let none = keys.fetch(&bob, &alice, json!({ "device_ids": [] })).await.ok();
    assert_eq!(ids(&none), [0; 0]);
    let answer = keys.fetch(&bob, &alice, json!({ "device_ids": [1, 9, 8] })).await;
    assert_eq!(answer.refused(404, "unknown_device")["device_ids"], json!([9, 8]));
    let answer = keys.fetch(&bob, &alice, json!({ "device_ids": [1, 3] })).await;
    assert_eq!(answer.refused(409, "device_not_ready")["device_ids"], json!([3]));
    let answer = keys.fetch(&bob, &alice, json!({ "device_ids": [128] })).await;
    answer.refused(422, "malformed_json");

    assert_eq!(keys.count(&alice.token).await["one_time_ec"], 3);
    assert_eq!(keys.count(&second).await["one_time_ec"], 2);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_ops_that_the_caller_lacks_come_along(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person_with_prekeys(5).await, keys.person().await);
    keys.link(&mut alice, 2).await;
    let op = alice.set_handle("alice");
    keys.append(&alice, &[op]).await.ok();
    let all: Vec<Value> = alice.ops.iter().map(op_json).collect();

    for (have, from) in [(json!(0), 1), (json!(1), 2), (json!(2), 3), (json!(9), 3)] {
        let body = keys.fetch(&bob, &alice, json!({ "have": have })).await.ok();
        assert_eq!(body["ops"], json!(all[from..]), "have {have}");
        assert_eq!(body["account_id"], alice.id().to_string());
        assert_eq!(body["head"]["seq"], 2);
        assert_eq!(body["head"]["hash"], base64(alice.state.head.as_bytes()));
    }
    assert_eq!(keys.fetch(&bob, &alice, json!({})).await.ok()["ops"], json!([]));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn users_of_apps_that_list_each_other_may_meet(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person_with_prekeys(9).await;
    let neighbour = keys.person_of(&keys.vignette).await;
    let stranger = keys.person_of(&keys.island).await;

    keys.fetch(&neighbour, &alice, json!({})).await.ok();
    // Island lists socialink, and socialink does not list island.
    let answer = keys.fetch(&stranger, &alice, json!({})).await;
    answer.refused(403, "not_interoperable");
    let answer = keys.fetch(&alice, &stranger, json!({})).await;
    answer.refused(403, "not_interoperable");

    assert_eq!(keys.count(&alice.token).await["one_time_ec"], 8);
}

/// A handle is public, as the chain is: who finds it has no keys by that. Caught: a check
/// that comes after the keys were taken.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_strangers_app_uses_up_no_keys_however_the_account_is_named(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(9).await;
    let op = alice.set_handle("alice");
    keys.append(&alice, &[op]).await.ok();
    let stranger = keys.person_of(&keys.island).await;
    let found = keys.get("/v1/u/alice").await.ok();

    for name in [&found["account_id"], &found["uuid"]] {
        let path = format!("/v1/accounts/{}/bundles", name.as_str().unwrap());
        for wanted in [json!({}), json!({ "device_ids": [1] }), json!({ "have": 0 })] {
            let answer = keys.call(Method::POST, &path, Some(&stranger.token), Some(wanted)).await;
            answer.refused(403, "not_interoperable");
        }
    }

    let left = keys.count(&alice.token).await;
    assert_eq!((&left["one_time_ec"], &left["one_time_kyber"]), (&json!(9), &json!(9)));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_account_with_a_second_app_is_reached_through_either(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person_with_prekeys(9).await;
    let stranger = keys.person_of(&keys.island).await;

    keys.log_in(&alice, &keys.island.token("alice"), 1).await;

    keys.fetch(&stranger, &alice, json!({})).await.ok();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_takes_none_of_its_own_keys_but_those_of_its_siblings(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(3).await;
    let second = keys.link(&mut alice, 2).await;
    keys.publish(&alice, &second, 2, 3).await;

    assert_eq!(ids(&keys.fetch(&alice, &alice, json!({})).await.ok()), [2]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_device_fetches_nothing(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, mut bob) = (keys.person_with_prekeys(3).await, keys.person().await);
    let second = keys.link(&mut bob, 2).await;
    let revoked = bob.revoke_device(2);
    keys.append(&bob, &[revoked]).await.ok();

    let path = format!("/v1/accounts/{}/bundles", alice.id());
    let answer = keys.call(Method::POST, &path, Some(&second), Some(json!({}))).await;

    answer.refused(403, "device_revoked");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn strangers_to_the_deployment_get_nothing(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person_with_prekeys(3).await;
    let path = format!("/v1/accounts/{}/bundles", alice.id());
    for token in [None, Some("x"), Some("a.b.c")] {
        let answer = keys.call(Method::POST, &path, token, Some(json!({}))).await;
        assert_eq!(answer.status, 401);
    }
    let nobody = Person::new();
    keys.fetch(&alice, &nobody, json!({})).await.refused(404, "unknown_account");
}
