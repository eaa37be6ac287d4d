//! The section `[gateway]`. `config.default.toml` of this crate holds the defaults
//! and says what each setting means.

mod groups;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_ids::limits::MAX_FRAME_BYTES;
use sotto_kit::config::{ByteSize, Validate, require};

pub use self::groups::GroupsConfig;

/// The defaults, as TOML with the section `[gateway]`.
pub const DEFAULT_CONFIG: &str = include_str!("../config.default.toml");

/// The section `[gateway]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Sockets of one process.
    pub max_sockets: usize,
    /// Bytes of unfinished frames, over all sockets.
    pub max_partial_bytes: ByteSize,
    /// The largest frame before a device has shown who it is.
    pub max_unauthenticated_frame: ByteSize,
    /// Which upgrades are let in.
    pub admission: AdmissionConfig,
    /// What a device may show instead of a token on its next socket.
    pub resume: ResumeConfig,
    /// What holds for one socket.
    pub session: SessionConfig,
    /// What may wait for one socket.
    pub mailbox: MailboxConfig,
    /// Where devices are, as Redis has it.
    pub places: PlacesConfig,
    /// The streams to the replicas of messages and of groups.
    pub links: LinksConfig,
    /// Reading queues again after hints may have been lost.
    pub resync: ResyncConfig,
    /// Groups, and what is published in them.
    pub groups: GroupsConfig,
    /// The end of the process.
    pub drain: DrainConfig,
    /// Requests that wait for envelopes.
    pub poll: PollConfig,
}

/// The section `[gateway.poll]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollConfig {
    /// How long one may wait.
    #[serde(with = "humantime_serde")]
    pub max_wait: Duration,
}

/// The section `[gateway.admission]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmissionConfig {
    /// Upgrades a second, in the long run.
    pub rate: u32,
    /// Upgrades at once, after a while without any.
    pub burst: u32,
    /// Sockets that have shown a token and wait for their first page.
    pub max_opening: usize,
    /// The longest time after which a device that was turned away is told to come back.
    #[serde(with = "humantime_serde")]
    pub retry_after: Duration,
}

/// The section `[gateway.resume]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeConfig {
    /// How long a ticket is good after its socket has ended.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
}

/// The section `[gateway.session]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// How long a socket may stay without showing a token.
    #[serde(with = "humantime_serde")]
    pub auth_timeout: Duration,
    /// How long the verification of a token may take.
    #[serde(with = "humantime_serde")]
    pub verify_timeout: Duration,
    /// How often a silent socket is pinged.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// Envelopes on their way without an Ack; and other ids that may be acknowledged
    /// between two pages.
    pub max_unacked: usize,
    /// Envelopes in one page of a queue.
    pub page: usize,
    /// The wait before a failed page is asked for again.
    #[serde(with = "humantime_serde")]
    pub page_retry: Duration,
    /// How often a queue is read for no reason.
    #[serde(with = "humantime_serde")]
    pub poll_every: Duration,
    /// Sends without an outcome.
    pub max_pending_sends: u32,
    /// How long an envelope may stay without an Ack before it is delivered again.
    #[serde(with = "humantime_serde")]
    pub redeliver_after: Duration,
    /// How often an envelope is delivered again before the socket is closed.
    pub redeliver_times: u32,
    /// Frames a second, in the long run.
    pub frames_per_second: u32,
    /// Frames at once.
    pub frames_burst: u32,
    /// Sends and retractions a second, in the long run.
    pub sends_per_second: u32,
    /// Sends and retractions at once.
    pub sends_burst: u32,
    /// How long a write may wait for the peer.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
}

/// The section `[gateway.mailbox]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxConfig {
    /// Deliveries that wait for one socket.
    pub max_items: usize,
    /// Their bytes.
    pub max_bytes: ByteSize,
}

/// The section `[gateway.places]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacesConfig {
    /// How often every place is renewed.
    #[serde(with = "humantime_serde")]
    pub audit_every: Duration,
    /// Places in one round trip.
    pub audit_batch: usize,
    /// The pause between two round trips.
    #[serde(with = "humantime_serde")]
    pub audit_pause: Duration,
    /// How long a new socket waits for Redis.
    #[serde(with = "humantime_serde")]
    pub patience: Duration,
}

/// The section `[gateway.links]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinksConfig {
    /// How often addresses are resolved.
    #[serde(with = "humantime_serde")]
    pub resolve_every: Duration,
    /// How long attaching may take.
    #[serde(with = "humantime_serde")]
    pub attach_timeout: Duration,
    /// The first pause before a lost link is tried again.
    #[serde(with = "humantime_serde")]
    pub backoff_min: Duration,
    /// The longest pause before a lost link is tried again.
    #[serde(with = "humantime_serde")]
    pub backoff_max: Duration,
    /// What waits to be sent up one link.
    pub queue: usize,
    /// Items in one batch.
    pub batch_items: usize,
    /// Bytes in one batch.
    pub batch_bytes: ByteSize,
    /// The pause after a batch.
    #[serde(with = "humantime_serde")]
    pub batch_pause: Duration,
    /// How long a replica may owe an answer. Above what it may take to fail.
    #[serde(with = "humantime_serde")]
    pub answer_timeout: Duration,
}

/// The section `[gateway.resync]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResyncConfig {
    /// Sockets at once.
    pub batch: usize,
    /// The pause between two batches.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
    /// The wait after the loss of a link.
    #[serde(with = "humantime_serde")]
    pub delay: Duration,
}

/// The section `[gateway.drain]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainConfig {
    /// The time over which sockets are closed.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// The pause between two batches of closes.
    #[serde(with = "humantime_serde")]
    pub batch_every: Duration,
    /// The least number of sockets in a batch.
    pub min_batch: usize,
    /// The longest time after which a device is told to come back.
    #[serde(with = "humantime_serde")]
    pub reconnect_within: Duration,
}

impl Validate for GatewayConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let mut check = Check(problems);
        check.number("max_sockets", self.max_sockets, 1, 200_000);
        check.size("max_partial_bytes", self.max_partial_bytes, MIB, 4096 * MIB);

        let unauthenticated = self.max_unauthenticated_frame;
        check.size("max_unauthenticated_frame", unauthenticated, 4 << 10, MAX_FRAME_BYTES);

        let admission = &self.admission;
        check.count("admission.rate", admission.rate, 1, 100_000);
        check.count("admission.burst", admission.burst, 1, 100_000);
        check.number("admission.max_opening", admission.max_opening, 1, 200_000);
        check.time("admission.retry_after", admission.retry_after, SECOND, 300 * SECOND);

        check.time("resume.ttl", self.resume.ttl, Duration::ZERO, 600 * SECOND);

        let session = &self.session;
        check.time("session.auth_timeout", session.auth_timeout, SECOND, 60 * SECOND);
        check.time("session.verify_timeout", session.verify_timeout, 100 * MS, 30 * SECOND);
        check.time("session.heartbeat", session.heartbeat, SECOND, 300 * SECOND);
        check.number("session.max_unacked", session.max_unacked, 2, 1024);
        check.number("session.page", session.page, 1, 1000);
        check.time("session.page_retry", session.page_retry, 100 * MS, 60 * SECOND);
        check.time("session.poll_every", session.poll_every, 10 * SECOND, DAY);
        check.count("session.max_pending_sends", session.max_pending_sends, 1, 1024);
        let (after, least) = (session.redeliver_after, 5 * SECOND);
        check.time("session.redeliver_after", after, least, 3600 * SECOND);
        check.count("session.redeliver_times", session.redeliver_times, 0, 100);
        check.count("session.frames_per_second", session.frames_per_second, 1, 100_000);
        check.count("session.frames_burst", session.frames_burst, 1, 100_000);
        check.count("session.sends_per_second", session.sends_per_second, 1, 100_000);
        check.count("session.sends_burst", session.sends_burst, 1, 100_000);
        check.time("session.write_timeout", session.write_timeout, SECOND, 120 * SECOND);

        check.number("mailbox.max_items", self.mailbox.max_items, 1, 4096);
        check.size("mailbox.max_bytes", self.mailbox.max_bytes, 4 << 10, MIB);

        let places = &self.places;
        check.time("places.audit_every", places.audit_every, SECOND, 3600 * SECOND);
        check.number("places.audit_batch", places.audit_batch, 1, 5000);
        check.time("places.audit_pause", places.audit_pause, Duration::ZERO, 10 * SECOND);
        check.time("places.patience", places.patience, 10 * MS, 10 * SECOND);

        let links = &self.links;
        check.time("links.resolve_every", links.resolve_every, 100 * MS, 300 * SECOND);
        check.time("links.attach_timeout", links.attach_timeout, 100 * MS, 60 * SECOND);
        check.time("links.backoff_min", links.backoff_min, 10 * MS, links.backoff_max);
        check.time("links.backoff_max", links.backoff_max, links.backoff_min, 60 * SECOND);
        check.number("links.queue", links.queue, 1, 100_000);
        check.number("links.batch_items", links.batch_items, 1, 4096);
        check.size("links.batch_bytes", links.batch_bytes, MAX_FRAME_BYTES / 2, 16 * MIB);
        check.time("links.batch_pause", links.batch_pause, Duration::ZERO, 100 * MS);
        check.time("links.answer_timeout", links.answer_timeout, SECOND, 300 * SECOND);

        check.number("resync.batch", self.resync.batch, 1, 10_000);
        check.time("resync.pause", self.resync.pause, Duration::ZERO, 10 * SECOND);
        check.time("resync.delay", self.resync.delay, Duration::ZERO, 60 * SECOND);

        self.groups.check(&mut check);

        check.time("drain.window", self.drain.window, Duration::ZERO, 600 * SECOND);
        check.time("drain.batch_every", self.drain.batch_every, 10 * MS, 10 * SECOND);
        check.number("drain.min_batch", self.drain.min_batch, 1, 10_000);
        check.time("poll.max_wait", self.poll.max_wait, SECOND, 300 * SECOND);
        let within = self.drain.reconnect_within;
        check.time("drain.reconnect_within", within, Duration::ZERO, 600 * SECOND);
    }
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const MIB: usize = 1 << 20;

struct Check<'a>(&'a mut Vec<String>);

impl Check<'_> {
    fn that(&mut self, ok: bool, name: &str, bounds: impl FnOnce() -> String) {
        require(self.0, ok, || format!("gateway.{name}: must be between {}", bounds()));
    }

    fn number(&mut self, name: &str, value: usize, least: usize, most: usize) {
        self.that((least..=most).contains(&value), name, || format!("{least} and {most}"));
    }

    fn count(&mut self, name: &str, value: u32, least: u32, most: u32) {
        self.that((least..=most).contains(&value), name, || format!("{least} and {most}"));
    }

    fn size(&mut self, name: &str, value: ByteSize, least: usize, most: usize) {
        self.that((least..=most).contains(&value.0), name, || {
            format!("{} and {}", ByteSize(least), ByteSize(most))
        });
    }

    fn time(&mut self, name: &str, value: Duration, least: Duration, most: Duration) {
        self.that((least..=most).contains(&value), name, || format!("{least:?} and {most:?}"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        gateway: GatewayConfig,
    }

    impl Validate for File {
        fn validate(&self, problems: &mut Vec<String>) {
            self.gateway.validate(problems);
        }
    }

    /// The defaults, as tests start from them.
    pub(crate) fn defaults() -> GatewayConfig {
        sotto_kit::config::load::<File>(DEFAULT_CONFIG, &[]).unwrap().gateway
    }

    #[test]
    fn the_defaults_are_within_their_bounds() {
        assert_eq!(defaults().session.max_unacked, 128);
    }

    #[test]
    fn a_link_outlives_what_a_replica_may_take_to_fail() {
        let text = include_str!("../../messages/config.default.toml");
        let messages = toml::from_str::<toml::Table>(text).unwrap()["messages"].clone();
        let time = |value: &toml::Value| {
            humantime_serde::re::humantime::parse_duration(value.as_str().unwrap()).unwrap()
        };

        let fails_after =
            time(&messages["store_timeout"]) + 2 * time(&messages["device_sets"]["timeout"]);

        assert!(defaults().links.answer_timeout >= 2 * fails_after);
    }

    #[test]
    fn every_problem_is_named() {
        let mut config = defaults();
        config.session.max_unacked = 1;
        config.places.audit_batch = 0;
        config.mailbox.max_bytes = ByteSize(1);

        let mut problems = Vec::new();
        config.validate(&mut problems);

        let names: Vec<_> = problems.iter().filter_map(|text| text.split(':').next()).collect();
        assert_eq!(
            names,
            [
                "gateway.session.max_unacked",
                "gateway.mailbox.max_bytes",
                "gateway.places.audit_batch"
            ]
        );
    }
}
