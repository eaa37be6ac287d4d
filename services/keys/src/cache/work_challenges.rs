use std::time::Duration;

use data_encoding::HEXLOWER;
use redis::{AsyncCommands as _, RedisResult};
use sotto_kit::clock::millis;
use sotto_store::redis::Redis;

/// Remembers for `ttl` that a challenge was given out, and how much work it costs.
pub(crate) async fn insert(
    challenge: &[u8; 32],
    bits: u8,
    ttl: Duration,
    redis: &Redis,
) -> RedisResult<()> {
    redis.commands().pset_ex(key(challenge), bits, millis(ttl)).await
}

/// Uses a challenge up, and says how much work it costs. `None` where it was not given
/// out, was used, or has waited too long.
pub(crate) async fn take(challenge: &[u8; 32], redis: &Redis) -> RedisResult<Option<u8>> {
    redis.commands().get_del(key(challenge)).await
}

fn key(challenge: &[u8; 32]) -> String {
    format!("keys:{{{}}}:work", HEXLOWER.encode(challenge))
}
