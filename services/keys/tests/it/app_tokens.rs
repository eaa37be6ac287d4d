//! What is believed of an app's token: one test a rule. Each is tried at the door of
//! registration; logins go through the same one.

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::harness::{
    NOW_MS, TestKeys,
    app::{App, KID, changed, message, with_signature},
    person::Person,
};

const NOW_S: u64 = NOW_MS / 1000;
const DAY_S: u64 = 24 * 60 * 60;

impl TestKeys {
    /// A registration with this token is refused, and leaves nothing behind.
    async fn refuses(&self, app_token: &str, reason: &str) {
        self.register(&Person::new(), app_token).await.refused(401, reason);
        let accounts: i64 = sqlx::query_scalar("SELECT count(*) FROM keys.accounts")
            .fetch_one(&self.db)
            .await
            .unwrap();
        assert_eq!(accounts, 0, "nothing is stored");
    }

    async fn takes(&self, app_token: &str) {
        self.register(&Person::new(), app_token).await.created();
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_good_token_is_taken_with_either_kind_of_key(db: PgPool) {
    let keys = TestKeys::start(db).await;
    keys.takes(&keys.socialink.token("alice")).await;
    keys.takes(&keys.vignette.token("alice")).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_text_that_is_no_token_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for text in ["", "a.b", "a.b.c", "....", &"a.".repeat(5000)] {
        keys.refuses(text, "app_token_malformed").await;
    }
    let token = keys.socialink.token_with_header("crit", json!(["exp"]));
    keys.refuses(&token, "app_token_malformed").await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn another_type_of_token_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for typ in [json!("sotto+jwt"), json!("at+jwt"), Value::Null] {
        let token = keys.socialink.token_with_header("typ", typ);
        keys.refuses(&token, "app_token_wrong_type").await;
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_token_of_an_app_that_nobody_registered_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    keys.refuses(&App::ed25519("stranger").token("alice"), "app_token_unknown_app").await;
    keys.refuses(&keys.socialink.token_with("iss", Value::Null), "app_token_unknown_app").await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_key_that_the_app_has_not_registered_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for kid in [json!("key-2"), Value::Null] {
        let token = keys.socialink.token_with_header("kid", kid);
        keys.refuses(&token, "app_token_unknown_key").await;
    }
}

/// A cache of keys by kid alone gave one tenant's word to another (CVE-2026-49998).
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn one_app_cannot_speak_for_another_whose_key_has_the_same_kid(db: PgPool) {
    let keys = TestKeys::start(db).await;
    // Signed by island under the kid that both have, in the name of socialink.
    let token = keys.island.token_with("iss", json!("socialink"));
    keys.refuses(&token, "app_token_bad_signature").await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_header_does_not_choose_the_algorithm(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for alg in ["none", "None", "HS256", "ES256", "RS256", "eddsa"] {
        let token = keys.socialink.token_with_header("alg", json!(alg));
        keys.refuses(&token, "app_token_wrong_algorithm").await;
    }
    let token = keys.vignette.token_with_header("alg", json!("EdDSA"));
    keys.refuses(&token, "app_token_wrong_algorithm").await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_without_a_signature_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let header = changed(keys.socialink.header(), "alg", json!("none"));
    let unsigned = format!("{}.", message(&header, &keys.socialink.claims("alice")));
    keys.refuses(&unsigned, "app_token_wrong_algorithm").await;

    let unsigned = format!("{}.", message(&keys.socialink.header(), &keys.socialink.claims("a")));
    keys.refuses(&unsigned, "app_token_bad_signature").await;
}

/// The public key is no secret: a verifier that took it for one would take this.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_public_key_is_not_taken_for_a_shared_secret(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": KID });
    let message = message(&header, &keys.socialink.claims("alice"));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &keys.socialink.public_key());
    let tag = hmac::sign(&secret, message.as_bytes());

    let token = with_signature(&message, tag.as_ref());

    keys.refuses(&token, "app_token_wrong_algorithm").await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_that_was_altered_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let token = keys.socialink.token("alice");
    let (_, signature) = token.rsplit_once('.').unwrap();
    let other = message(&keys.socialink.header(), &keys.socialink.claims("mallory"));

    keys.refuses(&format!("{other}.{signature}"), "app_token_bad_signature").await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_for_another_deployment_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for aud in [json!("other.test"), json!(["other.test"]), json!(7), Value::Null] {
        let token = keys.socialink.token_with("aud", aud);
        keys.refuses(&token, "app_token_wrong_audience").await;
    }
    keys.takes(&keys.socialink.token_with("aud", json!(["other.test", "sotto.test"]))).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_that_lacks_what_is_needed_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for name in ["sub", "iat", "exp"] {
        let token = keys.socialink.token_with(name, Value::Null);
        keys.refuses(&token, "app_token_malformed_claims").await;
    }
    for sub in [json!(""), json!("a".repeat(256)), json!("a\0b"), json!(7)] {
        let token = keys.socialink.token_with("sub", sub);
        keys.refuses(&token, "app_token_malformed_claims").await;
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_may_live_for_a_day_and_no_longer(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let token = keys.socialink.token_with("exp", json!(NOW_S + DAY_S + 1));
    keys.refuses(&token, "app_token_lives_too_long").await;

    let token = keys.socialink.token_with("exp", json!(NOW_S - 1));
    keys.refuses(&token, "app_token_lives_too_long").await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_ends_a_minute_after_its_time_at_the_latest(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let ended = |seconds_ago: u64| {
        let claims = keys.socialink.claims("alice");
        let claims = changed(claims, "iat", json!(NOW_S - 1000));
        let claims = changed(claims, "exp", json!(NOW_S - seconds_ago));
        keys.socialink.sign(&keys.socialink.header(), &claims)
    };

    keys.refuses(&ended(60), "app_token_expired").await;
    keys.takes(&ended(59)).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_begins_a_minute_before_its_time_at_the_earliest(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for name in ["nbf", "iat"] {
        let token = keys.socialink.token_with(name, json!(NOW_S + 61));
        keys.refuses(&token, "app_token_not_yet_valid").await;
    }
    let claims = changed(keys.socialink.claims("alice"), "nbf", json!(NOW_S + 60));
    keys.takes(&keys.socialink.sign(&keys.socialink.header(), &claims)).await;
}
