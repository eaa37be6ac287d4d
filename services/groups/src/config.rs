//! The section `[groups]`. Defaults, units and bounds stand in `config.default.toml`, beside
//! each setting.

mod delivery;

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};
use sotto_kit::config::{ByteSize, Secret, Validate, require};

pub use self::delivery::{
    AcksConfig, GatewaysConfig, LogConfig, RosterConfig, SendsConfig, SweepConfig,
};

/// The section `[groups]` with its defaults, to be the first layer of a configuration.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The section `[groups]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsConfig {
    /// The secret of the deployment's external sender: 32 bytes as base64.
    pub external_sender: Secret,
    /// How commits are checked.
    pub commits: CommitsConfig,
    /// How the devices of accounts are remembered.
    pub devices: DevicesConfig,
    /// How Welcomes are fetched.
    pub welcomes: WelcomesConfig,
    /// How gateways are served.
    pub gateways: GatewaysConfig,
    /// How messages become entries of logs.
    pub sends: SendsConfig,
    /// How it is remembered who is in a group.
    pub roster: RosterConfig,
    /// How cursors are moved.
    pub acks: AcksConfig,
    /// How logs are read, and how long they are kept.
    pub log: LogConfig,
    /// How devices are found that are none of their accounts any more.
    pub sweep: SweepConfig,
}

/// The section `[groups.commits]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitsConfig {
    /// Commits that are checked at the same time.
    pub validations: usize,
    /// Commits that may be under way.
    pub under_way: usize,
    /// Bytes of states that are kept in memory.
    pub cache: ByteSize,
    /// Entries that a refusal carries.
    pub refusal_entries: u32,
    /// Bytes of entries with which a refusal ends.
    pub refusal_bytes: ByteSize,
}

/// The section `[groups.devices]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicesConfig {
    /// How long the devices of an account are remembered.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// Accounts that are remembered.
    pub accounts: usize,
    /// How long keys may take to answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// The section `[groups.welcomes]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WelcomesConfig {
    /// Welcomes in one answer.
    pub page: u32,
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MINUTE: Duration = Duration::from_mins(1);
const KIB: usize = 1024;

impl Validate for GroupsConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let mut check = Check(problems);
        check.within("commits.validations", &self.commits.validations, &(1..=64));
        check.within("commits.under_way", &self.commits.under_way, &(1..=65_536));
        check.within("commits.cache", &self.commits.cache.0, &(0..=16 * KIB * KIB * KIB));
        check.within("commits.refusal_entries", &self.commits.refusal_entries, &(1..=500));
        let bytes = self.commits.refusal_bytes.0;
        check.within("commits.refusal_bytes", &bytes, &(16 * KIB..=4 * KIB * KIB));

        check.lasts("devices.ttl", self.devices.ttl, &(Duration::ZERO..=10 * MINUTE));
        check.within("devices.accounts", &self.devices.accounts, &(100..=10_000_000));
        check.lasts("devices.timeout", self.devices.timeout, &(100 * MS..=MINUTE));

        check.within("welcomes.page", &self.welcomes.page, &(1..=500));

        self.gateways.check(&mut check);
        self.sends.check(&mut check);
        self.roster.check(&mut check);
        self.acks.check(&mut check);
        self.log.check(&mut check);
        self.sweep.check(&mut check);
    }
}

struct Check<'p>(&'p mut Vec<String>);

impl Check<'_> {
    fn within<T>(&mut self, name: &str, value: &T, bounds: &RangeInclusive<T>)
    where
        T: PartialOrd + std::fmt::Display,
    {
        require(self.0, bounds.contains(value), || {
            format!("groups.{name}: must be between {} and {}", bounds.start(), bounds.end())
        });
    }

    fn lasts(&mut self, name: &str, value: Duration, bounds: &RangeInclusive<Duration>) {
        require(self.0, bounds.contains(&value), || {
            format!("groups.{name}: must be between {:?} and {:?}", bounds.start(), bounds.end())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        groups: GroupsConfig,
    }

    fn problems(change: impl FnOnce(&mut GroupsConfig)) -> Vec<String> {
        let mut config = toml::from_str::<File>(DEFAULTS).unwrap().groups;
        change(&mut config);
        let mut problems = Vec::new();
        config.validate(&mut problems);
        problems.iter().filter_map(|problem| problem.split(':').next()).map(str::to_owned).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(problems(|_| {}), [""; 0]);
    }

    #[test]
    fn every_bound_is_watched() {
        let problems = problems(|config| {
            config.commits.validations = 0;
            config.commits.under_way = 0;
            config.commits.cache = ByteSize(usize::MAX);
            config.commits.refusal_entries = 0;
            config.commits.refusal_bytes = ByteSize(1);
            config.devices.ttl = Duration::from_hours(1);
            config.devices.accounts = 0;
            config.devices.timeout = Duration::ZERO;
            config.welcomes.page = 0;
        });
        let expected = [
            "groups.commits.validations",
            "groups.commits.under_way",
            "groups.commits.cache",
            "groups.commits.refusal_entries",
            "groups.commits.refusal_bytes",
            "groups.devices.ttl",
            "groups.devices.accounts",
            "groups.devices.timeout",
            "groups.welcomes.page",
        ];
        assert_eq!(problems, expected);
    }
}
