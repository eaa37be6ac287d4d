//! Places: at which gateway, and on which of its connections, a device is.
//!
//! | key | type | holds | lost when |
//! |---|---|---|---|
//! | `gateway:{<account uuid>.<device>}:place` | string | `<gateway>/<connection>` | its socket ends; nobody renewed it for the TTL; Redis forgot it |
//!
//! A place is a hint. Who finds none leaves the envelope in its queue; who finds an
//! old one sends to a gateway that passes it over. The gateway writes a place when a
//! socket is authenticated, *before* it reads the queue, and renews all of its places
//! in batches.

use std::{fmt, str::FromStr, time::Duration};

use redis::{RedisResult, Script};
use sotto_ids::{ConnectionId, DeviceAddress};

use crate::redis::Redis;

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Random for each start of a gateway.
    pub gateway: String,
    /// Which of its sockets.
    pub connection: ConnectionId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.gateway, self.connection)
    }
}

impl FromStr for Place {
    type Err = MalformedPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (gateway, connection) = text.split_once('/').ok_or(MalformedPlace)?;
        let connection = u64::from_str_radix(connection, 16).map_err(|_| MalformedPlace)?;
        Ok(Self { gateway: gateway.to_owned(), connection: ConnectionId(connection) })
    }
}

/// The text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place is `<gateway>/<connection>`")]
pub struct MalformedPlace;

/// What became of a place since it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It stands, and lives for another TTL.
    Ours,
    /// Redis has forgotten it.
    Lost,
    /// The device has connected elsewhere.
    Foreign,
}

/// The places in Redis. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Places {
    redis: Redis,
    ttl: Duration,
}

impl Places {
    /// `ttl`: how long a place stands that nobody renews; at least a second.
    pub const fn new(redis: Redis, ttl: Duration) -> Self {
        Self { redis, ttl }
    }

    /// Writes the place of a device, and returns the one that it takes over from.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn claim(&self, device: DeviceAddress, place: &Place) -> RedisResult<Option<Place>> {
        let before: Option<String> = redis::cmd("SET")
            .arg(key(device))
            .arg(place.to_string())
            .arg("EX")
            .arg(self.ttl.as_secs().max(1))
            .arg("GET")
            .query_async(&mut self.redis.commands())
            .await?;
        Ok(before.and_then(|text| text.parse().ok()))
    }

    /// Forgets the place of a device, unless another connection holds it by now. Says
    /// whether it did.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn forget(&self, device: DeviceAddress, place: &Place) -> RedisResult<bool> {
        Script::new(include_str!("forget.lua"))
            .key(key(device))
            .arg(place.to_string())
            .invoke_async(&mut self.redis.commands())
            .await
    }

    /// Renews many places at once and says what became of each, in their order.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn renew_many(&self, places: &[(DeviceAddress, Place)]) -> RedisResult<Vec<Held>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for (device, _) in places {
            pipeline.cmd("GETEX").arg(key(*device)).arg("EX").arg(self.ttl.as_secs().max(1));
        }
        let found: Vec<Option<String>> = pipeline.query_async(&mut self.redis.commands()).await?;
        let judge = |(found, (_, ours)): (Option<String>, &(DeviceAddress, Place))| match found {
            None => Held::Lost,
            Some(text) if text == ours.to_string() => Held::Ours,
            Some(_) => Held::Foreign,
        };
        Ok(found.into_iter().zip(places).map(judge).collect())
    }

    /// Looks up many devices at once; one answer each, in their order.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn lookup_many(&self, devices: &[DeviceAddress]) -> RedisResult<Vec<Option<Place>>> {
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for device in devices {
            pipeline.cmd("GET").arg(key(*device));
        }
        let found: Vec<Option<String>> = pipeline.query_async(&mut self.redis.commands()).await?;
        Ok(found.into_iter().map(|text| text?.parse().ok()).collect())
    }
}

fn key(device: DeviceAddress) -> String {
    format!("gateway:{{{device}}}:place")
}
