//! Accounts that are registered, or are not.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;

use crate::harness::{
    DOMAIN, TestKeys, op_json,
    person::{Person, base64},
};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_new_account_is_there_with_its_handle_and_its_device(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = Person::new();
    alice.set_handle("alice");

    let body = keys.register(&alice, &keys.socialink.token("a")).await.created();

    assert_eq!(body["account_id"], alice.id().to_string());
    assert_eq!(body["uuid"], alice.uuid().to_string());
    assert_eq!(body["head"]["seq"], 1);
    assert_eq!(body["head"]["hash"], base64(alice.state.head.as_bytes()));
    assert_eq!(keys.get("/v1/u/alice").await.ok()["account_id"], alice.id().to_string());
    keys.log_in(&alice, &keys.socialink.token("a"), 1).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_registration_that_comes_again_is_answered_alike(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = Person::new();
    alice.set_handle("alice");
    let first = keys.register(&alice, &keys.socialink.token("a")).await.created();

    let second = keys.register(&alice, &keys.socialink.token("a")).await.ok();

    assert_eq!(first, second);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn registrations_at_once_make_one_account(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = Person::new();
    let token = keys.socialink.token("a");

    let answers = join_all((0..20).map(|_| keys.register(&alice, &token))).await;

    let created = answers.iter().filter(|a| a.status == StatusCode::CREATED).count();
    let known = answers.iter().filter(|a| a.status == StatusCode::OK).count();
    assert_eq!((created, known), (1, 19));
}

/// The ops are public. Whoever has read them must not get a binding to the account.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn another_user_cannot_register_the_same_account(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = Person::new();
    keys.register(&alice, &keys.socialink.token("a")).await.created();

    for token in [keys.socialink.token("mallory"), keys.vignette.token("a")] {
        keys.register(&alice, &token).await.refused(409, "account_exists");
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_registration_with_other_ops_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = Person::new();
    keys.register(&alice, &keys.socialink.token("a")).await.created();

    alice.set_handle("alice");

    keys.register(&alice, &keys.socialink.token("a")).await.refused(409, "account_exists");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_user_has_one_account(db: PgPool) {
    let keys = TestKeys::start(db).await;
    keys.register(&Person::new(), &keys.socialink.token("a")).await.created();

    let second = Person::new();
    keys.register(&second, &keys.socialink.token("a")).await.refused(409, "binding_conflict");

    let path = format!("/v1/accounts/{}/head", second.id());
    keys.get(&path).await.refused(404, "unknown_account");
}

/// Nobody can make two ids with one UUID, so the first one is put into the table.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_second_account_with_the_same_uuid_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = Person::new();
    let mut twin = *alice.id().as_bytes();
    twin[31] ^= 1;
    sqlx::query("INSERT INTO keys.accounts VALUES ($1, $2, 0, $2, 0)")
        .bind(alice.uuid().as_uuid())
        .bind(twin)
        .execute(&keys.db)
        .await
        .unwrap();

    keys.register(&alice, &keys.socialink.token("a")).await.refused(409, "uuid_taken");

    let path = format!("/v1/accounts/{}/head", alice.id());
    keys.get(&path).await.refused(404, "unknown_account");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_account_with_another_home_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = Person::at_home("elsewhere.test");

    let problem =
        keys.register(&alice, &keys.socialink.token("a")).await.refused(422, "wrong_home");

    assert!(problem["detail"].as_str().unwrap().contains(DOMAIN));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn ops_that_the_rules_refuse_are_refused_by_their_name(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let token = keys.socialink.token("a");

    let mut forged = Person::new();
    forged.ops[0].sigs[0].sig[5] ^= 1;
    keys.register(&forged, &token).await.refused(422, "bad_signature");

    let mut padded = Person::new();
    padded.ops[0].payload.push(0);
    keys.register(&padded, &token).await.refused(422, "malformed_op");

    let mut half_done = Person::new();
    half_done.add_device(2, true);
    half_done.revoke_device(2);
    keys.register(&half_done, &token).await.refused(422, "rotation_due");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_registration_brings_no_more_ops_than_a_burst(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = Person::new();
    for number in 0..20 {
        alice.set_handle(&format!("alice{}", char::from(b'a' + number)));
    }
    keys.register(&alice, &keys.socialink.token("a")).await.refused(422, "too_many_ops");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_body_of_another_form_is_refused_by_name(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = Person::new();
    let without_token = json!({ "genesis": op_json(&alice.ops[0]) });
    let answer = keys.call(Method::POST, "/v1/accounts", None, Some(without_token)).await;
    answer.refused(422, "malformed_json");

    let answer = keys.call(Method::POST, "/v1/accounts", None, None).await;
    assert!(answer.status.is_client_error());
}
