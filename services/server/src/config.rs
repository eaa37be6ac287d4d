//! The whole configuration: the sections of the process itself, and those of the
//! roles as their crates define them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use sotto_gateway::GatewayConfig;
use sotto_keys::{AppsConfig, KeysConfig};
use sotto_kit::{
    config::{ByteSize, ConfigError, Validate, require},
    telemetry::TelemetryConfig,
};
use sotto_messages::MessagesConfig;
use sotto_store::{postgres::PostgresConfig, redis::RedisConfig};

/// Every setting with its default and its bounds. Each crate documents its own.
const DEFAULTS: &str = concat!(
    include_str!("../config.default.toml"),
    include_str!("../../keys/config.default.toml"),
    "\n",
    include_str!("../../messages/config.default.toml"),
    "\n",
    include_str!("../../gateway/config.default.toml"),
);

/// The configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) http: HttpConfig,
    pub(crate) grpc: ListenConfig,
    pub(crate) ops: ListenConfig,
    pub(crate) postgres: PostgresConfig,
    pub(crate) redis: RedisConfig,
    pub(crate) links: LinksConfig,
    pub(crate) places: PlacesConfig,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) apps: AppsConfig,
    pub(crate) keys: KeysConfig,
    pub(crate) messages: MessagesConfig,
    pub(crate) gateway: GatewayConfig,
}

/// The section `[server]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerConfig {
    pub(crate) domain: String,
    #[serde(with = "humantime_serde")]
    pub(crate) drain_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) stop_timeout: Duration,
}

/// The section `[http]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) workers: usize,
    pub(crate) max_body: ByteSize,
    #[serde(with = "humantime_serde")]
    pub(crate) request_timeout: Duration,
}

/// The sections `[grpc]` and `[ops]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenConfig {
    pub(crate) listen: SocketAddr,
}

/// The section `[links]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinksConfig {
    pub(crate) keys: String,
    pub(crate) messages: Vec<String>,
}

/// The section `[places]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlacesConfig {
    #[serde(with = "humantime_serde")]
    pub(crate) ttl: Duration,
}

/// Reads the configuration from its layers.
pub(crate) fn load(files: &[PathBuf]) -> Result<Config, ConfigError> {
    sotto_kit::config::load(DEFAULTS, files)
}

impl Validate for Config {
    fn validate(&self, problems: &mut Vec<String>) {
        let seconds = Duration::from_secs;
        require(problems, is_domain(&self.server.domain), || {
            "server.domain: not a domain name in lower case".into()
        });
        let drain = &self.server.drain_timeout;
        require(problems, (seconds(1)..=seconds(600)).contains(drain), || {
            "server.drain_timeout: must be between 1s and 10m".into()
        });
        let stop = &self.server.stop_timeout;
        require(problems, (seconds(1)..=seconds(60)).contains(stop), || {
            "server.stop_timeout: must be between 1s and 1m".into()
        });
        require(problems, (1..=64).contains(&self.http.workers), || {
            "http.workers: must be between 1 and 64".into()
        });
        require(problems, (4096..=16 << 20).contains(&self.http.max_body.0), || {
            "http.max_body: must be between 4KiB and 16MiB".into()
        });
        let request = &self.http.request_timeout;
        require(problems, (seconds(1)..=seconds(600)).contains(request), || {
            "http.request_timeout: must be between 1s and 10m".into()
        });
        require(problems, !self.links.messages.is_empty(), || {
            "links.messages: name at least one address".into()
        });
        for address in self.links.messages.iter().chain([&self.links.keys]) {
            if let Err(error) = address.parse::<tonic::transport::Uri>() {
                problems.push(format!("links: `{address}` is no address: {error}"));
            }
        }
        require(problems, self.gateway.drain.window < self.server.drain_timeout, || {
            "server.drain_timeout: must be longer than gateway.drain.window".into()
        });
        let ttl = &self.places.ttl;
        require(problems, (seconds(10)..=seconds(86_400)).contains(ttl), || {
            "places.ttl: must be between 10s and 1d".into()
        });
        require(problems, *ttl >= 3 * self.gateway.places.audit_every, || {
            "places.ttl: must be at least three times gateway.places.audit_every".into()
        });
        self.postgres.validate(problems);
        self.redis.validate(problems);
        self.telemetry.validate(problems);
        self.apps.validate(problems);
        self.keys.validate(problems);
        self.messages.validate(problems);
        self.gateway.validate(problems);
    }
}

/// Whether the text can stand after the `@` of an address (RFC 1035 section 2.3.1).
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete_and_valid() {
        let config = load(&[]).unwrap();

        assert_eq!(config.server.domain, "sotto.localhost");
        let printed = toml::to_string(&config).unwrap();
        assert!(!printed.contains("postgres://"), "secrets stay hidden");
    }

    #[test]
    fn domains_are_told_from_other_texts() {
        for good in ["sotto.localhost", "chat.example", "a-b.c"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in ["", "Chat.example", "a..b", "-a.b", "a b", "http://a"] {
            assert!(!is_domain(bad), "{bad}");
        }
    }
}
