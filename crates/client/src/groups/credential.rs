//! What stands in this device's leaves.

use openmls::prelude::CredentialWithKey;
use sotto_mls::LeafId;
use sotto_mls_provider::Signer;

use crate::vault::Own;

/// This device, as leaves name it.
pub(super) fn leaf_id(own: &Own) -> LeafId {
    LeafId::new(own.account, own.device)
}

/// The credential and the public key of this device.
pub(super) fn credential(own: &Own) -> CredentialWithKey {
    leaf_id(own).credential_with_key(&own.mls_key.verifying_key().to_bytes())
}

/// Signs with the MLS key of this device.
pub(super) fn signer(own: &Own) -> Signer {
    Signer::new(&zeroize::Zeroizing::new(own.mls_key.to_bytes()))
}
