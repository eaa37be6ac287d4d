//! What the client shows of accounts: plain data, already verified.

use std::{fmt, str::FromStr};

use sotto_ids::{AccountId, AccountUuid, DeviceId, Handle};

use crate::ClientError;

/// The account and device of a store.
#[derive(Clone, Debug)]
pub struct Me {
    /// The account.
    pub account: AccountId,
    /// Its short name, as the server's queues have it.
    pub uuid: AccountUuid,
    /// This device. For a device that is not approved yet, the number it asked
    /// for.
    pub device: DeviceId,
    /// The handle that the chain claims.
    pub handle: Option<Handle>,
    /// Whether this device holds the account key.
    pub admin: bool,
    /// How far the device is.
    pub phase: Phase,
}

/// How far a device is on its way to being used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Keys are made; the account may not be at the server yet.
    Made,
    /// Asked to be added to an account, and waits to be approved.
    Requested,
    /// In the chain; its prekeys may not be at the server yet.
    Certified,
    /// Ready to send and receive.
    Ready,
}

/// An account that is known and pinned.
#[derive(Clone, Debug)]
pub struct Contact {
    /// The account.
    pub account: AccountId,
    /// Its short name, as the server's queues have it.
    pub uuid: AccountUuid,
    /// The handle that its chain claims.
    pub handle: Option<Handle>,
    /// Devices that messages to it are encrypted for.
    pub live_devices: Vec<DeviceId>,
    /// Two chains of it contradict each other; nothing is sent to it.
    pub frozen: bool,
    /// Its account key is another one since the person last agreed to it: see
    /// [`crate::Client::accept_identity`].
    pub key_changed: bool,
}

/// How a person names an account: by handle, with or without `@`, or by id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerName {
    /// A handle at the home server.
    Handle(Handle),
    /// An account id.
    Account(AccountId),
}

impl FromStr for PeerName {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        if text.starts_with("acct:") {
            return text.parse().map(Self::Account).map_err(|_| ClientError::MalformedName);
        }
        text.strip_prefix('@')
            .unwrap_or(text)
            .parse()
            .map(Self::Handle)
            .map_err(|_| ClientError::MalformedName)
    }
}

impl From<AccountId> for PeerName {
    fn from(account: AccountId) -> Self {
        Self::Account(account)
    }
}

impl From<Handle> for PeerName {
    fn from(handle: Handle) -> Self {
        Self::Handle(handle)
    }
}

/// A handle as people tell it to each other: `alice`, `@alice`, or with its home,
/// `alice@chat.example`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicName {
    /// The handle.
    pub handle: Handle,
    /// The domain of its home server in lower case; without it, that of one's own.
    pub domain: Option<String>,
}

/// Bytes of the longest domain, as in DNS.
const MAX_DOMAIN: usize = 253;

impl FromStr for PublicName {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let text = text.strip_prefix('@').unwrap_or(text);
        let (handle, domain) = match text.split_once('@') {
            Some((handle, domain)) => (handle, Some(domain)),
            None => (text, None),
        };
        let is_domain = |domain: &str| {
            (1..=MAX_DOMAIN).contains(&domain.len())
                && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
        };
        if !domain.is_none_or(is_domain) {
            return Err(ClientError::MalformedName);
        }
        Ok(Self {
            handle: handle.parse().map_err(|_| ClientError::MalformedName)?,
            domain: domain.map(str::to_ascii_lowercase),
        })
    }
}

impl fmt::Debug for PublicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicName(..)")
    }
}

impl From<Handle> for PublicName {
    fn from(handle: Handle) -> Self {
        Self { handle, domain: None }
    }
}

/// A verified chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Whose it is.
    pub account: AccountId,
    /// Number of its newest op, from 0.
    pub seq: u64,
    /// Link hash of its newest op.
    pub head: [u8; 32],
    /// The account key that holds now.
    pub account_key: [u8; 32],
    /// The handle that it claims.
    pub handle: Option<Handle>,
    /// The home server that it names.
    pub home: String,
    /// All devices that it ever had, by number.
    pub devices: Vec<ChainDevice>,
    /// Its ops, in order.
    pub ops: Vec<ChainOp>,
}

/// A device as a chain has it.
#[derive(Clone, Debug)]
pub struct ChainDevice {
    /// Its number.
    pub id: DeviceId,
    /// Its libsignal identity key: 0x05 and 32 bytes.
    pub identity_key: [u8; 33],
    /// Whether it holds the account key.
    pub admin: bool,
    /// The op that revoked it, if one did.
    pub revoked_at_seq: Option<u64>,
}

/// An op as a chain has it.
#[derive(Clone, Debug)]
pub struct ChainOp {
    /// Its number.
    pub seq: u64,
    /// What it does, as the format names it: `genesis`, `add_device`, ...
    pub kind: &'static str,
    /// The writer's clock, milliseconds since 1970. For people only.
    pub ts_ms: u64,
    /// Its link hash.
    pub hash: [u8; 32],
}

/// The stock of a device's prekeys at the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrekeyCount {
    /// One-time EC prekeys.
    pub one_time_ec: u32,
    /// One-time Kyber prekeys.
    pub one_time_kyber: u32,
}
