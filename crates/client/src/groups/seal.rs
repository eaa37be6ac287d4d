//! Names and pictures under the key of an epoch.

use openmls::group::{MlsGroup, StagedCommit};
use sotto_mls::{
    Policy,
    metadata::{self, EXPORTER_LABEL, KEY_BYTES, Metadata},
};
use sotto_mls_provider::Crypto;
use zeroize::Zeroizing;

use super::open::Open;
use crate::{
    ClientError,
    vault::{Tx, groups::Group},
};

type Key = Zeroizing<[u8; KEY_BYTES]>;

fn key(exported: Option<Vec<u8>>) -> Result<Key, ClientError> {
    let exported = Zeroizing::new(exported.ok_or(ClientError::Crypto("exporter"))?);
    let key = exported.as_slice().try_into().map_err(|_| ClientError::Crypto("exporter"))?;
    Ok(Zeroizing::new(key))
}

fn key_of(mls: &MlsGroup) -> Result<Key, ClientError> {
    key(mls.export_secret(&Crypto, EXPORTER_LABEL, b"", KEY_BYTES).ok())
}

/// Seals metadata for the epoch that the group is in; empty where they are not known here.
pub(super) fn for_epoch(
    tx: &mut Tx<'_>,
    mls: &MlsGroup,
    metadata: Option<&Metadata>,
) -> Result<Vec<u8>, ClientError> {
    let epoch = mls.epoch().as_u64();
    seal(tx, &key_of(mls)?, mls, epoch, metadata)
}

/// Seals metadata for the epoch that a commit begins.
pub(super) fn for_next_epoch(
    tx: &mut Tx<'_>,
    mls: &MlsGroup,
    staged: &StagedCommit,
    metadata: Option<&Metadata>,
) -> Result<Vec<u8>, ClientError> {
    let exported = staged.export_secret(&Crypto, EXPORTER_LABEL, b"", KEY_BYTES).ok();
    seal(tx, &key(exported)?, mls, staged.epoch().as_u64(), metadata)
}

fn seal(
    tx: &mut Tx<'_>,
    key: &Key,
    mls: &MlsGroup,
    epoch: u64,
    metadata: Option<&Metadata>,
) -> Result<Vec<u8>, ClientError> {
    let Some(metadata) = metadata else {
        return Ok(Vec::new());
    };
    metadata::seal(key, mls.group_id().as_slice(), epoch, metadata, tx.rng)
        .map_err(|_| ClientError::Limit("group_picture"))
}

/// The policy of the epoch is this one, and the metadata came in these bytes. Whether the
/// group is called something else now.
///
/// What cannot be opened, or is not what the policy names, changes nothing: then some member
/// has to seal it again.
pub(super) fn take(
    row: &mut Group,
    open: &Open,
    policy: Policy,
    sealed: &[u8],
) -> Result<bool, ClientError> {
    row.policy = policy;
    if row.policy.metadata_hash.is_none() {
        let changed = row.metadata.take().is_some();
        row.sealed = true;
        return Ok(changed);
    }
    let key = key_of(&open.mls)?;
    let opened = metadata::open(
        &key,
        open.mls.group_id().as_slice(),
        open.mls.epoch().as_u64(),
        sealed,
        &row.policy,
    );
    row.sealed = opened.is_ok();
    match opened {
        Ok(metadata) if row.metadata.as_ref() != Some(&metadata) => {
            row.metadata = Some(metadata);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The metadata that the policy names, where they are known here.
pub(super) fn known<'g>(metadata: Option<&'g Metadata>, policy: &Policy) -> Option<&'g Metadata> {
    metadata.filter(|metadata| policy.metadata_hash == Some(metadata.hash()))
}
