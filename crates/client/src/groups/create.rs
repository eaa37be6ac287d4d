//! Begins groups.

use std::{collections::BTreeSet, sync::Arc};

use openmls::{group::MlsGroup, prelude::GroupId as MlsGroupId};
use openmls_traits::OpenMlsProvider as _;
use rand::Rng as _;
use sotto_ids::GroupId;
use sotto_mls::{
    Policy,
    config::{create_config, external_sender},
    metadata::Metadata,
};
use sotto_mls_provider::{Provider, Values};

use super::{
    commit::{Pace, bytes_of, new_metadata},
    credential::{credential, signer},
    open::{self, Open},
    seal,
};
use crate::{
    ClientError, Distrust, GroupStanding,
    client::Inner,
    rest::{RestError, groups::NewGroup},
    vault::{Own, Tx, groups::Group, own},
};

/// A group with this device alone, that the server does not have yet.
pub(super) struct Begun {
    pub(super) group_info: Vec<u8>,
    pub(super) sealed_metadata: Vec<u8>,
    mls: MlsGroup,
    provider: Provider<Values>,
}

/// Begins a group with this device as its only member.
///
/// # Errors
/// `group_metadata` where the name or the picture is too long, `unavailable`, and what the
/// server refuses.
pub(crate) async fn create(
    inner: &Arc<Inner>,
    name: String,
    picture: Option<Vec<u8>>,
) -> Result<GroupId, ClientError> {
    let key = external_sender_key(inner).await?;
    let domain = inner.config.domain.clone();
    let (group, metadata, policy, begun) = inner
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let group = GroupId::new(tx.rng.random());
            let metadata = new_metadata(tx, 1, &name, &picture.unwrap_or_default())?;
            let policy = Policy {
                metadata_version: 1,
                metadata_hash: Some(metadata.hash()),
                admins: BTreeSet::from([own.account]),
                members_may_add: false,
            };
            let begun =
                begin(tx, &own, &group.mls_id(0), &policy, Some(&metadata), (&domain, &key))?;
            Ok((group, metadata, policy, begun))
        })
        .await?;
    let new = NewGroup {
        group_info: begun.group_info.clone().into(),
        sealed_metadata: begun.sealed_metadata.clone().into(),
    };
    let rest = &inner.rest;
    // What the server says of it is read once it is here.
    let _reading = inner.groups.turn_at_log(group).await;
    let mut pace = Pace::new(inner);
    let seq = loop {
        match inner.auth.with_token(|token| rest.begin_group(&new, token)).await {
            Ok(begun) => break begun.seq,
            Err(RestError::Other(error)) if error.is_temporary() => pace.wait().await?,
            Err(error) => return Err(error.into()),
        }
    };
    inner
        .vault
        .run(move |tx| {
            let row = Group {
                id: group,
                generation: 0,
                epoch: 0,
                version: 0,
                cursor: seq,
                standing: GroupStanding::Member,
                inviter: None,
                policy,
                metadata: Some(metadata),
                sealed: true,
                refused: None,
                joined_ms: tx.now_ms,
            };
            keep(tx, row, begun)
        })
        .await?;
    inner.groups.touch_changed(group, seq);
    Ok(group)
}

/// The key of whoever removes the leaves of revoked devices.
pub(super) async fn external_sender_key(inner: &Inner) -> Result<[u8; 32], ClientError> {
    let rest = &inner.rest;
    let sender = inner.auth.with_token(|token| rest.external_sender(token)).await?;
    Ok(sender.signature_key.0.as_slice().try_into().map_err(|_| Distrust::Malformed)?)
}

/// Makes a group with this device alone.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    own: &Own,
    mls_id: &[u8],
    policy: &Policy,
    metadata: Option<&Metadata>,
    (domain, key): (&str, &[u8; 32]),
) -> Result<Begun, ClientError> {
    let failed = |_| ClientError::Crypto("group");
    let config = create_config(policy, external_sender(domain, key))
        .map_err(|_| ClientError::Crypto("group"))?;
    let provider = Provider::new(Values::default());
    let signer = signer(own);
    let mls = MlsGroup::new_with_group_id(
        &provider,
        &signer,
        &config,
        MlsGroupId::from_slice(mls_id),
        credential(own),
    )
    .map_err(failed)?;
    let group_info = mls
        .export_group_info(provider.crypto(), &signer, true)
        .map_err(|_| ClientError::Crypto("group_info"))?;
    let sealed_metadata = seal::for_epoch(tx, &mls, metadata)?;
    Ok(Begun { group_info: bytes_of(&group_info)?, sealed_metadata, mls, provider })
}

/// The server has it: from here on this is the state of the group.
pub(super) fn keep(tx: &Tx<'_>, mut row: Group, begun: Begun) -> Result<(), ClientError> {
    let open = Open::of(begun.mls, begun.provider);
    open::keep(tx, &mut row, open)
}
