//! Uploads of prekeys.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::harness::{
    NOW_MS, TestKeys,
    person::base64,
    prekeys::{bare, ec_key, kyber_key},
};

const ONE_TIME: &str = "/v1/keys/one-time";
const KYBER: &str = "/v1/keys/kyber";
const SIGNED: &str = "/v1/keys/signed";

fn uploaded(stored: u32, known: u32, spent: &[u32]) -> Value {
    json!({ "stored": stored, "known": known, "spent": spent })
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_empty_shelf_is_filled_and_counted(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let empty = json!({
        "one_time_ec": 0, "one_time_kyber": 0, "highest_one_time_ec": 0, "highest_kyber": 0,
        "signed_ec": null, "signed_ec_published_at_ms": null, "last_resort_kyber": null,
        "key_packages": 0, "last_resort_key_package": false,
    });
    assert_eq!(keys.count(&alice.token).await, empty);

    keys.publish(&alice, &alice.token, 1, 7).await;

    let full = json!({
        "one_time_ec": 7, "one_time_kyber": 7, "highest_one_time_ec": 7, "highest_kyber": 1000,
        "signed_ec": 1, "signed_ec_published_at_ms": NOW_MS, "last_resort_kyber": 1000,
        "key_packages": 0, "last_resort_key_package": false,
    });
    assert_eq!(keys.count(&alice.token).await, full);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn uploads_that_come_again_change_nothing(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let device = &alice.devices[&1];
    let one_time = json!({ "keys": [bare(1), bare(2)] });
    let kyber = json!({ "last_resort": device.kyber(3), "one_time": [device.kyber(1)] });
    let signed = device.signed_ec(1);

    for (path, body, count) in [(ONE_TIME, one_time, 2), (KYBER, kyber, 2), (SIGNED, signed, 1)] {
        let first = keys.put(path, &alice.token, body.clone()).await.ok();
        let second = keys.put(path, &alice.token, body).await.ok();
        assert_eq!(first, uploaded(count, 0, &[]), "{path}");
        assert_eq!(second, uploaded(0, count, &[]), "{path}");
    }
}

/// Putting a handed-out key back would give it to a second stranger.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_late_retry_never_puts_a_key_back_that_was_handed_out(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, bob) = (keys.person_with_prekeys(0).await, keys.person().await);
    let device = &alice.devices[&1];
    let one_time = json!({ "keys": [bare(1), bare(2)] });
    let kyber = json!({ "one_time": [device.kyber(1), device.kyber(2)] });
    keys.put(ONE_TIME, &alice.token, one_time.clone()).await.ok();
    keys.put(KYBER, &alice.token, kyber.clone()).await.ok();
    keys.fetch_one(&bob, &alice).await;

    assert_eq!(keys.put(ONE_TIME, &alice.token, one_time).await.ok(), uploaded(0, 1, &[1]));
    assert_eq!(keys.put(KYBER, &alice.token, kyber).await.ok(), uploaded(0, 1, &[1]));

    let count = keys.count(&alice.token).await;
    assert_eq!((&count["one_time_ec"], &count["one_time_kyber"]), (&json!(1), &json!(1)));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn other_bytes_under_a_known_id_are_a_conflict_and_nothing_is_stored(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person_with_prekeys(2).await;
    let device = &alice.devices[&1];
    let before = keys.count(&alice.token).await;

    let body = json!({ "keys": [bare(3), bare(2), bare(1)] });
    let problem = keys.put(ONE_TIME, &alice.token, body).await.refused(409, "prekey_conflict");
    assert_eq!(problem["key_ids"], json!([2, 1]));
    let body = json!({ "last_resort": device.kyber(2000), "one_time": [device.kyber(1)] });
    let problem = keys.put(KYBER, &alice.token, body).await.refused(409, "prekey_conflict");
    assert_eq!(problem["key_ids"], json!([1]));
    let body = json!({ "last_resort": device.kyber(1000), "one_time": [device.kyber(3)] });
    let problem = keys.put(KYBER, &alice.token, body).await.refused(409, "prekey_conflict");
    assert_eq!(problem["key_ids"], json!([1000]));
    let problem = keys.put(SIGNED, &alice.token, device.signed_ec(1)).await;
    assert_eq!(problem.refused(409, "prekey_conflict")["key_ids"], json!([1]));

    assert_eq!(keys.count(&alice.token).await, before);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_newest_signed_key_is_the_one_that_counts(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, bob) = (keys.person_with_prekeys(0).await, keys.person().await);
    let device = &alice.devices[&1];
    let (second, late) = (device.signed_ec(2), device.signed_ec(1));

    keys.put(SIGNED, &alice.token, second.clone()).await.ok();
    let answer = keys.put(SIGNED, &alice.token, late).await.ok();

    assert_eq!(answer, uploaded(0, 0, &[1]));
    assert_eq!(keys.fetch_one(&bob, &alice).await["signed_ec"], second);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_last_resort_key_is_replaced_by_a_newer_one_only(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person_with_prekeys(0).await;
    let device = &alice.devices[&1];

    let body = json!({ "last_resort": device.kyber(1001) });
    assert_eq!(keys.put(KYBER, &alice.token, body).await.ok(), uploaded(1, 0, &[]));
    let body = json!({ "last_resort": device.kyber(1000) });
    assert_eq!(keys.put(KYBER, &alice.token, body).await.ok(), uploaded(0, 0, &[1000]));

    assert_eq!(keys.count(&alice.token).await["last_resort_kyber"], 1001);
}

/// libsignal finds both kinds by one id.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn no_id_stands_for_a_one_time_and_a_last_resort_key(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person_with_prekeys(1).await;
    let device = &alice.devices[&1];

    let body = json!({ "last_resort": device.kyber(5), "one_time": [device.kyber(5)] });
    let problem = keys.put(KYBER, &alice.token, body).await.refused(422, "duplicate_key_ids");
    assert_eq!(problem["key_ids"], json!([5]));
    let body = json!({ "one_time": [device.kyber(1000)] });
    keys.put(KYBER, &alice.token, body).await.refused(409, "prekey_conflict");
    let body = json!({ "last_resort": device.kyber(1) });
    keys.put(KYBER, &alice.token, body).await.refused(409, "prekey_conflict");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn every_signature_is_verified(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, mallory) = (keys.person().await, keys.person().await);
    let (device, other) = (&alice.devices[&1], &mallory.devices[&1]);

    keys.put(SIGNED, &alice.token, other.signed_ec(1)).await.refused(422, "bad_prekey_signature");
    let mixed = json!({ "one_time": [device.kyber(1), other.kyber(2), other.kyber(3)] });
    let problem = keys.put(KYBER, &alice.token, mixed).await.refused(422, "bad_prekey_signature");
    assert_eq!(problem["key_ids"], json!([2, 3]));
    let body = json!({ "last_resort": other.kyber(4) });
    keys.put(KYBER, &alice.token, body).await.refused(422, "bad_prekey_signature");
    // Signed is the key with its type byte, not the bare one.
    let key = ec_key();
    let mut body = device.signed(1, &key);
    body["signature"] = json!(base64(&device.sign(&key[1..])));
    keys.put(SIGNED, &alice.token, body).await.refused(422, "bad_prekey_signature");

    assert_eq!(keys.count(&alice.token).await["highest_kyber"], 0);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn keys_of_low_order_and_of_zeroes_are_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let device = &alice.devices[&1];
    let mut ec_zero = [0; 33];
    ec_zero[0] = 5;
    let mut ec_one = ec_zero;
    ec_one[1] = 1;
    let mut kyber_zero = [0; 1569];
    kyber_zero[0] = 8;

    for key in [ec_zero, ec_one] {
        let body = json!({ "keys": [bare(1), { "key_id": 2, "public_key": base64(&key) }] });
        let problem = keys.put(ONE_TIME, &alice.token, body).await.refused(422, "low_order_key");
        assert_eq!(problem["key_ids"], json!([2]));
        let body = device.signed(1, &key);
        keys.put(SIGNED, &alice.token, body).await.refused(422, "low_order_key");
    }
    let body = json!({ "one_time": [device.signed(1, &kyber_zero)] });
    keys.put(KYBER, &alice.token, body).await.refused(422, "low_order_key");
    let body = json!({ "last_resort": device.signed(1, &kyber_zero) });
    keys.put(KYBER, &alice.token, body).await.refused(422, "low_order_key");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn keys_of_another_form_are_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let device = &alice.devices[&1];
    let mut other_type = ec_key();
    other_type[0] = 8;
    let mut unreduced = kyber_key();
    unreduced[1..4].fill(0xFF);

    for key in [&other_type, &ec_key()[1..].to_vec(), &kyber_key()] {
        let body = device.signed(1, key);
        keys.put(SIGNED, &alice.token, body).await.refused(422, "malformed_public_key");
    }
    for key in [&unreduced, &kyber_key()[..1568].to_vec(), &ec_key()] {
        let body = json!({ "one_time": [device.signed(1, key)] });
        keys.put(KYBER, &alice.token, body).await.refused(422, "malformed_public_key");
    }
    for key_id in [0, 1 << 24] {
        let body = json!({ "keys": [bare(key_id)] });
        keys.put(ONE_TIME, &alice.token, body).await.refused(422, "malformed_key_id");
    }
    let body = json!({ "keys": [bare(1), bare(2), bare(1)] });
    let problem = keys.put(ONE_TIME, &alice.token, body).await.refused(422, "duplicate_key_ids");
    assert_eq!(problem["key_ids"], json!([1]));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn uploads_and_shelves_have_bounds(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let upload = |ids: std::ops::Range<u32>| json!({ "keys": ids.map(bare).collect::<Vec<_>>() });

    let answer = keys.put(ONE_TIME, &alice.token, upload(1..102)).await;
    answer.refused(422, "too_many_prekeys");
    keys.put(ONE_TIME, &alice.token, upload(1..101)).await.ok();
    keys.put(ONE_TIME, &alice.token, upload(101..201)).await.ok();
    let answer = keys.put(ONE_TIME, &alice.token, upload(201..202)).await;
    answer.refused(409, "shelf_full");

    let count = keys.count(&alice.token).await;
    assert_eq!((&count["one_time_ec"], &count["highest_one_time_ec"]), (&json!(200), &json!(200)));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_device_loses_its_prekeys_and_publishes_no_more(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    let token = keys.log_in(&alice, &keys.socialink.token(&alice.user), 2).await;
    keys.publish(&alice, &token, 2, 3).await;

    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();

    for table in [
        "shelves",
        "signed_ec_prekeys",
        "one_time_ec_prekeys",
        "last_resort_kyber_prekeys",
        "one_time_kyber_prekeys",
    ] {
        let statement = format!("SELECT count(*) FROM keys.{table} WHERE device = 2");
        let left: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&keys.db).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
    let body = json!({ "keys": [bare(9)] });
    keys.put(ONE_TIME, &token, body).await.refused(403, "device_revoked");
    let device = &alice.devices[&2];
    keys.put(SIGNED, &token, device.signed_ec(9)).await.refused(403, "device_revoked");
    let body = json!({ "one_time": [device.kyber(9)] });
    keys.put(KYBER, &token, body).await.refused(403, "device_revoked");
    let answer = keys.call(Method::GET, "/v1/keys/count", Some(&token), None).await;
    answer.refused(403, "device_revoked");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nobody_publishes_without_a_token(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for path in [ONE_TIME, KYBER, SIGNED] {
        let answer = keys.call(Method::PUT, path, None, Some(json!({}))).await;
        answer.refused(401, "token_missing");
    }
}
