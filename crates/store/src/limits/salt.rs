use std::sync::{Mutex, PoisonError};

use rand::{RngCore as _, rngs::StdRng};
use redis::RedisResult;

use crate::redis::Redis;

const DAY_MS: u64 = 86_400_000;

/// How long a salt lives: processes whose clocks differ may still ask for yesterday's.
const LIFE_S: u64 = 2 * 86_400;

/// How long a process uses a salt before it looks again. Redis may have lost it, and other
/// processes may have agreed on a new one.
const LOOK_EVERY_MS: u64 = 60_000;

/// The salt of the day, on which all processes agree through Redis. None keeps an old one.
pub(super) struct Salt {
    held: Mutex<Option<Held>>,
    rng: Mutex<StdRng>,
}

#[derive(Clone, Copy)]
struct Held {
    day: u64,
    looked_at_ms: u64,
    bytes: [u8; 32],
}

impl Salt {
    pub(super) const fn new(rng: StdRng) -> Self {
        Self { held: Mutex::new(None), rng: Mutex::new(rng) }
    }

    /// The salt of the day on which `now_ms` falls. Whoever asks first chooses it.
    pub(super) async fn of_today(&self, now_ms: u64, redis: &Redis) -> RedisResult<[u8; 32]> {
        let day = now_ms / DAY_MS;
        if let Some(held) = *self.held.lock().unwrap_or_else(PoisonError::into_inner)
            && held.day == day
            && now_ms.saturating_sub(held.looked_at_ms) < LOOK_EVERY_MS
        {
            return Ok(held.bytes);
        }
        let ours = self.choose();
        let key = format!("limits:salt:{day}");
        let mut agree = redis::pipe();
        agree.cmd("SET").arg(&key).arg(&ours).arg("EX").arg(LIFE_S).arg("NX").ignore();
        agree.get(&key);
        let (agreed,): (Option<Vec<u8>>,) = agree.query_async(&mut redis.commands()).await?;
        let bytes = agreed.and_then(|bytes| bytes.try_into().ok()).unwrap_or(ours);
        let held = Held { day, looked_at_ms: now_ms, bytes };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(bytes)
    }

    fn choose(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}
