//! The section `[keys]` of the configuration.

mod jwks;
mod key_packages;
mod mailbox;
mod public;
mod registration;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_ids::{
    Handle,
    limits::{MAX_PREKEYS_PER_DEVICE, MAX_PREKEYS_PER_UPLOAD},
};
use sotto_kit::config::{Validate, require};

pub use jwks::JwksConfig;
pub use key_packages::KeyPackagesConfig;
pub use mailbox::MailboxConfig;
pub use public::PublicConfig;
pub use registration::{RegistrationConfig, RegistrationMode};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The section `[keys]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// How devices log in.
    pub auth: AuthConfig,
    /// Which names people may take.
    pub handles: HandlesConfig,
    /// How the key sets of apps are fetched.
    pub jwks: JwksConfig,
    /// How many KeyPackages lie ready, and how long they are good.
    pub key_packages: KeyPackagesConfig,
    /// The mailboxes through which devices are linked.
    pub mailbox: MailboxConfig,
    /// How fast a chain may grow.
    pub ops: OpsConfig,
    /// How many prekeys lie ready.
    pub prekeys: PrekeysConfig,
    /// What anybody may read of the deployment.
    pub public: PublicConfig,
    /// Who may open an account.
    pub registration: RegistrationConfig,
    /// The tokens that devices get.
    pub token: TokenConfig,
}

/// The section `[keys.auth]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// How long a challenge waits for its answer. Between 5s and 10m.
    #[serde(with = "humantime_serde")]
    pub challenge_ttl: Duration,
    /// The longest life of an app's token, from `iat` to `exp`. Between 1m and 24h.
    #[serde(with = "humantime_serde")]
    pub app_token_max_life: Duration,
    /// How far an app's clock may be off. At most 60s.
    #[serde(with = "humantime_serde")]
    pub app_token_leeway: Duration,
}

/// The section `[keys.handles]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandlesConfig {
    /// Handles that nobody may take, nor anything that looks like one of them.
    pub reserved: Vec<String>,
    /// Handles that one account may hold, the former ones included. Between 1 and 100.
    pub per_account: u16,
}

/// The section `[keys.ops]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsConfig {
    /// Ops that an account may append at once, after a time of rest. Between 2 and 2000.
    pub burst: u16,
    /// Ops that it may append in an hour from then on. Between 1 and 3600.
    pub per_hour: u16,
}

/// The section `[keys.prekeys]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrekeysConfig {
    /// One-time prekeys of one kind that a device may have on its shelf. Between 100
    /// and 200.
    pub stock: u16,
    /// A device with fewer than this left of a kind is told so. At most 100.
    pub low_water: u16,
    /// A signed prekey that is older counts as stale in the metrics. Between 1d and
    /// 365d.
    #[serde(with = "humantime_serde")]
    pub stale_after: Duration,
    /// How often stale ones are counted. Between 1m and 30d.
    #[serde(with = "humantime_serde")]
    pub stale_count_every: Duration,
}

/// The section `[keys.token]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// How long a token is valid. Between 1m and 1h.
    #[serde(with = "humantime_serde")]
    pub life: Duration,
    /// How long a process signs with one key before it goes on with the next.
    /// Between 10m and 30d.
    #[serde(with = "humantime_serde")]
    pub key_rotation: Duration,
    /// How often keys are looked over: the next one is published, and those that no
    /// living token is signed with are deleted. Between 1s and 1m.
    #[serde(with = "humantime_serde")]
    pub key_upkeep: Duration,
}

impl Validate for KeysConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let mut within = |ok: bool, name: &str, bounds: &str| {
            require(problems, ok, || format!("keys.{name}: must be {bounds}"));
        };
        let auth = &self.auth;
        within(
            (Duration::from_secs(5)..=10 * MINUTE).contains(&auth.challenge_ttl),
            "auth.challenge_ttl",
            "between 5s and 10m",
        );
        within(
            (MINUTE..=DAY).contains(&auth.app_token_max_life),
            "auth.app_token_max_life",
            "between 1m and 24h",
        );
        within(auth.app_token_leeway <= MINUTE, "auth.app_token_leeway", "at most 60s");

        within(
            (1..=100).contains(&self.handles.per_account),
            "handles.per_account",
            "between 1 and 100",
        );

        for handle in &self.handles.reserved {
            within(handle.parse::<Handle>().is_ok(), "handles.reserved", "a list of handles");
        }

        within((2..=2000).contains(&self.ops.burst), "ops.burst", "between 2 and 2000");
        within((1..=3600).contains(&self.ops.per_hour), "ops.per_hour", "between 1 and 3600");

        let prekeys = &self.prekeys;
        within(
            usize::from(prekeys.stock) >= MAX_PREKEYS_PER_UPLOAD
                && i64::from(prekeys.stock) <= MAX_PREKEYS_PER_DEVICE,
            "prekeys.stock",
            "between 100 and 200",
        );
        within(
            usize::from(prekeys.low_water) <= MAX_PREKEYS_PER_UPLOAD,
            "prekeys.low_water",
            "at most 100",
        );
        within(
            (DAY..=365 * DAY).contains(&prekeys.stale_after),
            "prekeys.stale_after",
            "between 1d and 365d",
        );
        within(
            (MINUTE..=30 * DAY).contains(&prekeys.stale_count_every),
            "prekeys.stale_count_every",
            "between 1m and 30d",
        );

        let token = &self.token;
        within((MINUTE..=HOUR).contains(&token.life), "token.life", "between 1m and 1h");
        within(
            (10 * MINUTE..=30 * DAY).contains(&token.key_rotation),
            "token.key_rotation",
            "between 10m and 30d",
        );
        within(
            (Duration::from_secs(1)..=MINUTE).contains(&token.key_upkeep),
            "token.key_upkeep",
            "between 1s and 1m",
        );
        self.jwks.validate(problems);
        self.key_packages.validate(problems);
        self.mailbox.validate(problems);
        self.public.validate(problems);
        self.registration.validate(problems);
    }
}

#[cfg(test)]
mod tests {
    use sotto_kit::config::ByteSize;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        keys: KeysConfig,
    }

    fn problems(change: impl FnOnce(&mut KeysConfig)) -> Vec<String> {
        let file: File = toml::from_str(include_str!("../config.default.toml")).unwrap();
        let mut config = file.keys;
        change(&mut config);
        let mut problems = Vec::new();
        config.validate(&mut problems);
        problems
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(problems(|_| {}), [""; 0]);
    }

    #[test]
    fn every_bound_is_watched() {
        let problems = problems(|config| {
            config.auth.challenge_ttl = Duration::from_secs(4);
            config.auth.app_token_max_life = Duration::from_hours(25);
            config.auth.app_token_leeway = Duration::from_secs(61);
            config.handles.reserved.push("No Handle".to_owned());
            config.handles.per_account = 0;
            config.ops.burst = 1;
            config.ops.per_hour = 0;
            config.prekeys.stock = 201;
            config.prekeys.low_water = 101;
            config.prekeys.stale_after = HOUR;
            config.prekeys.stale_count_every = 31 * DAY;
            config.token.life = Duration::from_hours(2);
            config.token.key_rotation = MINUTE;
            config.token.key_upkeep = HOUR;
        });
        let names: Vec<_> =
            problems.iter().filter_map(|problem| problem.split(':').next()).collect();
        let expected = [
            "keys.auth.challenge_ttl",
            "keys.auth.app_token_max_life",
            "keys.auth.app_token_leeway",
            "keys.handles.per_account",
            "keys.handles.reserved",
            "keys.ops.burst",
            "keys.ops.per_hour",
            "keys.prekeys.stock",
            "keys.prekeys.low_water",
            "keys.prekeys.stale_after",
            "keys.prekeys.stale_count_every",
            "keys.token.life",
            "keys.token.key_rotation",
            "keys.token.key_upkeep",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn every_bound_of_the_smaller_sections_is_watched() {
        let problems = problems(|config| {
            config.jwks.refresh_every = Duration::from_secs(1);
            config.jwks.refetch_pause = Duration::ZERO;
            config.jwks.timeout = Duration::from_secs(31);
            config.jwks.max_body = ByteSize(1);
            config.key_packages.stock = 99;
            config.key_packages.low_water = 101;
            config.key_packages.longest_life = HOUR;
            config.key_packages.margin = HOUR;
            config.key_packages.upkeep_every = Duration::from_secs(59);
            config.key_packages.upkeep_batch = 9;
            config.mailbox.ttl = Duration::from_secs(9);
            config.mailbox.longest_wait = Duration::from_secs(61);
            config.mailbox.look_every = Duration::from_millis(99);
            config.mailbox.most_waiting = 0;
            config.public.url = "https://chat.example/".to_owned();
            config.public.count_every = Duration::from_secs(59);
            config.registration.work_bits = 27;
            config.registration.challenge_ttl = Duration::from_secs(9);
        });
        let names: Vec<_> =
            problems.iter().filter_map(|problem| problem.split(':').next()).collect();
        let expected = [
            "keys.jwks.refresh_every",
            "keys.jwks.refetch_pause",
            "keys.jwks.timeout",
            "keys.jwks.max_body",
            "keys.key_packages.stock",
            "keys.key_packages.low_water",
            "keys.key_packages.longest_life",
            "keys.key_packages.margin",
            "keys.key_packages.upkeep_every",
            "keys.key_packages.upkeep_batch",
            "keys.mailbox.ttl",
            "keys.mailbox.longest_wait",
            "keys.mailbox.look_every",
            "keys.mailbox.most_waiting",
            "keys.public.url",
            "keys.public.count_every",
            "keys.registration.work_bits",
            "keys.registration.challenge_ttl",
        ];
        assert_eq!(names, expected);
    }
}
