//! The keys that tokens are signed with.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use sotto_kit::clock::Clock as _;
use sotto_proto::keys::{TokenKey, TokenKeysRequest};
use sqlx::PgPool;

use crate::harness::{NOW_MS, TestKeys};

const MINUTE_MS: u64 = 60 * 1000;

impl TestKeys {
    async fn token_keys(&self) -> Vec<TokenKey> {
        self.grpc.clone().token_keys(TokenKeysRequest {}).await.unwrap().into_inner().keys
    }
}

fn kid(token: &str) -> String {
    let header = token.split_once('.').unwrap().0;
    let json = data_encoding::BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&json).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_key_is_published_before_the_first_token(db: PgPool) {
    let keys = TestKeys::start(db).await;

    let published = keys.token_keys().await;

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].public_key.len(), 32);
    // Six hours of use, and the ten minutes of the last token.
    assert_eq!(published[0].not_after_ms, NOW_MS + (6 * 60 + 10) * MINUTE_MS);
    let alice = keys.person().await;
    assert_eq!(kid(&alice.token), published[0].kid);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_next_key_is_published_two_minutes_before_its_first_use(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let app_token = keys.socialink.token(&alice.user);
    let first = kid(&alice.token);

    keys.clock.advance(Duration::from_mins(6 * 60 - 2));
    let second = keys.log_in(&alice, &app_token, 1).await;
    assert_eq!(kid(&second), first, "still the old one");
    assert_eq!(keys.token_keys().await.len(), 2, "and the new one is known");

    keys.clock.advance(Duration::from_mins(2));
    let third = keys.log_in(&alice, &app_token, 1).await;
    assert_ne!(kid(&third), first);
    let published: BTreeSet<String> =
        keys.token_keys().await.into_iter().map(|key| key.kid).collect();
    assert!(published.contains(&first) && published.contains(&kid(&third)), "they overlap");
    keys.count(&second).await;
    keys.count(&third).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_process_that_slept_past_its_key_makes_a_new_one(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;

    keys.clock.advance(Duration::from_hours(20));
    let token = keys.log_in(&alice, &keys.socialink.token(&alice.user), 1).await;

    assert_ne!(kid(&token), kid(&alice.token));
    keys.count(&token).await;
    let live = keys.token_keys().await;
    assert_eq!(live.len(), 1, "the old one is not given out any more");
    assert!(live[0].not_after_ms > keys.clock.now_ms());
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn each_replica_takes_the_tokens_of_the_others(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let other = keys.second_replica().await;
    keys.clock.advance(Duration::from_secs(2));

    let token = other.log_in(&alice, &keys.socialink.token(&alice.user), 1).await;

    assert_ne!(kid(&token), kid(&alice.token), "each has a key of its own");
    keys.count(&token).await;
    other.count(&alice.token).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn old_keys_are_deleted(db: PgPool) {
    let keys = TestKeys::start(db).await;
    keys.clock.advance(Duration::from_hours(20));

    // The looking over happens at each start too.
    let _other = keys.second_replica().await;

    let only_live = || async {
        let kept: i64 =
            sqlx::query_scalar("SELECT count(*) FROM keys.token_keys WHERE not_after_ms <= $1")
                .bind(i64::try_from(keys.clock.now_ms()).unwrap())
                .fetch_one(&keys.db)
                .await
                .unwrap();
        kept == 0
    };
    crate::harness::wait_until(only_live).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn no_private_key_is_in_the_database(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns
         WHERE table_schema = 'keys' AND table_name = 'token_keys' ORDER BY 1",
    )
    .fetch_all(&keys.db)
    .await
    .unwrap();
    assert_eq!(columns, ["kid", "not_after_ms", "public_key"]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_by_a_key_that_nobody_published_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    sqlx::query("DELETE FROM keys.token_keys").execute(&keys.db).await.unwrap();
    keys.clock.advance(Duration::from_secs(61));

    let answer = keys.call(Method::GET, "/v1/keys/count", Some(&alice.token), None).await;

    answer.refused(401, "token_invalid");
}
