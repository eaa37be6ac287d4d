//! The whole configuration: the sections of the process itself, and those of the
//! roles as their crates define them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use sotto_gateway::GatewayConfig;
use sotto_groups::GroupsConfig;
use sotto_keys::{AppsConfig, KeysConfig};
use sotto_kit::{
    config::{ByteSize, ConfigError, Validate, require},
    http::{ForwardedHeader, Proxies},
    limits::{AppLimits, LimitsConfig, Network},
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
    include_str!("../../groups/config.default.toml"),
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
    pub(crate) limits: LimitsConfig,
    pub(crate) links: LinksConfig,
    pub(crate) places: PlacesConfig,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) apps: AppsConfig,
    pub(crate) keys: KeysConfig,
    pub(crate) messages: MessagesConfig,
    pub(crate) groups: GroupsConfig,
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
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) forwarded_header: ForwardedHeader,
}

impl HttpConfig {
    /// Whose word counts on where a request comes from.
    pub(crate) fn proxies(&self) -> Proxies {
        Proxies { trusted: self.trusted_proxies.clone(), header: self.forwarded_header }
    }
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
    pub(crate) groups: Vec<String>,
}

/// The section `[places]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlacesConfig {
    #[serde(with = "humantime_serde")]
    pub(crate) ttl: Duration,
}

impl Config {
    /// The ceilings of the apps.
    pub(crate) fn app_limits(&self) -> AppLimits {
        self.apps.0.iter().map(|(id, app)| (id.clone(), app.limits.clone())).collect()
    }
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
        for address in
            self.links.messages.iter().chain(&self.links.groups).chain([&self.links.keys])
        {
            if let Err(error) = address.parse::<tonic::transport::Uri>() {
                problems.push(format!("links: `{address}` is no address: {error}"));
            }
        }
        require(problems, self.keys.mailbox.longest_wait < self.http.request_timeout, || {
            "http.request_timeout: must be longer than keys.mailbox.longest_wait".into()
        });
        let leaves = self.messages.leave_timeout + self.groups.gateways.leave_timeout;
        let drains = self.gateway.drain.window + leaves;
        require(problems, drains < self.server.drain_timeout, || {
            "server.drain_timeout: must be longer than gateway.drain.window, \
             messages.leave_timeout and groups.gateways.leave_timeout together"
                .into()
        });
        let fails_after = self.messages.store_timeout + 2 * self.messages.device_sets.timeout;
        require(problems, self.gateway.links.answer_timeout > fails_after, || {
            "gateway.links.answer_timeout: must be longer than messages.store_timeout and twice \
             messages.device_sets.timeout together"
                .into()
        });
        let fails_after = self.groups.sends.timeout + 2 * self.groups.devices.timeout;
        require(problems, self.gateway.links.answer_timeout > fails_after, || {
            "gateway.links.answer_timeout: must be longer than groups.sends.timeout and twice \
             groups.devices.timeout together"
                .into()
        });
        let wait = self.gateway.poll.max_wait + seconds(3);
        require(problems, wait <= self.http.request_timeout, || {
            "http.request_timeout: must be at least 3s longer than gateway.poll.max_wait".into()
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
        self.limits.validate(problems);
        self.telemetry.validate(problems);
        self.apps.validate(problems);
        self.keys.validate(problems);
        self.messages.validate(problems);
        self.groups.validate(problems);
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

    fn problems(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = load(&[]).unwrap();
        change(&mut config);
        let mut problems = Vec::new();
        config.validate(&mut problems);
        problems
    }

    #[test]
    fn a_link_outlives_what_its_replica_may_take_to_fail() {
        let problems = problems(|config| config.messages.store_timeout *= 10);

        let named = |problem: &String| problem.starts_with("gateway.links.answer_timeout");
        assert!(problems.iter().any(named), "{problems:?}");
    }

    #[test]
    fn a_process_has_time_for_all_of_its_roles_to_drain() {
        let problems = problems(|config| {
            config.server.drain_timeout =
                config.gateway.drain.window + config.messages.leave_timeout;
        });

        let named = |problem: &String| problem.starts_with("server.drain_timeout");
        assert!(problems.iter().any(named), "{problems:?}");
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
