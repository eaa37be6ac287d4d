//! Notices: short words to a gateway about one of its connections.
//!
//! | channel | carries |
//! |---|---|
//! | `gateway:<gateway>:notices` | a [`Notice`] as JSON |
//!
//! A notice is a hint: one that is lost delays what it would have told. A displaced
//! socket finds out when its place is renewed, a low stock of prekeys when the device
//! next connects.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use redis::{AsyncCommands as _, RedisResult};
use serde::{Deserialize, Serialize};
use sotto_ids::{ConnectionId, DeviceAddress};

use crate::{places::Places, redis::Redis};

/// A word about one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// The device has connected elsewhere.
    Displaced {
        /// Which socket.
        connection: u64,
    },
    /// The stock of one-time prekeys of the device is low.
    PrekeysLow {
        /// Which socket.
        connection: u64,
        /// How many EC keys are left.
        one_time_ec: u32,
        /// How many Kyber keys are left.
        one_time_kyber: u32,
    },
    /// The device is no longer one of its account.
    Revoked {
        /// Which socket.
        connection: u64,
    },
    /// The device was added to a group, or removed from one.
    GroupsChanged {
        /// Which socket.
        connection: u64,
    },
    /// The stock of one-time KeyPackages of the device is low.
    KeyPackagesLow {
        /// Which socket.
        connection: u64,
        /// How many are left.
        key_packages: u32,
    },
}

impl Notice {
    /// Which socket it is about.
    pub const fn connection(&self) -> ConnectionId {
        match self {
            Self::Displaced { connection }
            | Self::PrekeysLow { connection, .. }
            | Self::Revoked { connection }
            | Self::GroupsChanged { connection }
            | Self::KeyPackagesLow { connection, .. } => ConnectionId(*connection),
        }
    }
}

/// The notices in Redis. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notices {
    redis: Redis,
    places: Places,
}

/// What a gateway hears.
pub type NoticeStream = Pin<Box<dyn Stream<Item = Notice> + Send>>;

impl Notices {
    /// Speaks through `redis`; finds devices by `places`.
    pub const fn new(redis: Redis, places: Places) -> Self {
        Self { redis, places }
    }

    /// Tells a gateway.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn publish(&self, gateway: &str, notice: &Notice) -> RedisResult<()> {
        let text = serde_json::json!(notice).to_string();
        self.redis.commands().publish(channel(gateway), text).await
    }

    /// Tells the gateway where a device is, if it is anywhere. Says whether it is.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn notify_device(
        &self,
        device: DeviceAddress,
        notice: impl FnOnce(u64) -> Notice,
    ) -> RedisResult<bool> {
        let place = self.places.lookup_many(&[device]).await?.pop().flatten();
        let Some(place) = place else {
            return Ok(false);
        };
        self.publish(&place.gateway, &notice(place.connection.0)).await?;
        Ok(true)
    }

    /// Listens for a gateway. The stream ends when the connection to Redis does.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn subscribe(&self, gateway: &str) -> RedisResult<NoticeStream> {
        let listener = self.redis.listen(&channel(gateway)).await?;
        Ok(Box::pin(listener.into_on_message().filter_map(async |message| {
            let text: String = message.get_payload().ok()?;
            serde_json::from_str(&text).ok()
        })))
    }
}

fn channel(gateway: &str) -> String {
    format!("gateway:{gateway}:notices")
}
