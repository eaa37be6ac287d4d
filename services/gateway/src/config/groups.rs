use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Check, DAY, MS, SECOND};

/// The section `[gateway.groups]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsConfig {
    /// Groups that are followed for one socket.
    pub max_groups: usize,
    /// The same over all sockets.
    pub max_subscriptions: usize,
    /// Devices whose groups are asked for at once.
    pub list_at_once: usize,
    /// The wait before they are asked for again where they could not be read.
    #[serde(with = "humantime_serde")]
    pub list_retry: Duration,
    /// How often they are asked for without a reason.
    #[serde(with = "humantime_serde")]
    pub list_every: Duration,
    /// How often the ends of all logs are read.
    #[serde(with = "humantime_serde")]
    pub audit_interval: Duration,
    /// Logs in one question.
    pub audit_batch: usize,
    /// How long an entry may be missing before devices are told.
    #[serde(with = "humantime_serde")]
    pub gap_patience: Duration,
    /// How long a group is followed after its last socket.
    #[serde(with = "humantime_serde")]
    pub unwatch_after: Duration,
}

impl GroupsConfig {
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.number("groups.max_groups", self.max_groups, 1, 10_000);
        check.number("groups.max_subscriptions", self.max_subscriptions, 1_000, 100_000_000);
        check.number("groups.list_at_once", self.list_at_once, 1, 10_000);
        check.time("groups.list_retry", self.list_retry, 100 * MS, 60 * SECOND);
        check.time("groups.list_every", self.list_every, 10 * SECOND, DAY);
        check.time("groups.audit_interval", self.audit_interval, 100 * MS, 300 * SECOND);
        check.number("groups.audit_batch", self.audit_batch, 1, 1_000);
        check.time("groups.gap_patience", self.gap_patience, Duration::ZERO, 10 * SECOND);
        check.time("groups.unwatch_after", self.unwatch_after, Duration::ZERO, 600 * SECOND);
    }
}
