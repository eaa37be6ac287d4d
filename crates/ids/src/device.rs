use std::fmt;

use serde::{Deserialize, Serialize};

use crate::AccountUuid;

/// A device within its account: 1 to 127, libsignal's range, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct DeviceId(u8);

/// The number is no device id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device id is a number from 1 to 127")]
pub struct MalformedDeviceId;

impl DeviceId {
    /// The device that every account begins with.
    pub const FIRST: Self = Self(1);

    /// As libsignal has it.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// As a Postgres `smallint`.
    pub fn as_i16(self) -> i16 {
        i16::from(self.0)
    }
}

impl TryFrom<u32> for DeviceId {
    type Error = MalformedDeviceId;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        match u8::try_from(number) {
            Ok(number @ 1..=127) => Ok(Self(number)),
            _ => Err(MalformedDeviceId),
        }
    }
}

impl TryFrom<i16> for DeviceId {
    type Error = MalformedDeviceId;

    fn try_from(number: i16) -> Result<Self, Self::Error> {
        u32::try_from(number).map_err(|_| MalformedDeviceId)?.try_into()
    }
}

impl From<DeviceId> for u32 {
    fn from(device: DeviceId) -> Self {
        Self::from(device.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({})", self.0)
    }
}

/// One device of one account: what a queue, a place and a session belong to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeviceAddress {
    /// The account that the device is one of.
    pub account: AccountUuid,
    /// Which of its devices.
    pub device: DeviceId,
}

impl DeviceAddress {
    /// Names a device of an account.
    pub const fn new(account: AccountUuid, device: DeviceId) -> Self {
        Self { account, device }
    }
}

impl fmt::Display for DeviceAddress {
    /// `<account uuid>.<device>`, as Redis keys have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.account, self.device)
    }
}
