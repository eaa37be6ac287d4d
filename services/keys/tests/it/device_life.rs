//! Devices that are off their account, or whose certificate has ended.

use std::time::Duration;

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_identity::build;
use sqlx::PgPool;

use crate::harness::{NOW_MS, TestKeys, op_json, person::Person, prekeys::bare};

/// Everything that a device can ask for with a token, with the status and the reason
/// that it is answered with.
async fn ask_everything(
    keys: &TestKeys,
    person: &Person,
    token: &str,
    device: u8,
) -> Vec<(&'static str, u16, Value)> {
    let own = &person.devices[&device];
    let bundles = format!("/v1/accounts/{}/bundles", person.id());
    let ops = format!("/v1/accounts/{}/ops", person.id());
    let op = person.draft(build::set_handle(&"mallory".parse().unwrap()));
    let one_time = json!({ "keys": [bare(900)] });
    let kyber = json!({ "last_resort": own.kyber(901), "one_time": [own.kyber(902)] });
    let requests = [
        ("signed", Method::PUT, "/v1/keys/signed", Some(own.signed_ec(900))),
        ("one-time", Method::PUT, "/v1/keys/one-time", Some(one_time)),
        ("kyber", Method::PUT, "/v1/keys/kyber", Some(kyber)),
        ("count", Method::GET, "/v1/keys/count", None),
        ("digest", Method::GET, "/v1/keys/digest", None),
        ("bundles", Method::POST, bundles.as_str(), Some(json!({}))),
        ("ops", Method::POST, ops.as_str(), Some(json!({ "ops": [op_json(&op)] }))),
    ];
    let mut answers = Vec::new();
    for (name, method, path, body) in requests {
        let answer = keys.call(method, path, Some(token), body).await;
        answers.push((name, answer.status.as_u16(), answer.json()["reason"].clone()));
    }
    answers
}

fn assert_all_refused(answers: &[(&'static str, u16, Value)], reason: &str) {
    for (name, status, said) in answers {
        assert_eq!((*status, said.as_str()), (403, Some(reason)), "{name}");
    }
}

/// How many rows there are of all that anybody could have written or used up.
async fn rows(keys: &TestKeys) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in [
        "chain_ops",
        "handles",
        "signed_ec_prekeys",
        "one_time_ec_prekeys",
        "last_resort_kyber_prekeys",
        "one_time_kyber_prekeys",
    ] {
        let statement = format!("SELECT count(*) FROM keys.{table}");
        let count: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&keys.db).await.unwrap();
        counts.push(count);
    }
    counts
}

/// Invariant I-7, as far as keys holds it: a token outlives the device that it was given
/// to, and is worth nothing here from then on.
///
/// Caught: a `check_live` that does not look at the revocation. Then all but the uploads
/// are answered.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_7_a_revoked_device_gets_nothing_done_with_a_token_that_lives_on(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(3).await;
    let second = keys.link(&mut alice, 2).await;
    keys.publish(&alice, &second, 2, 3).await;
    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();
    let before = rows(&keys).await;

    let answers = ask_everything(&keys, &alice, &second, 2).await;

    assert_all_refused(&answers, "device_revoked");
    assert_eq!(rows(&keys).await, before);
}

/// Invariant I-7: an honest sender asks for bundles and device sets, and a revoked
/// device is in neither.
///
/// Caught: a revocation that takes down no shelf, and one that does not mark the device.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_7_nobody_is_given_the_keys_of_a_revoked_device(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person_with_prekeys(3).await, keys.person().await);
    let second = keys.link(&mut alice, 2).await;
    keys.publish(&alice, &second, 2, 3).await;

    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();

    assert_eq!(keys.fetch_one(&bob, &alice).await["device_id"], 1);
    let named = keys.fetch(&bob, &alice, json!({ "device_ids": [2] })).await;
    named.refused(404, "unknown_device");
    let set = keys.device_sets(&[&alice]).await.sets.remove(0);
    assert_eq!(set.devices.iter().map(|device| device.device_id).collect::<Vec<_>>(), [1]);
    assert_eq!(set.unready, [0; 0]);
    assert_eq!(keys.shelves_of(&alice, 2).await, 0);
}

/// Invariant I-7. The op is good wherever it comes from, once the revocation before it is
/// there. So it is the device that must not be heard.
///
/// Caught, in 4 runs of 4: an append that looks whether the device lives before it looks
/// where the chain ends. And one that does not look at all.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_7_a_device_that_is_being_revoked_appends_nothing_after_that(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| config.ops.burst = 100).await;
    let mut alice = keys.person().await;
    let path = format!("/v1/accounts/{}/ops", alice.id());
    for device in 2..=12 {
        let token = keys.link(&mut alice, device).await;
        let revoked = alice.revoke_device(device);
        let later = alice.draft(build::set_handle(&"mallory".parse().unwrap()));
        let body = json!({ "ops": [op_json(&later)] });
        let post = async || keys.call(Method::POST, &path, Some(&token), Some(body.clone())).await;

        let crowd = join_all((0..40).map(|_| post()));
        let (answers, revocation) = join(crowd, keys.append(&alice, &[revoked])).await;

        revocation.ok();
        for answer in answers {
            // Before the revocation the op has no place yet.
            let reason = answer.json()["reason"].clone();
            assert!(reason == "wrong_seq" || reason == "device_revoked", "{answer:?}");
        }
        post().await.refused(403, "device_revoked");
    }
    keys.get("/v1/u/mallory").await.refused(404, "unknown_handle");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_ends_with_the_certificate_of_its_device(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let ops = [
        alice.add_device_until(2, NOW_MS + 90_500),
        alice.add_device_until(3, NOW_MS + 3_600_000),
        alice.add_device_until(4, NOW_MS + 900),
    ];
    keys.append(&alice, &ops).await.ok();
    let app_token = keys.socialink.token(&alice.user);
    let ends_at = async |device| {
        keys.try_log_in(&alice, &app_token, device).await.ok()["expires_at_ms"].clone()
    };

    assert_eq!(ends_at(2).await, NOW_MS + 90_000, "in whole seconds, never later");
    assert_eq!(ends_at(3).await, NOW_MS + 600_000, "as any other token");
    // Less is left than the shortest token.
    keys.try_log_in(&alice, &app_token, 4).await.refused(403, "device_expired");

    let token = keys.log_in(&alice, &app_token, 2).await;
    keys.clock.advance(Duration::from_secs(90));
    let answer = keys.call(Method::GET, "/v1/keys/count", Some(&token), None).await;
    answer.refused(401, "token_expired");
}

/// No token outlives the certificate. Should one do so all the same, by a clock that
/// went wrong, it is worth nothing.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_whose_certificate_has_ended_gets_nothing_done(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(3).await;
    let second = keys.link(&mut alice, 2).await;
    keys.publish(&alice, &second, 2, 3).await;
    sqlx::query("UPDATE keys.devices SET not_after_ms = $1 WHERE device = 2")
        .bind(i64::try_from(NOW_MS).unwrap())
        .execute(&keys.db)
        .await
        .unwrap();
    let before = rows(&keys).await;

    let answers = ask_everything(&keys, &alice, &second, 2).await;

    assert_all_refused(&answers, "device_expired");
    assert_eq!(rows(&keys).await, before);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_whose_certificate_has_ended_is_in_no_set(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(1).await;
    let added = alice.add_device_until(2, NOW_MS + 60_000);
    keys.append(&alice, &[added]).await.ok();
    let second = keys.log_in(&alice, &keys.socialink.token(&alice.user), 2).await;
    keys.publish(&alice, &second, 2, 0).await;
    assert_eq!(keys.device_sets(&[&alice]).await.sets[0].devices.len(), 2);

    keys.clock.advance(Duration::from_mins(1));

    let set = keys.device_sets(&[&alice]).await.sets.remove(0);
    assert_eq!((set.devices.len(), set.devices[0].device_id), (1, 1));
}
