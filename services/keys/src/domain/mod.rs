//! Rules without I/O.

pub(crate) mod account_ref;
pub(crate) mod changes;
pub(crate) mod invite;
pub(crate) mod key_package;
pub(crate) mod key_package_upload;
pub(crate) mod mailbox;
pub(crate) mod op_rate;
pub(crate) mod prekey;
pub(crate) mod public_name;
pub(crate) mod recovery;
pub(crate) mod registration;
pub(crate) mod reserved;
pub(crate) mod upload;

use sotto_identity::LinkHash;

/// The newest op of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number; genesis is 0.
    pub seq: u64,
    /// Its link hash.
    pub hash: LinkHash,
}

/// A number of ours as a Postgres `bigint`. Sequence numbers end at 2,000 and times
/// at the year 292 million, so nothing is lost.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A `bigint` of ours, of which none is negative.
pub(crate) fn from_bigint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
