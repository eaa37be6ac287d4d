use openmls::{
    messages::group_info::VerifiableGroupInfo,
    prelude::{
        ConfirmationTag, LeafNodeIndex, OpenMlsSignaturePublicKey, PublicGroup, SignatureScheme,
        Verifiable as _,
    },
};
use sotto_mls_provider::Crypto;
use tls_codec::Serialize as _;

use crate::error::GroupsError;

/// Demands that a GroupInfo is that of the group as the service follows it, in every byte that
/// the service can know: context, confirmation tag and signer. The signature is that of the
/// leaf `signer`, which is in the group. It has the key for joining from outside, and no tree.
pub(super) fn check(
    info: &VerifiableGroupInfo,
    group: &PublicGroup,
    signer: LeafNodeIndex,
) -> Result<(), GroupsError> {
    let mismatch = || GroupsError::GroupInfoMismatch;
    let extensions = info.extensions();
    if extensions.external_pub().is_none() || extensions.ratchet_tree().is_some() {
        return Err(mismatch());
    }
    // GroupInfoTBS (RFC 9420, 12.4.3.1). Its parts are not public in openmls, their encoding is.
    let tag: &ConfirmationTag = group.confirmation_tag();
    let expected = [
        group.group_context().tls_serialize_detached(),
        extensions.tls_serialize_detached(),
        tag.tls_serialize_detached(),
        signer.tls_serialize_detached(),
    ];
    let mut bytes = Vec::new();
    for part in expected {
        bytes.extend(part.map_err(|_| mismatch())?);
    }
    if info.unsigned_payload().map_err(|_| mismatch())? != bytes {
        return Err(mismatch());
    }
    let leaf = group.leaf(signer).ok_or_else(mismatch)?;
    let key = OpenMlsSignaturePublicKey::from_signature_key(
        leaf.signature_key().clone(),
        SignatureScheme::ED25519,
    );
    info.verify_no_out(&Crypto, &key).map_err(|_| mismatch())
}
