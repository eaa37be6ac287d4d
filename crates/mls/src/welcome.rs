//! Welcomes, cut to what one recipient needs.
//!
//! A Welcome (RFC 9420, 12.4.3.1) carries a secret for each new member and what is the same for
//! all. Its outside is not signed, so that a delivery service can give each new member its own
//! secret and spare it those of the others: 378 bytes in place of 228 KB among 1,500.

use std::collections::BTreeSet;

use sotto_ids::limits::{MAX_ADDS_PER_COMMIT, MAX_WELCOME_BYTES};
use tls_codec::{Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::wire;

/// `mls10` and `mls_welcome` (RFC 9420, 6).
const MLS_10: u16 = 1;
const WIRE_FORMAT: u16 = 3;

#[derive(TlsDeserialize, TlsSerialize, TlsSize)]
struct Message {
    version: u16,
    wire_format: u16,
    cipher_suite: u16,
    secrets: Vec<Secrets>,
    encrypted_group_info: VLBytes,
}

#[derive(Debug, TlsDeserialize, TlsSerialize, TlsSize)]
struct Secrets {
    new_member: VLBytes,
    kem_output: VLBytes,
    ciphertext: VLBytes,
}

/// What one new member needs of a Welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// The reference of the `KeyPackage` with which it was added (RFC 9420, 5.2).
    pub key_package_ref: Vec<u8>,
    /// An `MLSMessage` with a Welcome that has the secret of this member only.
    pub welcome: Vec<u8>,
}

/// The bytes are no Welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WelcomeError {
    /// They are more than the bound, or for more members than one commit may add.
    #[error("the welcome is too large")]
    TooLarge,
    /// They are no `MLSMessage` with a Welcome, or there is more behind it.
    #[error("the welcome cannot be read")]
    Malformed,
    /// Two secrets are for the same `KeyPackage`.
    #[error("the welcome names a member twice")]
    Twice,
}

/// Cuts a Welcome, an `MLSMessage`, for each of the members that it is for, in its order.
///
/// # Errors
///
/// Where it is none, or too large.
pub fn trim(welcome: &[u8]) -> Result<Vec<Trimmed>, WelcomeError> {
    if welcome.len() > MAX_WELCOME_BYTES {
        return Err(WelcomeError::TooLarge);
    }
    let message: Message = wire::exactly(welcome).map_err(|_| WelcomeError::Malformed)?;
    if message.version != MLS_10 || message.wire_format != WIRE_FORMAT {
        return Err(WelcomeError::Malformed);
    }
    if message.secrets.len() > MAX_ADDS_PER_COMMIT {
        return Err(WelcomeError::TooLarge);
    }
    let Message { version, wire_format, cipher_suite, secrets, mut encrypted_group_info } = message;
    let mut seen = BTreeSet::new();
    let mut trimmed = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let key_package_ref = secret.new_member.as_slice().to_vec();
        if !seen.insert(key_package_ref.clone()) {
            return Err(WelcomeError::Twice);
        }
        let one = Message {
            version,
            wire_format,
            cipher_suite,
            secrets: vec![secret],
            encrypted_group_info,
        };
        let welcome = one.tls_serialize_detached().map_err(|_| WelcomeError::Malformed)?;
        encrypted_group_info = one.encrypted_group_info;
        trimmed.push(Trimmed { key_package_ref, welcome });
    }
    Ok(trimmed)
}
