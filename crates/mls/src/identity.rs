//! Whom a leaf stands for: a device of an account, named in the leaf's basic credential
//! (RFC 9420, 5.3).

use openmls::prelude::{BasicCredential, Credential, CredentialType, CredentialWithKey, LeafNode};
use prost::Message as _;
use sotto_ids::{AccountId, DeviceId};
use sotto_proto::groups::LeafIdentity;

use crate::canonical;

const VERSION: u32 = 1;

/// A device of an account, as a leaf names it. It is a claim until the chain of the account
/// certifies the key of the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafId {
    /// The account.
    pub account: AccountId,
    /// Which of its devices.
    pub device: DeviceId,
}

/// A leaf names no device of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential of a leaf does not name a device of an account")]
pub struct MalformedIdentity;

impl LeafId {
    /// Names a device of an account.
    pub const fn new(account: AccountId, device: DeviceId) -> Self {
        Self { account, device }
    }

    /// The credential that names it.
    pub fn credential(&self) -> Credential {
        BasicCredential::new(self.encode()).into()
    }

    /// The credential together with the MLS key of the device.
    pub fn credential_with_key(&self, signature_key: &[u8; 32]) -> CredentialWithKey {
        CredentialWithKey {
            credential: self.credential(),
            signature_key: signature_key.as_slice().into(),
        }
    }

    /// Reads the identity of a basic credential.
    ///
    /// # Errors
    ///
    /// Where it is another type of credential, another version or another form.
    pub fn of_credential(credential: &Credential) -> Result<Self, MalformedIdentity> {
        match credential.credential_type() {
            CredentialType::Basic => Self::decode(credential.serialized_content()),
            _ => Err(MalformedIdentity),
        }
    }

    /// The identity in the credential: an encoded `LeafIdentity`.
    pub fn encode(&self) -> Vec<u8> {
        let identity = LeafIdentity {
            v: VERSION,
            account_id: self.account.as_bytes().to_vec().into(),
            device_id: self.device.into(),
        };
        identity.encode_to_vec()
    }

    /// Reads an encoded `LeafIdentity`.
    ///
    /// # Errors
    ///
    /// Where it is of another version or form.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedIdentity> {
        let identity: LeafIdentity = canonical::decode(bytes).ok_or(MalformedIdentity)?;
        if identity.v != VERSION {
            return Err(MalformedIdentity);
        }
        Ok(Self {
            account: identity.account_id[..].try_into().map_err(|_| MalformedIdentity)?,
            device: identity.device_id.try_into().map_err(|_| MalformedIdentity)?,
        })
    }
}

/// What a leaf says of itself: that this key belongs to this device.
///
/// True only if the chain of the account has the device live, with this MLS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The device that the leaf names.
    pub leaf: LeafId,
    /// The Ed25519 key that the leaf signs with.
    pub signature_key: [u8; 32],
}

impl Claim {
    /// Reads what a leaf says of itself.
    ///
    /// # Errors
    ///
    /// Where its credential names no device, or its key is no key of Ed25519.
    pub fn of_leaf(leaf: &LeafNode) -> Result<Self, MalformedIdentity> {
        Self::of_parts(leaf.credential(), leaf.signature_key().as_slice())
    }

    /// Reads a credential and the key beside it, as they stand in what is not verified yet.
    ///
    /// # Errors
    ///
    /// As [`Claim::of_leaf`].
    pub fn of_parts(credential: &Credential, key: &[u8]) -> Result<Self, MalformedIdentity> {
        Ok(Self {
            leaf: LeafId::of_credential(credential)?,
            signature_key: key.try_into().map_err(|_| MalformedIdentity)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_names_one_device_in_one_form() {
        let leaf = LeafId::new(AccountId::new([7; 32]), DeviceId::FIRST);
        let bytes = leaf.encode();

        assert_eq!(LeafId::of_credential(&leaf.credential()), Ok(leaf));
        assert_eq!(LeafId::decode(&bytes), Ok(leaf));
        // The same fields again, an unknown field, another version, no device, a short account.
        for wrong in [
            [bytes.as_slice(), bytes.as_slice()].concat(),
            [bytes.as_slice(), &[0x78, 1]].concat(),
            LeafIdentity { v: 2, account_id: vec![7; 32].into(), device_id: 1 }.encode_to_vec(),
            LeafIdentity { v: 1, account_id: vec![7; 32].into(), device_id: 0 }.encode_to_vec(),
            LeafIdentity { v: 1, account_id: vec![7; 31].into(), device_id: 1 }.encode_to_vec(),
            vec![],
        ] {
            assert_eq!(LeafId::decode(&wrong), Err(MalformedIdentity), "{wrong:?}");
        }
        let x509 = Credential::new(CredentialType::X509, bytes);
        assert_eq!(LeafId::of_credential(&x509), Err(MalformedIdentity));
    }
}
