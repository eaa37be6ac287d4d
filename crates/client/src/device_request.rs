use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sotto_identity::{Body, Op, decode_op};
use sotto_ids::{AccountId, DeviceId};

use crate::ClientError;

const PREFIX: &str = "sotto-device:";

/// A new device's request to be added to an account: the whole op, signed by each
/// of the device's keys, that only waits for the account key's signature.
///
/// Its text form is carried to an admin device: copied, scanned or sent.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    payload: Vec<u8>,
    account: AccountId,
    device: DeviceId,
}

impl DeviceRequest {
    /// Takes an op that adds a device.
    pub(crate) fn of(payload: Vec<u8>) -> Result<Self, ClientError> {
        let op = decode_op(&payload).map_err(|_| ClientError::MalformedRequest)?;
        let Op { account_id, body: Some(Body::AddDevice(added)), .. } = op else {
            return Err(ClientError::MalformedRequest);
        };
        Ok(Self {
            payload,
            account: AccountId::try_from(account_id.as_slice())
                .map_err(|_| ClientError::MalformedRequest)?,
            device: DeviceId::try_from(added.device_id)
                .map_err(|_| ClientError::MalformedRequest)?,
        })
    }

    /// The account that the device asks to be added to.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The number that the device would have.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(&self.payload))
    }
}

impl FromStr for DeviceRequest {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(ClientError::MalformedRequest)?;
        Self::of(STANDARD.decode(encoded).map_err(|_| ClientError::MalformedRequest)?)
    }
}

impl fmt::Debug for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceRequest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_refused() {
        for wrong in ["", "hello", "sotto-device:", "sotto-device:!!!", "sotto-device:AAAA"] {
            let refused = wrong.parse::<DeviceRequest>().unwrap_err();
            assert_eq!(refused.reason(), "malformed_request", "{wrong}");
        }
    }
}
