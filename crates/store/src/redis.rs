//! The connection to Redis: one, multiplexed, that mends itself.

use std::{fmt, time::Duration};

use redis::{
    Client, IntoConnectionInfo as _, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use serde::{Deserialize, Serialize};
use sotto_kit::config::{Secret, Validate, require};

/// The section `[redis]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// Where Redis is, as `redis://host:port`.
    pub url: Secret,
    /// How long a command may take before it counts as failed.
    #[serde(with = "humantime_serde")]
    pub response_timeout: Duration,
}

impl Validate for RedisConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        if let Err(problem) = self.url.reveal() {
            problems.push(format!("redis.url: {problem}"));
        }
        require(problems, !self.response_timeout.is_zero(), || {
            "redis.response_timeout: must not be 0".into()
        });
    }
}

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisConnectError {
    /// The setting is wrong. The text never holds the URL.
    #[error("redis.url: {0}")]
    Setting(String),
    /// Nobody answers.
    #[error("redis cannot be reached")]
    Unreachable(#[source] RedisError),
}

/// A handle to Redis. Cheap to clone; it connects again by itself.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    commands: ConnectionManager,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

/// Connects.
///
/// # Errors
///
/// See [`RedisConnectError`].
pub async fn connect(config: &RedisConfig) -> Result<Redis, RedisConnectError> {
    let url = config.url.reveal().map_err(RedisConnectError::Setting)?;
    let info = url
        .into_connection_info()
        .map_err(|_| RedisConnectError::Setting("not a Redis URL".to_owned()))?
        .set_tcp_settings(notice_silence());
    let client = Client::open(info).map_err(RedisConnectError::Unreachable)?;
    let settings = ConnectionManagerConfig::new()
        .set_response_timeout(Some(config.response_timeout))
        .set_connection_timeout(Some(config.response_timeout))
        .set_number_of_retries(3)
        .set_max_delay(Duration::from_secs(1));
    let commands = client
        .get_connection_manager_with_config(settings)
        .await
        .map_err(RedisConnectError::Unreachable)?;
    Ok(Redis { client, commands })
}

/// A listener only reads, so it would never notice a server that is gone without a word:
/// the kernel has to ask.
fn notice_silence() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(25));
    settings
}

impl Redis {
    /// The connection for commands.
    pub fn commands(&self) -> ConnectionManager {
        self.commands.clone()
    }

    /// A connection of its own that listens to one channel. It ends when the
    /// connection does; whoever listens must ask again.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub async fn listen(&self, channel: &str) -> redis::RedisResult<PubSub> {
        let mut listener = self.client.get_async_pubsub().await?;
        listener.subscribe(channel).await?;
        Ok(listener)
    }

    /// Whether Redis answers.
    pub async fn is_there(&self) -> bool {
        redis::cmd("PING").query_async::<()>(&mut self.commands()).await.is_ok()
    }
}
