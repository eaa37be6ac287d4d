//! How many KeyPackages one device may claim.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;
use sotto_kit::{clock::SharedClock, limits::SharedLimiter};
use sotto_store::{
    limits::{AppLimits, Class, Limits, LimitsConfig, Rate},
    redis::Redis,
};
use sqlx::PgPool;

use crate::harness::{PATIENCE, TestKeys, person::Person, random};

/// So many units of one class, which come again within an hour.
fn limited(class: Class, burst: u32) -> impl FnOnce(Redis, SharedClock) -> SharedLimiter {
    let config = LimitsConfig {
        patience: PATIENCE,
        alone_for: Duration::from_hours(1),
        local_buckets: 4096,
        socket_batch: 16,
        exempt: Vec::new(),
        classes: BTreeMap::from([(class, Rate { burst, per: Duration::from_hours(1) })]),
    };
    move |redis, clock| {
        let rng = StdRng::from_seed(random());
        Limits::new(config, AppLimits::default(), redis, clock, rng).shared()
    }
}

/// Caught: a claim that does not ask for the pair. One device then takes every one-time
/// KeyPackage of an account.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nobody_drains_the_packages_of_another_account(db: PgPool) {
    let keys = TestKeys::start_today(db, |_| {}, limited(Class::Claim, 3)).await;
    let (alice, bob, carol) = (keys.person().await, keys.person().await, keys.person().await);
    let mallory = keys.person().await;
    keys.publish_packages(&alice, 10).await;
    for _ in 0..3 {
        keys.claim_one(&mallory, &alice).await.unwrap();
    }

    let refused = keys.claim(&mallory, &[&carol, &alice]).await.refused(429, "too_many_claims");

    assert_eq!(refused["accounts"], json!([alice.uuid().to_string()]));
    let wait_ms = refused["retry_after_ms"].as_u64().unwrap();
    assert!((1_000..=20 * 60 * 1_000).contains(&wait_ms), "{wait_ms}");
    assert_eq!(keys.key_package_rows().await, [7, 0, 3], "a refusal uses up nothing");
    // Bundles are counted with them; others claim of the same account, and the same device
    // of others.
    keys.fetch(&mallory, &alice, json!({})).await.refused(429, "too_many_claims");
    keys.claim_one(&bob, &alice).await.unwrap();
    keys.claim(&mallory, &[&carol]).await.ok();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn each_account_of_a_claim_is_counted(db: PgPool) {
    let keys = TestKeys::start_today(db, |_| {}, limited(Class::KeyPackageClaim, 5)).await;
    let bob = keys.person().await;
    let people: Vec<Person> = join_all((0..3).map(|_| keys.person())).await;
    let [first, second, third] = &people[..] else { unreachable!() };

    keys.claim(&bob, &[first, second, third]).await.ok();
    let refused = keys.claim(&bob, &[first, second, third]).await.refused(429, "rate_limited");

    assert_eq!(refused["violated-policies"], json!(["key_package_claim"]));
    // The refused one has cost the one that its route counts.
    keys.claim(&bob, &[first]).await.ok();
    keys.claim(&bob, &[first]).await.refused(429, "rate_limited");
}
