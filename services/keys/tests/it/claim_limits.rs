//! How much one device may claim of one account.

use std::time::Duration;

use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;
use sotto_kit::{clock::SharedClock, limits::SharedLimiter};
use sotto_store::{
    limits::{AppLimits, Class, Limits, LimitsConfig, Rate},
    redis::Redis,
};
use sqlx::PgPool;

use crate::harness::{PATIENCE, TestKeys, random};

/// Three claims, and one more every 20 minutes. Redis is given `patience` to say so.
fn three_claims(patience: Duration) -> impl FnOnce(Redis, SharedClock) -> SharedLimiter {
    let claims = Rate { burst: 3, per: Duration::from_hours(1) };
    let config = LimitsConfig {
        patience,
        alone_for: Duration::from_hours(1),
        local_buckets: 4096,
        socket_batch: 16,
        exempt: Vec::new(),
        classes: [(Class::Claim, claims)].into(),
    };
    move |redis, clock| {
        let rng = StdRng::from_seed(random());
        Limits::new(config, AppLimits::default(), redis, clock, rng).shared()
    }
}

async fn drain(keys: &TestKeys) {
    let (alice, bob) = (keys.person_with_prekeys(20).await, keys.person().await);
    let (mallory, carol) = (keys.person().await, keys.person_with_prekeys(20).await);
    for _ in 0..3 {
        keys.fetch_one(&mallory, &alice).await;
    }

    let problem = keys.fetch(&mallory, &alice, json!({})).await.refused(429, "too_many_claims");

    let wait_ms = problem["retry_after_ms"].as_u64().unwrap();
    assert!((1_000..=20 * 60 * 1_000).contains(&wait_ms), "{wait_ms}");
    let named = keys.fetch(&mallory, &alice, json!({ "device_ids": [1] })).await;
    named.refused(429, "too_many_claims");
    assert_eq!(keys.count(&alice.token).await["one_time_ec"], 17, "a refusal uses up nothing");

    // Others claim of the same account, and the same device of others.
    keys.fetch_one(&bob, &alice).await;
    keys.fetch_one(&mallory, &carol).await;
}

/// Caught: a fetch that does not ask the limiter. One device then takes every one-time
/// key of an account.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nobody_drains_the_one_time_keys_of_another_account(db: PgPool) {
    let keys = TestKeys::start_limited(db, three_claims(PATIENCE)).await;
    drain(&keys).await;
}

/// Redis never answers in no time at all, which is as if it were away.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nobody_drains_them_while_redis_is_away(db: PgPool) {
    let keys = TestKeys::start_limited(db, three_claims(Duration::ZERO)).await;
    drain(&keys).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_is_refused_for_another_reason_is_not_counted(db: PgPool) {
    let keys = TestKeys::start_limited(db, three_claims(PATIENCE)).await;
    let (alice, bob) = (keys.person_with_prekeys(5).await, keys.person().await);
    for _ in 0..5 {
        let answer = keys.fetch(&bob, &alice, json!({ "device_ids": [9] })).await;
        answer.refused(404, "unknown_device");
    }

    for _ in 0..3 {
        keys.fetch_one(&bob, &alice).await;
    }
}
