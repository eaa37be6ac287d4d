use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use url::Url;
use zeroize::Zeroizing;

use crate::{Clock, SystemClock};

/// The key of the local store: 32 random bytes that the app keeps in the
/// platform's keychain. Without it the store cannot be read; there is no way
/// round.
#[derive(Clone)]
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// Takes the 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// Where a client finds its server and its store.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The domain of the home server: what accounts are made under, and what
    /// login proofs are bound to.
    pub domain: String,
    /// Base of the REST API, such as `https://lumen.chat/`.
    pub rest: Url,
    /// Sockets of the gateway, such as `wss://lumen.chat/v1/socket`. More than
    /// one are tried in turn. At least one.
    pub sockets: Vec<Url>,
    /// Base of the REST API by which messages go where no socket opens. By default it is
    /// the one beside the socket that would be tried, at the same host.
    pub messages: Option<Url>,
    /// The file of the local store; made when it is not there. One process at a
    /// time may have it open.
    pub store_path: PathBuf,
    /// What the store is encrypted with.
    pub store_key: StoreKey,
    /// Bounds and paces.
    pub tuning: Tuning,
    /// Which way to the server is taken.
    pub transport: Transport,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

impl ClientConfig {
    /// A configuration with every setting at its default.
    pub fn new(
        domain: impl Into<String>,
        rest: Url,
        sockets: Vec<Url>,
        store_path: impl Into<PathBuf>,
        store_key: StoreKey,
    ) -> Self {
        Self {
            domain: domain.into(),
            rest,
            sockets,
            messages: None,
            store_path: store_path.into(),
            store_key,
            tuning: Tuning::default(),
            transport: Transport::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// What becomes of messages to somebody whose account key is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnIdentityChange {
    /// They wait in the outbox until the person agrees to the new key.
    #[default]
    Hold,
    /// They are sent; [`crate::Event::IdentityChanged`] is all that happens.
    Warn,
}

/// Which way a client takes to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transport {
    /// The socket, and REST while the socket cannot be opened.
    #[default]
    Auto,
    /// The socket alone.
    Socket,
    /// REST alone.
    Rest,
}

/// Bounds and paces of a client. The defaults suit a person's device.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Jobs that may wait for the vault thread before callers are held up.
    pub vault_queue: usize,
    /// Jobs that share one commit at most.
    pub vault_batch: usize,
    /// Sends on their way without an answer.
    pub send_window: usize,
    /// How long a message waits for one that was sent before it and has not come.
    pub hold: Duration,
    /// How much longer it waits while there is no live connection on which the
    /// missing one could come.
    pub hold_offline: Duration,
    /// Messages of one device that wait behind a hole; one more, and the oldest
    /// are shown.
    pub hold_max: usize,
    /// Envelopes that are decrypted in one transaction.
    pub receive_batch: usize,
    /// An acknowledgement waits this long for others to go with it.
    pub ack_delay: Duration,
    /// So many acknowledgements go at once. At most 256.
    pub ack_batch: usize,
    /// Shortest wait before a new attempt at anything that failed.
    pub retry_min: Duration,
    /// Longest wait before a new attempt.
    pub retry_max: Duration,
    /// Longest wait that a server may ask for before a new attempt; it is believed up
    /// to here.
    pub retry_after_max: Duration,
    /// With [`Transport::Auto`]: so many sockets in a row do not open before REST is
    /// used instead. At least 1.
    pub rest_after: u32,
    /// How long REST is used before a socket is tried again.
    pub rest_for: Duration,
    /// How long a request for new messages waits for one. At most 25 seconds.
    pub poll_wait: Duration,
    /// How long one REST request may take.
    pub request_timeout: Duration,
    /// How long a socket may take to open and say Hello.
    pub connect_timeout: Duration,
    /// A token is renewed this long before it ends.
    pub token_margin: Duration,
    /// One-time prekeys of each kind that are kept on the server. At most 200.
    pub prekey_target: u32,
    /// Below this many the stock is filled up.
    pub prekey_low: u32,
    /// Age at which the signed prekey and the last-resort key are replaced.
    pub prekey_rotation: Duration,
    /// How long a replaced one is kept for messages still under way.
    pub prekey_retention: Duration,
    /// Private one-time prekeys of each kind that are kept; the oldest go first.
    pub prekey_max_private: u32,
    /// One-time KeyPackages that are kept on the server. At most 200.
    pub key_package_target: u32,
    /// Below this many the stock is filled up.
    pub key_package_low: u32,
    /// How often a change of a group is made again since another member was faster.
    pub group_attempts: u32,
    /// Shortest wait before it is.
    pub group_retry_min: Duration,
    /// Longest wait before it is.
    pub group_retry_max: Duration,
    /// How often it is asked what is new in groups where messages go by requests.
    pub group_poll: Duration,
    /// Shortest wait before another look for the KeyPackages of a new device of one's own.
    pub own_device_retry: Duration,
    /// How long the ids of handled envelopes are remembered. Longer than the
    /// server's longest TTL.
    pub seen_retention: Duration,
    /// A session that a message could not be read with is replaced at the next
    /// send, but not more often than this.
    pub session_reset: Duration,
    /// What becomes of messages to somebody whose account key is another one.
    pub on_identity_change: OnIdentityChange,
    /// How often the prekeys at the server are compared with those here, by a digest.
    pub prekey_check: Duration,
    /// How often a device that waits for its approval looks whether it came.
    pub approval_poll: Duration,
    /// How long a device link is waited for. Not longer than the server keeps its
    /// mailbox, which is two minutes.
    pub link_time: Duration,
    /// A receipt waits at least so long after what it tells of.
    pub receipt_delay_min: Duration,
    /// And at most so long; which time it is, chance decides. Receipts to one account
    /// go together.
    ///
    /// The server sees in any case who writes to whom and when, so that longer waits
    /// would hide little from it. Where it does not see who writes, take 5 seconds to
    /// 10 minutes, and leave read receipts off unless asked for.
    pub receipt_delay_max: Duration,
    /// How often a connected device tells those who may see it that it is here. What
    /// others say of themselves holds for twice as long.
    pub presence_heartbeat: Duration,
    /// Copies of a message that deletes itself wait at the server for so long, or for
    /// as long as its timer runs where that is longer.
    pub expiring_queue_ttl: Duration,
    /// Events that wait for a slow reader before it misses some.
    pub event_buffer: usize,
    /// Bytes that a socket reads at a time.
    pub read_buffer: usize,
    /// Bytes of the largest frame taken from the server.
    pub max_frame: usize,
}

impl Tuning {
    /// How long to wait where the server said so, and not for ever.
    pub(crate) fn believed(&self, retry_after: Option<Duration>) -> Duration {
        retry_after.unwrap_or_default().min(self.retry_after_max)
    }
}

impl Default for Tuning {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            vault_queue: 256,
            vault_batch: 64,
            send_window: 64,
            hold: Duration::from_secs(5),
            hold_offline: Duration::from_mins(1),
            hold_max: 1_000,
            receive_batch: 128,
            ack_delay: Duration::from_millis(50),
            ack_batch: 16,
            retry_min: Duration::from_millis(200),
            retry_max: Duration::from_secs(30),
            retry_after_max: Duration::from_mins(15),
            rest_after: 3,
            rest_for: Duration::from_mins(1),
            poll_wait: Duration::from_secs(25),
            request_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            token_margin: Duration::from_mins(1),
            prekey_target: 100,
            prekey_low: 25,
            prekey_rotation: 7 * DAY,
            prekey_retention: 45 * DAY,
            prekey_max_private: 1_000,
            key_package_target: 50,
            key_package_low: 15,
            group_attempts: 40,
            group_retry_min: Duration::from_millis(50),
            group_retry_max: Duration::from_secs(2),
            group_poll: Duration::from_secs(5),
            own_device_retry: Duration::from_secs(1),
            seen_retention: 60 * DAY,
            session_reset: Duration::from_hours(1),
            on_identity_change: OnIdentityChange::default(),
            prekey_check: DAY,
            approval_poll: Duration::from_secs(3),
            link_time: Duration::from_mins(2),
            receipt_delay_min: Duration::from_secs(1),
            receipt_delay_max: Duration::from_secs(5),
            presence_heartbeat: Duration::from_mins(1),
            expiring_queue_ttl: DAY,
            event_buffer: 1_024,
            read_buffer: 4 * 1024,
            max_frame: 1024 * 1024,
        }
    }
}
