//! The known ways to be fooled by a JWT: one test each. Each is tried at the door of
//! registration; logins go through the same one. Those of the Sotto token that concern
//! every role are in `sotto_kit::auth`, and that a socket ends with its token is in
//! the gateway.

use std::time::Duration;

use aws_lc_rs::hmac;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sotto_keys::{AppConfig, AppsConfig, KeysConfig};
use sotto_kit::{config::Validate, lifecycle::Lifecycle};
use sqlx::PgPool;

use crate::harness::{
    Defaults, NOW_MS, TestKeys,
    app::{App, KID, changed, message, with_signature},
    key_server::KeyServer,
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

/// I-10. A cache of keys by kid alone gave one tenant's word to another (CVE-2026-49998).
///
/// Caught: a kid that is looked for in the keys of another app, island's.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn one_app_cannot_speak_for_another_whose_key_has_the_same_kid(db: PgPool) {
    let keys = TestKeys::start(db).await;
    // Signed by island under the kid that both have, in the name of socialink.
    let token = keys.island.token_with("iss", json!("socialink"));
    keys.refuses(&token, "app_token_bad_signature").await;
}

/// I-10. The same, where both publish their keys: neither's are looked for in the other's
/// set.
///
/// Caught: a kid that is looked for in the keys of another app. The good token is refused.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_published_key_set_is_known_by_app_and_kid(db: PgPool) {
    let (one, two) = (App::ed25519("one"), App::ed25519("two"));
    let life = Lifecycle::new();
    let servers = [&one, &two].map(|app| KeyServer::start(&[app.jwk()], &life));
    let keys = TestKeys::start_with_apps(db, |apps| {
        for (app, server) in [&one, &two].into_iter().zip(&servers) {
            apps.0.insert(app.id.to_owned(), pinned(server));
        }
    })
    .await;
    keys.refuses(&two.token_with("iss", json!("one")), "app_token_bad_signature").await;
    keys.takes(&one.token("alice")).await;

    // Both sets are known by now.
    keys.takes(&two.token("alice")).await;
    let forged = two.token_with("iss", json!("one"));
    let answer = keys.register(&Person::new(), &forged).await;
    answer.refused(401, "app_token_bad_signature");
    life.stop();
}

fn pinned(server: &KeyServer) -> AppConfig {
    AppConfig { jwks_url: Some(server.url.clone()), ..AppConfig::default() }
}

/// Caught: a fetch for each token whose kid nobody knows.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_flood_of_unknown_kids_makes_one_fetch(db: PgPool) {
    let (app, life) = (App::ed25519("one"), Lifecycle::new());
    let server = KeyServer::start(&[app.jwk()], &life);
    let keys = TestKeys::start_with_apps(db, |apps| {
        apps.0.insert(app.id.to_owned(), pinned(&server));
    })
    .await;
    let flood = async || {
        let tokens = (0..50).map(|kid| app.token_with_header("kid", json!(format!("no-{kid}"))));
        let answers =
            join_all(tokens.map(async |token| keys.register(&Person::new(), &token).await)).await;
        for answer in answers {
            answer.refused(401, "app_token_unknown_key");
        }
    };

    flood().await;
    flood().await;
    assert_eq!(server.asked(), 1);

    keys.clock.advance(Duration::from_secs(30));
    flood().await;
    assert_eq!(server.asked(), 2);
    life.stop();
}

/// I-10. Caught: a verifier that takes the key which the token brings, and one that asks the
/// address in it.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_has_no_say_in_where_keys_come_from(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mallory, life) = (App::ed25519("socialink"), Lifecycle::new());
    let server = KeyServer::start(&[mallory.jwk()], &life);
    let url = json!(server.url.as_str());

    for (member, value) in [
        ("jku", url.clone()),
        ("x5u", url.clone()),
        ("jwks_uri", url),
        ("jwk", json!(mallory.jwk())),
        ("x5c", json!(["MIIB"])),
    ] {
        // Signed by the key that is brought, and by the right one.
        for app in [&mallory, &keys.socialink] {
            keys.refuses(&app.token_with_header(member, value.clone()), "app_token_brings_key")
                .await;
        }
    }
    // A claim is no header; it is passed over like any other.
    let claim = mallory.token_with("jwks_uri", json!(server.url.as_str()));
    keys.refuses(&claim, "app_token_bad_signature").await;
    assert_eq!(server.asked(), 0);
    life.stop();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_sotto_token_is_no_token_of_an_app(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;

    let answer = keys.register(&Person::new(), &alice.token).await;

    answer.refused(401, "app_token_wrong_type");
    let answer = keys.try_log_in(&alice, &alice.token, 1).await;
    answer.refused(401, "app_token_wrong_type");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_token_of_an_app_is_no_sotto_token(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let claims = json!({
        "iss": crate::harness::DOMAIN, "aud": crate::harness::DOMAIN,
        "sub": alice.id().to_string(), "did": 1, "app": "socialink", "jti": "j",
        "iat": NOW_S, "exp": NOW_S + 600,
    });
    let disguised = changed(keys.socialink.header(), "typ", json!("sotto+jwt"));

    for (token, reason) in [
        (keys.socialink.token(&alice.user), "token_malformed"),
        (keys.socialink.sign(&keys.socialink.header(), &claims), "token_malformed"),
        (keys.socialink.sign(&disguised, &claims), "token_invalid"),
    ] {
        let answer = keys.call(Method::GET, "/v1/keys/count", Some(&token), None).await;
        answer.refused(401, reason);
    }
}

/// An empty secret verifies what anybody signs. There are no shared secrets here; these
/// are what comes nearest.
#[test]
fn an_app_without_a_key_is_refused_at_boot() {
    let app = App::ed25519("one");
    let nearly = |change: fn(&mut sotto_keys::Jwk)| {
        let mut jwk = app.jwk();
        change(&mut jwk);
        vec![jwk]
    };
    for keys in [
        vec![],
        nearly(|jwk| jwk.x.clear()),
        nearly(|jwk| jwk.kid.clear()),
        nearly(|jwk| jwk.kty = "oct".to_owned()),
        nearly(|jwk| jwk.alg = Some("none".to_owned())),
    ] {
        let app = AppConfig { keys, ..AppConfig::default() };
        let problems = problems(&AppsConfig([("one".to_owned(), app)].into()));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("apps.one.keys"), "{problems:?}");
    }
}

/// The same, of a process that was built without a look at its configuration.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_app_without_a_key_cannot_even_be_built(db: PgPool) {
    let without = AppsConfig([("one".to_owned(), AppConfig::default())].into());

    let error = TestKeys::try_build(db, &without).await.unwrap_err();

    assert_eq!(error.to_string(), "the keys of the app one has none");
}

#[test]
fn a_leeway_of_more_than_a_minute_is_refused_at_boot() {
    let with = |leeway: u64| {
        let mut config: KeysConfig = Defaults::read().keys;
        config.auth.app_token_leeway = Duration::from_secs(leeway);
        problems(&config)
    };
    assert_eq!(with(60), [""; 0]);
    assert_eq!(with(61).len(), 1);
}

#[test]
fn a_life_of_more_than_a_day_is_refused_at_boot() {
    let mut config: KeysConfig = Defaults::read().keys;
    config.auth.app_token_max_life = Duration::from_secs(DAY_S + 1);
    assert_eq!(problems(&config).len(), 1);
}

fn problems(section: &impl Validate) -> Vec<String> {
    let mut problems = Vec::new();
    section.validate(&mut problems);
    problems
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
