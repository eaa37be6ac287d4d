//! Device changes: who remembers the devices of an account hears when they change.
//!
//! | channel | carries |
//! |---|---|
//! | `keys:device-changes` | the account UUID as text |
//!
//! A change that is not heard is found out when what was remembered grows too old.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use redis::{AsyncCommands as _, RedisResult};
use sotto_ids::AccountUuid;

use crate::redis::Redis;

const CHANNEL: &str = "keys:device-changes";

/// The changes in Redis. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeviceChanges(Redis);

/// Accounts whose devices have changed.
pub type DeviceChangeStream = Pin<Box<dyn Stream<Item = AccountUuid> + Send>>;

impl DeviceChanges {
    /// Speaks through `redis`.
    pub const fn new(redis: Redis) -> Self {
        Self(redis)
    }

    /// Says that the devices of an account have changed. Call it after the commit.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn publish(&self, account: AccountUuid) -> RedisResult<()> {
        self.0.commands().publish(CHANNEL, account.to_string()).await
    }

    /// Listens. The stream ends when the connection to Redis does; whoever listens
    /// must then forget what it remembers and ask again.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn subscribe(&self) -> RedisResult<DeviceChangeStream> {
        let listener = self.0.listen(CHANNEL).await?;
        Ok(Box::pin(listener.into_on_message().filter_map(async |message| {
            let text: String = message.get_payload().ok()?;
            text.parse().ok()
        })))
    }
}
