use std::fmt;

use openmls::prelude::{
    ExternalProposal, ExternalSender as Listed, GroupEpoch, GroupId as MlsGroupId, LeafNodeIndex,
    SenderExtensionIndex,
};
use sotto_ids::{Base64Bytes, GroupId};
use sotto_mls::config;
use sotto_mls_provider::{Provider, Signer, Values};

use crate::{domain::Epoch, error::GroupsError};

/// The deployment, as groups know it: it may propose that a device is removed (RFC 9420,
/// 12.1.8).
pub(crate) struct ExternalSender {
    signer: Signer,
    domain: String,
}

impl fmt::Debug for ExternalSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalSender(..)")
    }
}

impl ExternalSender {
    /// Of 32 bytes of a secret, as base64.
    ///
    /// # Errors
    ///
    /// A sentence without the secret.
    pub(crate) fn new(secret: &str, domain: String) -> Result<Self, String> {
        let wrong = || "must be 32 bytes as base64".to_owned();
        let bytes: Base64Bytes =
            serde_json::from_value(secret.trim().into()).map_err(|_| wrong())?;
        let seed: [u8; 32] = bytes.0.try_into().map_err(|_| wrong())?;
        Ok(Self { signer: Signer::new(&seed), domain })
    }

    /// Ed25519, as it stands in groups.
    pub(crate) fn signature_key(&self) -> [u8; 32] {
        self.signer.public_key()
    }

    /// The identity in its basic credential.
    pub(crate) fn identity(&self) -> Vec<u8> {
        config::external_sender_credential(&self.domain).serialized_content().to_vec()
    }

    /// The entry that every group has in its list of external senders, as the only one.
    pub(super) fn listed(&self) -> Listed {
        config::external_sender(&self.domain, &self.signature_key())
    }

    /// Proposes that a leaf is removed, in an epoch: an MLSMessage.
    pub(super) fn propose_removal(
        &self,
        group: GroupId,
        at: Epoch,
        leaf: LeafNodeIndex,
    ) -> Result<Vec<u8>, GroupsError> {
        ExternalProposal::new_remove::<Provider<Values>>(
            leaf,
            MlsGroupId::from_slice(&group.mls_id(at.generation)),
            GroupEpoch::from(at.epoch),
            &self.signer,
            SenderExtensionIndex::new(0),
        )
        .ok()
        .and_then(|message| message.to_bytes().ok())
        .ok_or(GroupsError::Damaged("key of the external sender"))
    }
}
