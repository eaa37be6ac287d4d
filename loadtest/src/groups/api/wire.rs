//! Bodies of answers.

use std::time::Duration;

use prost::Message as _;
use reqwest::StatusCode;
use serde::{Deserialize, Deserializer, de};
use sotto_ids::{AccountId, Base64Bytes, GroupId};
use sotto_proto::socket::GroupEntry;

use super::{Moved, Package, Refused};

#[derive(Deserialize)]
pub(super) struct ExternalSender {
    pub(super) signature_key: Base64Bytes,
}

/// Where a commit has led.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Head {
    /// The epoch that it began.
    pub epoch: u64,
    /// Its place in the log.
    pub seq: u64,
}

#[derive(Deserialize)]
pub(super) struct Accepted {
    pub(super) seq: u64,
}

#[derive(Deserialize)]
pub(super) struct Info {
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

#[derive(Deserialize)]
pub(super) struct Welcomes {
    pub(super) welcomes: Vec<Welcome>,
}

/// A Welcome, cut to its device.
#[derive(Debug, Deserialize)]
pub struct Welcome {
    /// The group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// How often it was reset.
    pub generation: u32,
    /// The epoch that it leads into.
    pub epoch: u64,
    /// The entry that began it.
    pub seq: u64,
    /// An MLSMessage.
    pub welcome: Base64Bytes,
}

fn group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GroupId, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

#[derive(Deserialize)]
pub(super) struct Claimed {
    accounts: Vec<ClaimedAccount>,
}

#[derive(Deserialize)]
struct ClaimedAccount {
    account_id: Option<AccountId>,
    devices: Vec<ClaimedDevice>,
}

#[derive(Deserialize)]
struct ClaimedDevice {
    key_package: Base64Bytes,
}

impl Claimed {
    pub(super) fn into_packages(self) -> Vec<Package> {
        let of = |account: ClaimedAccount| {
            let id = account.account_id;
            account.devices.into_iter().filter_map(move |device| {
                Some(Package { account: id?, bytes: device.key_package.0 })
            })
        };
        self.accounts.into_iter().flat_map(of).collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    reason: String,
    detail: String,
    retry_after_ms: Option<u64>,
    epoch: Option<u64>,
    entries: Option<Vec<Base64Bytes>>,
    more: bool,
}

impl Problem {
    pub(super) fn into_refused(self, status: StatusCode) -> Refused {
        let Self { reason, detail, retry_after_ms, epoch, entries, more } = self;
        let moved = entries.zip(epoch).map(|(entries, epoch)| {
            let decoded: Result<Vec<_>, _> =
                entries.iter().map(|bytes| GroupEntry::decode(bytes.0.as_slice())).collect();
            // What cannot be read is read from the log.
            let (entries, more) = decoded.map_or((Vec::new(), true), |entries| (entries, more));
            Moved { reason: reason.clone(), epoch, entries, more }
        });
        let retry_after = retry_after_ms.map(Duration::from_millis);
        Refused { status, reason, detail, retry_after, moved }
    }
}
