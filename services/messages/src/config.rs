//! The section `[messages]`. Defaults, units and bounds stand in
//! `config.default.toml`, beside each setting.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};
use sotto_ids::limits::MAX_CIPHERTEXT_BYTES;
use sotto_kit::config::{ByteSize, Validate, require};

/// The section `[messages]` with its defaults, to be the first layer of a
/// configuration.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The section `[messages]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessagesConfig {
    /// Submits that one gateway may have without an outcome.
    pub credit: u32,
    /// How far the clock of a sending device may be ahead.
    #[serde(with = "humantime_serde")]
    pub max_clock_ahead: Duration,
    /// How far the clock of a sending device may be behind, or how long ago it first
    /// tried to send.
    #[serde(with = "humantime_serde")]
    pub max_clock_behind: Duration,
    /// After how long a statement counts as failed.
    #[serde(with = "humantime_serde")]
    pub store_timeout: Duration,
    /// How long a replica that ends waits for gateways to take their last outcomes.
    #[serde(with = "humantime_serde")]
    pub leave_timeout: Duration,
    /// How long envelopes wait.
    pub queue: QueueConfig,
    /// How sends become rows.
    pub commit: CommitConfig,
    /// How rows are deleted.
    pub acks: AcksConfig,
    /// How queues are read.
    pub pages: PagesConfig,
    /// How the devices of recipients are remembered.
    pub device_sets: DeviceSetsConfig,
    /// What goes down to a gateway.
    pub downlink: DownlinkConfig,
    /// What is never stored.
    pub ephemeral: EphemeralConfig,
}

/// The section `[messages.ephemeral]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EphemeralConfig {
    /// Bytes of one ciphertext.
    pub max_bytes: ByteSize,
    /// Sends that may wait to be passed on.
    pub waiting: usize,
}

/// The section `[messages.queue]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// The longest that an envelope waits.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// How often days are made and dropped.
    #[serde(with = "humantime_serde")]
    pub partitions_every: Duration,
    /// How often short-lived envelopes are swept.
    #[serde(with = "humantime_serde")]
    pub sweep_every: Duration,
    /// Rows that one sweeping statement takes.
    pub sweep_rows: u32,
    /// Envelopes that may wait for one device.
    pub max_envelopes: u32,
    /// Their bytes.
    pub max_bytes: ByteSize,
    /// Devices whose fill is remembered.
    pub watched_devices: usize,
    /// How long a full queue counts as full before it is looked at again.
    #[serde(with = "humantime_serde")]
    pub full_for: Duration,
    /// How long a device is told of an overflow, from the first time on.
    #[serde(with = "humantime_serde")]
    pub overflow_told_for: Duration,
    /// How long a device is told of no overflow after it was told of one.
    #[serde(with = "humantime_serde")]
    pub overflow_told_every: Duration,
    /// Accounts that may wait for a look at devices they have lost.
    pub purges_waiting: usize,
}

/// The section `[messages.commit]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitConfig {
    /// Inserts that run at the same time.
    pub writers: usize,
    /// How long a writer collects after the first arrival.
    #[serde(with = "humantime_serde")]
    pub collect: Duration,
    /// Rows with which a writer commits without collecting further.
    pub rows: usize,
    /// Sends that may wait for each writer.
    pub waiting: usize,
    /// Committed batches that may wait to be announced.
    pub hints_waiting: usize,
}

/// The section `[messages.acks]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcksConfig {
    /// How long acknowledgements gather.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// Rows that one statement deletes.
    pub rows: usize,
    /// Acknowledgements that may wait.
    pub waiting: usize,
    /// Those of one device among them, and among those that are being deleted.
    pub per_device: usize,
}

/// The section `[messages.pages]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagesConfig {
    /// The most envelopes in a page.
    pub envelopes: u32,
    /// Bytes with which a page ends.
    pub bytes: ByteSize,
    /// Pages that are read at the same time.
    pub at_once: usize,
    /// Pulls of one gateway that may wait.
    pub waiting: usize,
    /// Pages that may lie ready for one gateway.
    pub ready: usize,
}

/// The section `[messages.device_sets]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSetsConfig {
    /// How long a device set is remembered.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// Accounts that are remembered.
    pub accounts: usize,
    /// How long keys may take to answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// The section `[messages.downlink]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownlinkConfig {
    /// The most items in a batch.
    pub items: usize,
    /// Bytes with which a batch ends.
    pub bytes: ByteSize,
    /// The pause after a small batch.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
    /// Deliveries that may lie ready.
    pub deliveries: usize,
    /// Bytes of deliveries that may lie ready.
    pub delivery_bytes: ByteSize,
    /// How long a stream lasts at least before it is renewed because announcements
    /// were lost.
    #[serde(with = "humantime_serde")]
    pub renew_every: Duration,
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const KIB: usize = 1024;

impl Validate for MessagesConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let mut check = Check(problems);
        check.within("credit", &self.credit, &(1..=65_536));
        check.lasts("max_clock_ahead", self.max_clock_ahead, &(SECOND..=DAY));
        check.lasts("max_clock_behind", self.max_clock_behind, &(MINUTE..=7 * DAY));
        check.lasts("store_timeout", self.store_timeout, &(SECOND..=2 * MINUTE));
        check.lasts("leave_timeout", self.leave_timeout, &(SECOND..=5 * MINUTE));

        check.lasts("queue.max_age", self.queue.max_age, &(HOUR..=90 * DAY));
        check.lasts("queue.partitions_every", self.queue.partitions_every, &(MINUTE..=12 * HOUR));
        check.lasts("queue.sweep_every", self.queue.sweep_every, &(SECOND..=DAY));
        check.within("queue.sweep_rows", &self.queue.sweep_rows, &(1..=10_000));
        check.within("queue.max_envelopes", &self.queue.max_envelopes, &(100..=1_000_000));
        let bytes = self.queue.max_bytes.0;
        check.within("queue.max_bytes", &bytes, &(KIB * KIB..=16 * KIB * KIB * KIB));
        check.within("queue.watched_devices", &self.queue.watched_devices, &(100..=10_000_000));
        check.lasts("queue.full_for", self.queue.full_for, &(100 * MS..=MINUTE));
        let told_for = self.queue.overflow_told_for;
        check.lasts("queue.overflow_told_for", told_for, &(MINUTE..=30 * DAY));
        let told_every = self.queue.overflow_told_every;
        check.lasts("queue.overflow_told_every", told_every, &(SECOND..=HOUR));
        check.within("queue.purges_waiting", &self.queue.purges_waiting, &(1..=1_000_000));

        check.within("commit.writers", &self.commit.writers, &(1..=16));
        check.lasts("commit.collect", self.commit.collect, &(Duration::ZERO..=100 * MS));
        check.within("commit.rows", &self.commit.rows, &(1..=5_000));
        check.within("commit.waiting", &self.commit.waiting, &(1..=65_536));
        check.within("commit.hints_waiting", &self.commit.hints_waiting, &(1..=1_024));

        check.lasts("acks.every", self.acks.every, &(MS..=5 * SECOND));
        check.within("acks.rows", &self.acks.rows, &(1..=10_000));
        check.within("acks.waiting", &self.acks.waiting, &(1..=10_000_000));
        check.within("acks.per_device", &self.acks.per_device, &(1..=100_000));

        check.within("pages.envelopes", &self.pages.envelopes, &(1..=1_000));
        check.within("pages.bytes", &self.pages.bytes.0, &(64 * KIB..=8 * KIB * KIB));
        check.within("pages.at_once", &self.pages.at_once, &(1..=1_000));
        check.within("pages.waiting", &self.pages.waiting, &(1..=1_000_000));
        check.within("pages.ready", &self.pages.ready, &(1..=1_000));

        check.lasts("device_sets.ttl", self.device_sets.ttl, &(Duration::ZERO..=10 * MINUTE));
        check.within("device_sets.accounts", &self.device_sets.accounts, &(100..=10_000_000));
        check.lasts("device_sets.timeout", self.device_sets.timeout, &(100 * MS..=MINUTE));

        check.within("downlink.items", &self.downlink.items, &(1..=4_096));
        check.within("downlink.bytes", &self.downlink.bytes.0, &(64 * KIB..=16 * KIB * KIB));
        check.lasts("downlink.pause", self.downlink.pause, &(Duration::ZERO..=100 * MS));
        check.within("downlink.deliveries", &self.downlink.deliveries, &(1..=1_000_000));
        let bytes = self.downlink.delivery_bytes.0;
        check.within("downlink.delivery_bytes", &bytes, &(KIB * KIB..=KIB * KIB * KIB));
        check.lasts("downlink.renew_every", self.downlink.renew_every, &(SECOND..=10 * MINUTE));

        let bytes = self.ephemeral.max_bytes.0;
        check.within("ephemeral.max_bytes", &bytes, &(KIB..=MAX_CIPHERTEXT_BYTES));
        check.within("ephemeral.waiting", &self.ephemeral.waiting, &(1..=65_536));
    }
}

struct Check<'p>(&'p mut Vec<String>);

impl Check<'_> {
    fn within<T>(&mut self, name: &str, value: &T, bounds: &RangeInclusive<T>)
    where
        T: PartialOrd + std::fmt::Display,
    {
        require(self.0, bounds.contains(value), || {
            format!("messages.{name}: must be between {} and {}", bounds.start(), bounds.end())
        });
    }

    fn lasts(&mut self, name: &str, value: Duration, bounds: &RangeInclusive<Duration>) {
        require(self.0, bounds.contains(&value), || {
            format!("messages.{name}: must be between {:?} and {:?}", bounds.start(), bounds.end())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        messages: MessagesConfig,
    }

    fn defaults() -> MessagesConfig {
        toml::from_str::<File>(DEFAULTS).unwrap().messages
    }

    #[test]
    fn the_defaults_are_within_their_bounds() {
        let mut problems = Vec::new();

        defaults().validate(&mut problems);

        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let mut config = defaults();
        config.queue.max_age = Duration::from_secs(1);
        config.commit.writers = 0;
        let mut problems = Vec::new();

        config.validate(&mut problems);

        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.starts_with("messages.queue.max_age:")));
        assert!(problems.iter().any(|problem| problem.starts_with("messages.commit.writers:")));
    }
}
