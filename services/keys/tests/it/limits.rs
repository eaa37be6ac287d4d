//! Limits that a route cannot know: of accounts and of whole apps.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use futures_util::future::join_all;
use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::{Method, Response};
use serde_json::json;
use sotto_kit::{clock::SharedClock, limits::SharedLimiter};
use sotto_store::{
    limits::{AppLimits, Class, Limits, LimitsConfig, Rate},
    redis::Redis,
};
use sqlx::PgPool;

use crate::harness::{PATIENCE, TestKeys, op_json, person::Person, random};

const THREE: Rate = Rate { burst: 3, per: Duration::from_hours(1) };

/// Limits of the process alone, so that no other test takes from the same app.
fn limits(
    classes: BTreeMap<Class, Rate>,
    apps: AppLimits,
) -> impl FnOnce(Redis, SharedClock) -> SharedLimiter {
    limits_of(Duration::ZERO, classes, apps)
}

/// Redis is given `patience` to decide.
fn limits_of(
    patience: Duration,
    classes: BTreeMap<Class, Rate>,
    apps: AppLimits,
) -> impl FnOnce(Redis, SharedClock) -> SharedLimiter {
    let config = LimitsConfig {
        patience,
        alone_for: Duration::from_hours(1),
        local_buckets: 4096,
        socket_batch: 16,
        exempt: Vec::new(),
        classes,
    };
    move |redis, clock| {
        Limits::new(config, apps, redis, clock, StdRng::from_seed(random())).shared()
    }
}

/// Sabotage it caught: counting before the proof is looked at. Whoever knows the name of
/// an account then locks its owner out.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_account_gets_so_many_tokens_and_strangers_cannot_use_them_up(db: PgPool) {
    let only = BTreeMap::from([(Class::Token, THREE)]);
    let keys = TestKeys::start_limited(db, limits(only, AppLimits::default())).await;
    let alice = keys.person().await;
    for _ in 0..5 {
        let stranger = keys.socialink.token("stranger");
        let challenge = keys.challenge().await;
        let answer = keys.prove(&alice, &stranger, 1, &challenge, &[0; 64]).await;
        answer.refused(401, "wrong_proof");
    }

    // One she has from the start.
    for _ in 0..2 {
        keys.log_in(&alice, &keys.socialink.token(&alice.user), 1).await;
    }
    let refused = keys.try_log_in(&alice, &keys.socialink.token(&alice.user), 1).await;

    let problem = refused.refused(429, "rate_limited");
    assert_eq!(problem["violated-policies"], serde_json::json!(["token"]));
    keys.person().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_ceiling_of_an_app_counts_all_of_its_users_and_nobody_elses(db: PgPool) {
    let ceiling = BTreeMap::from([(Class::Register, THREE)]);
    let apps = AppLimits::from([("socialink".to_owned(), ceiling)]);
    let keys = TestKeys::start_limited(db, limits(BTreeMap::new(), apps)).await;
    for _ in 0..3 {
        keys.person_of(&keys.socialink).await;
    }

    let person = Person::new();
    let refused = keys.register(&person, &keys.socialink.token("one too many")).await;

    let problem = refused.refused(429, "rate_limited");
    assert_eq!(problem["violated-policies"], serde_json::json!(["register-app"]));
    keys.person_of(&keys.vignette).await;
}

/// An address of this machine that no other test calls from.
fn somewhere() -> Ipv4Addr {
    let [a, b, c] = random::<3>();
    Ipv4Addr::new(127, a | 1, b, c.clamp(1, 254))
}

impl TestKeys {
    /// A registration of somebody new, from that address.
    async fn register_from(&self, address: Ipv4Addr, user: &str) -> Response {
        let person = Person::new();
        let app_token = self.socialink.token(user);
        let body = json!({ "genesis": op_json(&person.ops[0]), "app_token": app_token });
        self.raw_from(address, Method::POST, "/v1/accounts", |request| request.json(&body)).await
    }
}

/// I-6, by Redis and over real sockets: a crowd that registers from one address gets as far
/// as the bucket holds and is told when to come again, and another address goes on.
///
/// Caught: a route for registrations without its limit. All forty get in.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_flood_of_registrations_from_one_address_keeps_nobody_else_out(db: PgPool) {
    let only = BTreeMap::from([(Class::Register, THREE)]);
    let by_redis = limits_of(PATIENCE, only, AppLimits::default());
    let keys = TestKeys::start_limited(db, by_redis).await;
    let (flooded, other) = (somewhere(), somewhere());

    let names: Vec<_> = (0..40).map(|n| format!("flood-{n}")).collect();
    let answers = join_all(names.iter().map(|user| keys.register_from(flooded, user))).await;

    let (created, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status() == 201);
    assert_eq!((created.len(), refused.len()), (3, 37));
    for answer in refused {
        assert_eq!(answer.status(), 429);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("ratelimit-policy"), "\"register\";q=3;w=3600");
        assert!(header("ratelimit").starts_with("\"register\";r=0;t="), "{answer:?}");
        let wait_s: u64 = header("retry-after").parse().unwrap();
        assert!((1..=1200).contains(&wait_s), "one comes back every twenty minutes: {wait_s}");
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["reason"], "rate_limited");
        assert_eq!(problem["violated-policies"], json!(["register"]));
    }
    let accounts: i64 =
        sqlx::query_scalar("SELECT count(*) FROM keys.accounts").fetch_one(&keys.db).await.unwrap();
    assert_eq!(accounts, 3, "a refusal stores nothing");
    let elsewhere = keys.register_from(other, "elsewhere").await;
    assert_eq!(elsewhere.status(), 201);
    assert_eq!(elsewhere.headers()["ratelimit"].to_str().unwrap().split(';').nth(1), Some("r=2"));
}
