//! Logins: the word of an app, and a proof by the device.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use sotto_kit::read_only::Maintenance;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};

use crate::harness::{DOMAIN, NOW_MS, TestKeys, person::Person};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_names_the_account_and_ends_after_ten_minutes(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;

    let body = keys.try_log_in(&alice, &keys.socialink.token(&alice.user), 1).await.ok();

    assert_eq!(body["account_uuid"], alice.uuid().to_string());
    assert_eq!(body["expires_at_ms"], NOW_MS + 10 * 60 * 1000);
    let token = body["token"].as_str().unwrap();
    let (header, rest) = token.split_once('.').unwrap();
    let part = |text: &str| -> Value {
        let json = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        serde_json::from_slice(&json).unwrap()
    };
    let (header, claims) = (part(header), part(rest.split_once('.').unwrap().0));
    assert_eq!((&header["typ"], &header["alg"]), (&"sotto+jwt".into(), &"EdDSA".into()));
    assert_eq!((&claims["iss"], &claims["aud"]), (&DOMAIN.into(), &DOMAIN.into()));
    assert_eq!(claims["sub"], alice.id().to_string());
    assert_eq!((&claims["did"], &claims["app"]), (&1.into(), &"socialink".into()));

    keys.count(token).await;
    keys.clock.advance(Duration::from_mins(10));
    let answer = keys.call(reqwest::Method::GET, "/v1/keys/count", Some(token), None).await;
    answer.refused(401, "token_expired");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_challenge_is_good_for_one_login(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let app_token = keys.socialink.token(&alice.user);
    let challenge = keys.challenge().await;
    assert_eq!(challenge.len(), 32);
    let proof = alice.proof(DOMAIN, &challenge, &app_token, 1);

    let answers =
        join_all((0..20).map(|_| keys.prove(&alice, &app_token, 1, &challenge, &proof))).await;

    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == StatusCode::OK);
    assert_eq!((won.len(), lost.len()), (1, 19));
    for answer in lost {
        answer.refused(401, "unknown_challenge");
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_wrong_proof_uses_the_challenge_up(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let app_token = keys.socialink.token(&alice.user);
    let challenge = keys.challenge().await;
    let proof = alice.proof(DOMAIN, &challenge, &app_token, 1);

    let answer = keys.prove(&alice, &app_token, 1, &challenge, &[0; 64]).await;
    answer.refused(401, "wrong_proof");

    let answer = keys.prove(&alice, &app_token, 1, &challenge, &proof).await;
    answer.refused(401, "unknown_challenge");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_challenge_that_nobody_gave_out_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let app_token = keys.socialink.token(&alice.user);
    for challenge in [vec![7; 32], vec![], vec![7; 31]] {
        let proof = alice.proof(DOMAIN, &challenge, &app_token, 1);
        let answer = keys.prove(&alice, &app_token, 1, &challenge, &proof).await;
        answer.refused(401, "unknown_challenge");
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_challenge_waits_for_its_time_only(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let challenge = keys.challenge().await;
    let key = format!("keys:{{{}}}:challenge", crate::harness::hex(&challenge));

    let ttl: i64 =
        redis::cmd("PTTL").arg(key).query_async(&mut keys.redis.commands()).await.unwrap();

    assert!((1..=60_000).contains(&ttl), "{ttl}");
}

/// A man in the middle at another deployment gets a proof that is worth nothing here.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_proof_for_another_deployment_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let app_token = keys.socialink.token(&alice.user);
    let challenge = keys.challenge().await;

    let proof = alice.proof("evil.test", &challenge, &app_token, 1);

    let answer = keys.prove(&alice, &app_token, 1, &challenge, &proof).await;
    answer.refused(401, "wrong_proof");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_proof_for_another_user_or_by_another_device_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, mallory) = (keys.person().await, keys.person().await);
    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    let mine = keys.socialink.token(&alice.user);
    let other = keys.socialink.token("other");

    let challenge = keys.challenge().await;
    let proof = alice.proof(DOMAIN, &challenge, &mine, 1);
    keys.prove(&alice, &other, 1, &challenge, &proof).await.refused(401, "wrong_proof");

    let challenge = keys.challenge().await;
    let proof = alice.proof(DOMAIN, &challenge, &mine, 2);
    keys.prove(&alice, &mine, 1, &challenge, &proof).await.refused(401, "wrong_proof");

    let challenge = keys.challenge().await;
    let proof = mallory.proof(DOMAIN, &challenge, &mine, 1);
    keys.prove(&alice, &mine, 1, &challenge, &proof).await.refused(401, "wrong_proof");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn unknown_accounts_and_devices_get_no_token(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let app_token = keys.socialink.token(&alice.user);
    let nobody = Person::new();
    keys.try_log_in(&nobody, &app_token, 1).await.refused(404, "unknown_account");

    // In the person's own copy of the chain only.
    alice.add_device(2, false);
    let problem = keys.try_log_in(&alice, &app_token, 2).await.refused(404, "unknown_device");
    assert_eq!(problem["device_ids"], serde_json::json!([2]));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_device_gets_no_token(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let ops = [alice.add_device(2, false), alice.revoke_device(2)];
    keys.append(&alice, &ops).await.ok();

    let answer = keys.try_log_in(&alice, &keys.socialink.token(&alice.user), 2).await;

    answer.refused(403, "device_revoked");
}

/// I-10. Caught: a binding that lets anybody in where the user is bound at all.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_user_is_bound_to_the_account_of_the_first_login(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);

    // Alice's account, entered by way of a second app.
    keys.log_in(&alice, &keys.vignette.token("al"), 1).await;
    keys.log_in(&alice, &keys.vignette.token("al"), 1).await;

    let answer = keys.try_log_in(&bob, &keys.vignette.token("al"), 1).await;
    answer.refused(409, "binding_conflict");
    let answer = keys.try_log_in(&bob, &keys.socialink.token(&alice.user), 1).await;
    answer.refused(409, "binding_conflict");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn of_first_logins_at_once_one_account_gets_the_user(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(keys.person().await);
    }
    let app_token = keys.vignette.token("al");

    let answers = join_all(crowd.iter().map(|person| keys.try_log_in(person, &app_token, 1))).await;

    let won = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    let lost = answers.iter().filter(|answer| answer.status == StatusCode::CONFLICT).count();
    assert_eq!((won, lost), (1, 19));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_login_needs_a_good_app_token(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let token = keys.socialink.token_with("aud", "other.test".into());

    keys.try_log_in(&alice, &token, 1).await.refused(401, "app_token_wrong_audience");
}

/// I-9. Caught with no look at the switch where a user is bound: there are two bindings
/// at the end of the maintenance.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn during_maintenance_users_log_in_but_nobody_is_bound(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let until_ms = Some(NOW_MS + 60_000);
    keys.maintenance.send_replace(Some(Arc::new(Maintenance { reason: None, until_ms })));
    let bindings = async || -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM keys.bindings");
        count.fetch_one(&keys.db).await.unwrap()
    };

    keys.try_log_in(&alice, &keys.socialink.token(&alice.user), 1).await.ok();
    let elsewhere = keys.vignette.token("alice.elsewhere");
    keys.try_log_in(&alice, &elsewhere, 1).await.refused(503, "read_only");
    assert_eq!(bindings().await, 1);

    keys.clock.advance(Duration::from_mins(1));
    let elsewhere = keys.vignette.token("alice.elsewhere");
    keys.try_log_in(&alice, &elsewhere, 1).await.ok();
    assert_eq!(bindings().await, 2);
}
