//! Comes into a group by itself: a device that has lost its place in it, or a new one of an
//! account that is in it (RFC 9420, 12.4.3.2).

use std::{collections::BTreeSet, sync::Arc};

use openmls::{
    group::MlsGroup,
    prelude::{LeafNodeParameters, MlsMessageBodyIn, RatchetTreeIn},
};
use openmls_traits::OpenMlsProvider as _;
use sotto_ids::{AccountId, GroupId};
use sotto_mls::{Members, Policy, capabilities, config::join_config};
use sotto_mls_provider::{Provider, Values};

use super::{
    certify::{self, Verdict},
    commit::{Pace, bytes_of},
    credential::{credential, leaf_id, signer},
    log, message_body,
    open::Open,
    seal, welcome,
};
use crate::{
    ClientError, Distrust, Event, GroupStanding,
    client::Inner,
    rest::{
        RestError,
        groups::{Info, Moved, NewCommit},
    },
    vault::{
        Tx,
        groups::{self, Group},
        mls_values, own,
    },
};

/// A commit that brings this device in, and what it is in the group with.
struct Entrance {
    generation: u32,
    commit: Vec<u8>,
    group_info: Vec<u8>,
    sealed_metadata: Vec<u8>,
    values: Values,
}

enum Built {
    Entrance(Box<Entrance>),
    /// The chains of these accounts have to be fetched first.
    Ask(BTreeSet<AccountId>),
    /// The group is not to be joined, for this reason.
    Refused(&'static str),
}

/// Joins anew, in place of whatever leaf this device has there. Whoever calls has the turn at
/// the group's log. What was said since the log was last read stays unread.
///
/// # Errors
/// `group_stopped`, `unavailable`, and what the server refuses.
pub(super) async fn rejoin(inner: &Arc<Inner>, group: GroupId) -> Result<(), ClientError> {
    let rest = &inner.rest;
    let mut pace = Pace::new(inner);
    loop {
        let info = match inner.auth.with_token(|token| rest.group_info(group, token)).await {
            Ok(info) => info,
            // It was taken out, and what says so is not kept any more or cannot be followed.
            Err(error) if log::is_out(&error) => return log::out(inner, group).await,
            Err(error) => return Err(error.into()),
        };
        let (generation, epoch) = (info.generation, info.epoch);
        let tree =
            inner.auth.with_token(|token| rest.group_tree(group, generation, epoch, token)).await;
        let tree = match tree {
            Ok(tree) => welcome::read_tree(&tree)?,
            Err(error) if error.is("tree_gone") => {
                pace.wait().await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let entrance = build_certified(inner, group, Arc::new((info, tree))).await?;
        if enter(inner, group, entrance).await? {
            return Ok(());
        }
        pace.wait().await?;
    }
}

async fn build_certified(
    inner: &Arc<Inner>,
    group: GroupId,
    parts: Arc<(Info, RatchetTreeIn)>,
) -> Result<Entrance, ClientError> {
    let mut fresh = BTreeSet::new();
    loop {
        let (these, fetched) = (Arc::clone(&parts), fresh.clone());
        let built = inner
            .vault
            .run(move |tx| build(tx, group, &these.0, these.1.clone(), &fetched))
            .await?;
        match built {
            Built::Entrance(entrance) => return Ok(*entrance),
            Built::Ask(accounts) => {
                certify::fetch(inner, &accounts).await?;
                fresh.extend(accounts);
            }
            Built::Refused(reason) => {
                let reason = reason.to_owned();
                inner.tell(Event::GroupCommitRefused { group, reason: reason.clone() });
                return Err(ClientError::GroupStopped { reason });
            }
        }
    }
}

fn build(
    tx: &mut Tx<'_>,
    group: GroupId,
    info: &Info,
    tree: RatchetTreeIn,
    fresh: &BTreeSet<AccountId>,
) -> Result<Built, ClientError> {
    let own = own::certified(tx.db)?;
    let known = groups::find(tx.db, group)?;
    let Some(MlsMessageBodyIn::GroupInfo(verifiable)) = message_body(&info.group_info.0) else {
        return Err(Distrust::Malformed.into());
    };
    if verifiable.group_id().as_slice() != group.mls_id(info.generation) {
        return Ok(Built::Refused("other_group"));
    }
    match known.as_ref().map(|row| row.generation) {
        Some(known) if known > info.generation => return Ok(Built::Refused("older_group")),
        // Who began it anew can be seen from their Welcome alone.
        Some(known) if known < info.generation => return Ok(Built::Refused("begun_anew")),
        _ => {}
    }
    if known.as_ref().is_some_and(|row| verifiable.epoch().as_u64() < row.epoch) {
        // In an old epoch are those who have gone since.
        return Ok(Built::Refused("older_group"));
    }
    let Ok(policy) = Policy::from_extensions(verifiable.group_context().extensions()) else {
        return Ok(Built::Refused("malformed_policy"));
    };
    let provider = Provider::new(Values::default());
    let parameters = LeafNodeParameters::builder().with_capabilities(capabilities()).build();
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!(error = %error, "an external commit could not be made");
        ClientError::Crypto("external_commit")
    };
    let builder = MlsGroup::external_commit_builder()
        .with_ratchet_tree(tree)
        .with_config(join_config())
        .skip_lifetime_validation()
        .build_group(&provider, verifiable, credential(&own))
        .map_err(|error| failed(&error))?
        .leaf_node_parameters(parameters)
        .load_psks(provider.storage())
        .map_err(|error| failed(&error))?
        .create_group_info(true)
        .build(provider.rand(), provider.crypto(), &signer(&own), |_| true)
        .map_err(|error| failed(&error))?;
    let (mls, bundle) = builder.finalize(&provider).map_err(|error| failed(&error))?;
    let Ok(members) = Members::of(mls.public_group()) else {
        return Ok(Built::Refused("malformed_member"));
    };
    let others = members.claims().filter(|claim| claim.leaf != leaf_id(&own));
    match certify::judge(tx, others, fresh)? {
        Verdict::Certified => {}
        Verdict::Ask(accounts) => return Ok(Built::Ask(accounts)),
        Verdict::Uncertified => return Ok(Built::Refused("leaf_uncertified")),
    }
    let metadata = known.as_ref().and_then(|row| row.metadata.as_ref());
    let sealed_metadata = seal::for_epoch(tx, &mls, seal::known(metadata, &policy))?;
    let (commit, _, group_info) = bundle.into_messages();
    Ok(Built::Entrance(Box::new(Entrance {
        generation: info.generation,
        commit: bytes_of(&commit)?,
        group_info: bytes_of(&group_info.ok_or(ClientError::Crypto("group_info"))?)?,
        sealed_metadata,
        values: provider.into_storage(),
    })))
}

/// Sends the commit, as often as it takes to hear what became of it. `false` where the group
/// has moved on in between.
async fn enter(
    inner: &Arc<Inner>,
    group: GroupId,
    entrance: Entrance,
) -> Result<bool, ClientError> {
    let rest = &inner.rest;
    let new = NewCommit {
        commit: entrance.commit.clone().into(),
        group_info: entrance.group_info.clone().into(),
        welcome: None,
        sealed_metadata: entrance.sealed_metadata.clone().into(),
    };
    let mut pace = Pace::new(inner);
    let seq = loop {
        match inner.auth.with_token(|token| rest.commit(group, &new, token)).await {
            Ok(committed) => break committed.seq,
            Err(RestError::Refused { problem, status }) => {
                let Some(moved) = Moved::of(&problem) else {
                    return Err(RestError::Refused { problem, status }.into());
                };
                // It may be this commit that the group has moved on by.
                let own = moved.entries.iter().find(|entry| entry.message == entrance.commit);
                match own {
                    Some(entry) => break entry.seq,
                    None => return Ok(false),
                }
            }
            Err(RestError::Other(error)) if error.is_temporary() => pace.wait().await?,
            Err(error) => return Err(error.into()),
        }
    };
    inner.vault.run(move |tx| adopt(tx, group, entrance, seq)).await?;
    inner.groups.touch_changed(group, seq);
    Ok(true)
}

/// The server has taken the commit: from here on this is the state of the group.
fn adopt(tx: &mut Tx<'_>, group: GroupId, entrance: Entrance, seq: u64) -> Result<(), ClientError> {
    let known = groups::find(tx.db, group)?;
    if let Some(known) = &known {
        mls_values::forget(tx.db, &known.mls_id())?;
    }
    mls_values::write(tx.db, &entrance.values)?;
    let provider = Provider::new(entrance.values);
    let mls = super::open::load(&provider, &group.mls_id(entrance.generation))?
        .ok_or(ClientError::Crypto("group_state"))?;
    let open = Open::of(mls, provider);
    let policy = super::receive::policy_of(&open)?;
    let was_in = known.as_ref().is_some_and(|row| row.standing.is_in());
    let standing = match known.as_ref().map(|row| row.standing) {
        Some(standing @ (GroupStanding::Invited | GroupStanding::Leaving)) => standing,
        _ => GroupStanding::Member,
    };
    let mut row = Group {
        id: group,
        generation: entrance.generation,
        epoch: open.mls.epoch().as_u64(),
        version: known.as_ref().map_or(0, |row| row.version) + 1,
        cursor: seq,
        standing,
        inviter: known.as_ref().and_then(|row| row.inviter),
        policy: policy.clone(),
        joined_ms: known.as_ref().map_or(tx.now_ms, |row| row.joined_ms),
        metadata: known.and_then(|row| row.metadata),
        sealed: false,
        refused: None,
    };
    seal::take(&mut row, &open, policy, &entrance.sealed_metadata)?;
    groups::put(tx.db, &row)?;
    super::outbox::unseal_all(tx, group)?;
    if was_in {
        tx.tell(Event::GroupRejoined { group });
    } else {
        let own = own::certified(tx.db)?;
        let name = row.metadata.map(|metadata| metadata.name).unwrap_or_default();
        tx.tell(Event::GroupJoined { group, by: own.account, name });
    }
    Ok(())
}
