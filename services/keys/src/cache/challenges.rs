use std::time::Duration;

use data_encoding::HEXLOWER;
use redis::{AsyncCommands as _, RedisResult};
use sotto_kit::clock::millis;
use sotto_store::redis::Redis;

/// Remembers that a challenge was given out, for `ttl`.
pub(crate) async fn insert(challenge: &[u8; 32], ttl: Duration, redis: &Redis) -> RedisResult<()> {
    redis.commands().pset_ex(key(challenge), 1, millis(ttl)).await
}

/// Uses a challenge up. `false` where it was not given out, was used, or has waited
/// too long. Of two that take one challenge at the same time, one gets it.
pub(crate) async fn take(challenge: &[u8; 32], redis: &Redis) -> RedisResult<bool> {
    let found: Option<String> = redis.commands().get_del(key(challenge)).await?;
    Ok(found.is_some())
}

fn key(challenge: &[u8; 32]) -> String {
    format!("keys:{{{}}}:challenge", HEXLOWER.encode(challenge))
}
