//! libsignal over the vault: keys, sessions, encryption and decryption.
//!
//! All of it runs in a job of the vault, within the job's transaction. Our stores
//! answer at once, so libsignal's futures never wait and need no runtime.

pub(crate) mod bundle;
pub(crate) mod decrypt;
pub(crate) mod encrypt;
pub(crate) mod keys;
mod stores;

use futures_util::FutureExt as _;
use libsignal_protocol::{ProtocolAddress, PublicKey, SignalProtocolError};
use sotto_identity::keys::is_low_order;
use sotto_ids::{AccountUuid, DeviceAddress, DeviceId};
use uuid::Uuid;

use crate::{ClientError, Distrust};

/// Takes the result of a future that cannot wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the stores answer at once")
}

/// libsignal's name of a device.
fn protocol_address(device: DeviceAddress) -> ProtocolAddress {
    let id = libsignal_protocol::DeviceId::new(device.device.as_u8())
        .expect("both have device ids from 1 to 127");
    ProtocolAddress::new(device.account.to_string(), id)
}

/// The device that libsignal names so.
fn device_address(address: &ProtocolAddress) -> Option<DeviceAddress> {
    let uuid = Uuid::parse_str(address.name()).ok()?;
    let device = DeviceId::try_from(u32::from(address.device_id())).ok()?;
    Some(DeviceAddress::new(AccountUuid::from_stored(uuid), device))
}

/// libsignal takes any X25519 key; an agreement with some of them is no secret.
fn refuse_low_order(key: &PublicKey) -> Result<(), Distrust> {
    match key.public_key_bytes().try_into() {
        Ok(bytes) if !is_low_order(bytes) => Ok(()),
        _ => Err(Distrust::LowOrderKey),
    }
}

/// A stable word for a failure of libsignal's. Its own texts have addresses in
/// them.
fn word(error: &SignalProtocolError) -> &'static str {
    use SignalProtocolError as E;
    match error {
        E::UntrustedIdentity(_) => "identity_mismatch",
        E::SignatureValidationFailed => "bad_prekey_signature",
        E::SessionNotFound(_) => "session_not_found",
        E::InvalidPreKeyId | E::InvalidSignedPreKeyId | E::InvalidKyberPreKeyId => {
            "prekey_not_found"
        }
        E::InvalidMessage(..) | E::InvalidMacKeyLength(_) => "decryption_failed",
        E::LegacyCiphertextVersion(_)
        | E::UnrecognizedCiphertextVersion(_)
        | E::UnrecognizedMessageVersion(_) => "unknown_ciphertext_version",
        E::InvalidSessionStructure(_) | E::InvalidState(..) => "session_broken",
        E::InvalidProtobufEncoding
        | E::CiphertextMessageTooShort(_)
        | E::NoKeyTypeIdentifier
        | E::BadKeyType(_)
        | E::BadKeyLength(..)
        | E::BadKEMKeyType(_)
        | E::WrongKEMKeyType(..)
        | E::BadKEMKeyLength(..)
        | E::BadKEMCiphertextLength(..) => "malformed_ciphertext",
        _ => "protocol",
    }
}

/// A failure of libsignal's that no input explains.
fn failed(error: &SignalProtocolError) -> ClientError {
    ClientError::Crypto(word(error))
}
