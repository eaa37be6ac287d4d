//! The read-only switch of the deployment.
//!
//! | key | type | holds | lost when |
//! |---|---|---|---|
//! | `sotto:read-only` | string | a [`Maintenance`] as JSON | it is switched off; its time is over; Redis forgot it |
//!
//! Every process looks at it each second. While Redis is away a process goes by what
//! it saw last, so that an outage during maintenance opens nothing.

use std::{sync::Arc, time::Duration};

use redis::{AsyncCommands as _, RedisError, RedisResult};
use serde::{Deserialize, Serialize};
pub use sotto_kit::read_only::{Maintenance, ReadOnly, ReadOnlyError};
use sotto_kit::{
    clock::{SharedClock, millis},
    fault::chain,
    lifecycle::Lifecycle,
};
use tokio::sync::watch;

use crate::redis::Redis;

const KEY: &str = "sotto:read-only";

/// How often a process looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The switch. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Switch(Redis);

#[derive(Serialize, Deserialize)]
struct Stored {
    reason: Option<String>,
    until_ms: Option<u64>,
}

impl Switch {
    /// The switch in `redis`.
    pub const fn new(redis: Redis) -> Self {
        Self(redis)
    }

    /// Switches to read-only: for a time, or until it is switched off. Processes see it
    /// within a second.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn on(
        &self,
        reason: Option<String>,
        lasts: Option<Duration>,
        now_ms: u64,
    ) -> RedisResult<()> {
        let until_ms = lasts.map(|lasts| now_ms.saturating_add(millis(lasts)));
        let text = serde_json::json!(Stored { reason, until_ms }).to_string();
        let mut redis = self.0.commands();
        match lasts {
            Some(lasts) => redis.pset_ex(KEY, text, millis(lasts).max(1)).await,
            None => redis.set(KEY, text).await,
        }
    }

    /// Switches back. Says whether it was on.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn off(&self) -> RedisResult<bool> {
        self.0.commands().del(KEY).await
    }

    /// How it stands.
    ///
    /// # Errors
    ///
    /// Those of Redis; and of a value that somebody else wrote.
    pub async fn look(&self) -> RedisResult<Option<Maintenance>> {
        let Some(text) = self.0.commands().get::<_, Option<String>>(KEY).await? else {
            return Ok(None);
        };
        let Stored { reason, until_ms } = serde_json::from_str(&text).map_err(|_| {
            RedisError::from((redis::ErrorKind::UnexpectedReturnType, "no maintenance"))
        })?;
        Ok(Some(Maintenance { reason, until_ms }))
    }

    /// Follows the switch until the process stops. Knows how it stands when this returns,
    /// unless Redis does not answer.
    pub async fn follow(self, clock: SharedClock, lifecycle: &Lifecycle) -> ReadOnly {
        metrics::describe_gauge!(READ_ONLY, "1 while this process refuses to change anything");
        let (sender, state) = watch::channel(None);
        self.refresh(&sender).await;
        let stopped = lifecycle.stopped();
        lifecycle.spawn("read-only", async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
                self.refresh(&sender).await;
            }
        });
        ReadOnly::new(state, clock)
    }

    async fn refresh(&self, state: &watch::Sender<Option<Arc<Maintenance>>>) {
        let found = match self.look().await {
            Ok(found) => found.map(Arc::new),
            Err(error) => {
                tracing::debug!(error = chain(&error), "the read-only switch was not seen");
                return;
            }
        };
        metrics::gauge!(READ_ONLY).set(if found.is_some() { 1.0 } else { 0.0 });
        state.send_if_modified(|state| {
            let moved = *state != found;
            if moved {
                tracing::info!(read_only = found.is_some(), "the read-only switch was moved");
                *state = found;
            }
            moved
        });
    }
}

const READ_ONLY: &str = "sotto_read_only";
