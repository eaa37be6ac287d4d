//! Limits that a route cannot know: of accounts and of whole apps.

use std::{collections::BTreeMap, time::Duration};

use rand::{SeedableRng as _, rngs::StdRng};
use sotto_kit::{clock::SharedClock, limits::SharedLimiter};
use sotto_store::{
    limits::{AppLimits, Class, Limits, LimitsConfig, Rate},
    redis::Redis,
};
use sqlx::PgPool;

use crate::harness::{TestKeys, person::Person, random};

const THREE: Rate = Rate { burst: 3, per: Duration::from_hours(1) };

/// Limits of the process alone, so that no other test takes from the same app.
fn limits(
    classes: BTreeMap<Class, Rate>,
    apps: AppLimits,
) -> impl FnOnce(Redis, SharedClock) -> SharedLimiter {
    let config = LimitsConfig {
        patience: Duration::ZERO,
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
