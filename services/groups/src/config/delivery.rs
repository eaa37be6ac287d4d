//! How messages get into the log, and how those hear of it who are to have them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_ids::limits::MAX_GROUP_MESSAGE_BYTES;
use sotto_kit::config::ByteSize;

use super::{Check, DAY, HOUR, KIB, MINUTE, MS, SECOND};

/// The section `[groups.gateways]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaysConfig {
    /// Submits that one gateway may have without an outcome.
    pub credit: u32,
    /// How long a replica that ends waits for gateways to take their last outcomes.
    #[serde(with = "humantime_serde")]
    pub leave_timeout: Duration,
    /// The most items in a batch down to a gateway.
    pub batch_items: usize,
    /// Bytes with which such a batch ends.
    pub batch_bytes: ByteSize,
    /// The pause after a small batch.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
    /// Groups that one gateway may watch.
    pub watches: usize,
    /// Publications that may lie ready for one gateway.
    pub publications: usize,
    /// Their bytes.
    pub publication_bytes: ByteSize,
    /// Bytes of the largest publication that carries its entries.
    pub largest_publication: ByteSize,
    /// Bytes of missing entries that may be on their way with refusals.
    pub stale_bytes: ByteSize,
    /// How long a stream lasts at least before it is renewed because publications were lost.
    #[serde(with = "humantime_serde")]
    pub renew_every: Duration,
    /// Questions of one gateway that may wait.
    pub questions: usize,
    /// Answers that may lie ready for one gateway.
    pub answers: usize,
    /// Groups of one device that are told.
    pub groups_of_device: u32,
}

/// The section `[groups.sends]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendsConfig {
    /// Transactions that store messages at the same time.
    pub writers: usize,
    /// How long a writer collects after the first arrival.
    #[serde(with = "humantime_serde")]
    pub collect: Duration,
    /// Messages with which a writer commits without collecting further.
    pub messages: usize,
    /// Bytes with which it does.
    pub bytes: ByteSize,
    /// Messages that may wait for each writer.
    pub waiting: usize,
    /// After how long a transaction counts as failed.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// The section `[groups.roster]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterConfig {
    /// Devices of groups that are remembered, all groups together.
    pub devices: usize,
}

/// The section `[groups.acks]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcksConfig {
    /// How long acknowledgements gather.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// Cursors that one statement moves.
    pub rows: usize,
    /// Cursors that may wait.
    pub waiting: usize,
    /// Those of one device among them.
    pub per_device: usize,
}

/// The section `[groups.log]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Bytes with which a page ends.
    pub page_bytes: ByteSize,
    /// Pages, lists and heads that are read at the same time.
    pub reads_at_once: usize,
    /// How long entries are kept, and Welcomes and those who have left.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How often it is looked for what is over.
    #[serde(with = "humantime_serde")]
    pub expire_every: Duration,
    /// Rows that one deleting statement takes.
    pub expire_rows: u32,
}

/// The section `[groups.sweep]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepConfig {
    /// How often all members are held against keys.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// Accounts that are looked at together.
    pub accounts: u32,
    /// Accounts whose devices have changed that may wait for a look.
    pub waiting: usize,
}

impl GatewaysConfig {
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.within("gateways.credit", &self.credit, &(1..=65_536));
        check.lasts("gateways.leave_timeout", self.leave_timeout, &(SECOND..=5 * MINUTE));
        check.within("gateways.batch_items", &self.batch_items, &(1..=4_096));
        let bytes = self.batch_bytes.0;
        check.within("gateways.batch_bytes", &bytes, &(64 * KIB..=16 * KIB * KIB));
        check.lasts("gateways.pause", self.pause, &(Duration::ZERO..=100 * MS));
        check.within("gateways.watches", &self.watches, &(100..=10_000_000));
        check.within("gateways.publications", &self.publications, &(1..=1_000_000));
        let bytes = self.publication_bytes.0;
        check.within("gateways.publication_bytes", &bytes, &(KIB * KIB..=KIB * KIB * KIB));
        let bytes = self.largest_publication.0;
        check.within("gateways.largest_publication", &bytes, &(KIB..=16 * KIB * KIB));
        let bytes = self.stale_bytes.0;
        check.within("gateways.stale_bytes", &bytes, &(KIB * KIB..=KIB * KIB * KIB));
        check.lasts("gateways.renew_every", self.renew_every, &(SECOND..=10 * MINUTE));
        check.within("gateways.questions", &self.questions, &(1..=1_000_000));
        check.within("gateways.answers", &self.answers, &(1..=1_000));
        check.within("gateways.groups_of_device", &self.groups_of_device, &(100..=100_000));
    }
}

impl SendsConfig {
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.within("sends.writers", &self.writers, &(1..=16));
        check.lasts("sends.collect", self.collect, &(Duration::ZERO..=100 * MS));
        check.within("sends.messages", &self.messages, &(1..=5_000));
        let bytes = self.bytes.0;
        check.within("sends.bytes", &bytes, &(MAX_GROUP_MESSAGE_BYTES..=64 * KIB * KIB));
        check.within("sends.waiting", &self.waiting, &(1..=65_536));
        check.lasts("sends.timeout", self.timeout, &(SECOND..=2 * MINUTE));
    }
}

impl RosterConfig {
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.within("roster.devices", &self.devices, &(10_000..=100_000_000));
    }
}

impl AcksConfig {
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.lasts("acks.every", self.every, &(10 * MS..=MINUTE));
        check.within("acks.rows", &self.rows, &(1..=10_000));
        check.within("acks.waiting", &self.waiting, &(100..=10_000_000));
        check.within("acks.per_device", &self.per_device, &(1..=100_000));
    }
}

impl LogConfig {
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.within("log.page_bytes", &self.page_bytes.0, &(64 * KIB..=16 * KIB * KIB));
        check.within("log.reads_at_once", &self.reads_at_once, &(1..=1_000));
        check.lasts("log.retention", self.retention, &(HOUR..=3_650 * DAY));
        check.lasts("log.expire_every", self.expire_every, &(SECOND..=DAY));
        check.within("log.expire_rows", &self.expire_rows, &(1..=10_000));
    }
}

impl SweepConfig {
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.lasts("sweep.every", self.every, &(SECOND..=7 * DAY));
        check.within("sweep.accounts", &self.accounts, &(1..=500));
        check.within("sweep.waiting", &self.waiting, &(100..=1_000_000));
    }
}

#[cfg(test)]
mod tests {
    use sotto_kit::config::Validate as _;

    use super::{super::DEFAULTS, *};
    use crate::config::GroupsConfig;

    #[derive(Deserialize)]
    struct File {
        groups: GroupsConfig,
    }

    #[test]
    fn every_bound_of_delivery_is_watched() {
        let mut config = toml::from_str::<File>(DEFAULTS).unwrap().groups;
        let (never, nothing) = (Duration::ZERO, ByteSize(0));
        config.gateways = GatewaysConfig {
            credit: 0,
            leave_timeout: never,
            batch_items: 0,
            batch_bytes: nothing,
            pause: SECOND,
            watches: 0,
            publications: 0,
            publication_bytes: nothing,
            largest_publication: nothing,
            stale_bytes: nothing,
            renew_every: never,
            questions: 0,
            answers: 0,
            groups_of_device: 0,
        };
        config.sends = SendsConfig {
            writers: 0,
            collect: SECOND,
            messages: 0,
            bytes: nothing,
            waiting: 0,
            timeout: never,
        };
        config.roster.devices = 0;
        config.acks = AcksConfig { every: never, rows: 0, waiting: 0, per_device: 0 };
        config.log = LogConfig {
            page_bytes: nothing,
            reads_at_once: 0,
            retention: never,
            expire_every: never,
            expire_rows: 0,
        };
        config.sweep = SweepConfig { every: never, accounts: 0, waiting: 0 };
        let mut problems = Vec::new();

        config.validate(&mut problems);

        assert_eq!(problems.len(), 14 + 6 + 1 + 4 + 5 + 3, "{problems:?}");
    }
}
