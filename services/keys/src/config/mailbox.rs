use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_kit::config::{Validate, require};

/// The section `[keys.mailbox]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxConfig {
    /// How long a mailbox for linking a device is there. Between 10s and 10m.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// The longest that a request waits for the other device. Between 1s and 60s, and
    /// shorter than `http.request_timeout`.
    #[serde(with = "humantime_serde")]
    pub longest_wait: Duration,
    /// How often a request that waits looks by itself, should word of a message be
    /// lost. Between 100ms and 1m.
    #[serde(with = "humantime_serde")]
    pub look_every: Duration,
    /// Requests of one process that may wait at the same time. Between 1 and 100000.
    pub most_waiting: u32,
}

impl Validate for MailboxConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let mut within = |ok: bool, name: &str, bounds: &str| {
            require(problems, ok, || format!("keys.mailbox.{name}: must be {bounds}"));
        };
        let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
        within((seconds(10)..=seconds(600)).contains(&self.ttl), "ttl", "between 10s and 10m");
        within(
            (seconds(1)..=seconds(60)).contains(&self.longest_wait),
            "longest_wait",
            "between 1s and 60s",
        );
        within(
            (millis(100)..=seconds(60)).contains(&self.look_every),
            "look_every",
            "between 100ms and 1m",
        );
        within((1..=100_000).contains(&self.most_waiting), "most_waiting", "between 1 and 100000");
    }
}
