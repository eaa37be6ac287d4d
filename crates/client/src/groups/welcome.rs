//! Comes into a group that somebody has added this device to.

use std::{collections::BTreeSet, sync::Arc};

use openmls::{
    group::StagedWelcome,
    prelude::{MlsMessageBodyIn, RatchetTreeIn},
};
use sotto_ids::{AccountId, GroupId};
use sotto_mls::{
    LeafId, Policy,
    config::join_config,
    identity::Claim,
    tree::{self, MAX_TREE_BYTES},
    welcome::trim,
    wire,
};
use sotto_mls_provider::Provider;

use super::{
    certify::{self, Verdict},
    external, log, message_body,
    open::{self, Open},
    seal,
};
use crate::{
    ClientError, Distrust, Event, GroupStanding,
    client::Inner,
    rest::groups::Welcome,
    vault::{
        Own, Tx, accounts,
        groups::{self, Group},
        key_packages, mls_values, own,
    },
};

/// Welcomes that are asked for at a time.
const PAGE: usize = 50;

/// Pages in a row.
const PAGES: usize = 20;

/// What came of a Welcome.
enum Joined {
    Done,
    /// The chains of these accounts have to be fetched first.
    Ask(BTreeSet<AccountId>),
    /// This device has no use for it, and may come in by itself.
    Useless,
    /// It is not to be followed, for this reason.
    Refused(&'static str),
}

/// Fetches all Welcomes of this device and joins by them.
///
/// # Errors
/// `unavailable` and what the server refuses. What one group comes to does not keep the
/// others back; the first error is given.
pub(super) async fn fetch(inner: &Arc<Inner>) -> Result<(), ClientError> {
    let _turn = inner.groups.turn_at_welcomes().await;
    let rest = &inner.rest;
    let mut seen = BTreeSet::new();
    let mut first = None;
    for _ in 0..PAGES {
        let welcomes = inner.auth.with_token(|token| rest.group_welcomes(PAGE, token)).await?;
        let mut new = false;
        for welcome in welcomes {
            if seen.insert((welcome.group, welcome.generation, welcome.epoch)) {
                new = true;
                first = first.or(join(inner, welcome).await.err());
            }
        }
        if !new {
            break;
        }
    }
    first.map_or(Ok(()), Err)
}

async fn join(inner: &Arc<Inner>, welcome: Welcome) -> Result<(), ClientError> {
    let rest = &inner.rest;
    let Welcome { group, generation, epoch, seq, welcome } = welcome;
    let known = inner.vault.run(move |tx| Ok(groups::find(tx.db, group)?)).await?;
    let is_newer = known.as_ref().is_none_or(|row| {
        !row.standing.is_in() || (row.generation, row.epoch) < (generation, epoch)
    });
    if is_newer {
        let answer =
            inner.auth.with_token(|token| rest.group_tree(group, generation, epoch, token)).await;
        let tree = match answer {
            Ok(tree) => Some(tree),
            Err(error) if error.is("tree_gone") => None,
            Err(error) => return Err(error.into()),
        };
        let joined = match tree {
            Some(tree) => {
                let bytes = Arc::new((welcome.0, read_tree(&tree)?));
                let sealed = sealed_metadata(inner, group, seq).await;
                Box::pin(join_with(inner, group, generation, seq, bytes, sealed)).await?
            }
            None => Joined::Useless,
        };
        match joined {
            Joined::Useless => {
                let _turn = inner.groups.turn_at_log(group).await;
                Box::pin(external::rejoin(inner, group)).await?;
            }
            Joined::Refused(reason) => {
                let reason = reason.to_owned();
                inner.tell(Event::GroupCommitRefused { group, reason });
            }
            Joined::Done | Joined::Ask(_) => {}
        }
    }
    inner.auth.with_token(|token| rest.drop_group_welcome(group, generation, epoch, token)).await?;
    if is_newer { Box::pin(log::catch_up(inner, group)).await } else { Ok(()) }
}

/// Reads a tree as the server has it.
pub(super) fn read_tree(compressed: &[u8]) -> Result<RatchetTreeIn, ClientError> {
    let tree = tree::decompress(compressed, MAX_TREE_BYTES).map_err(|_| Distrust::Malformed)?;
    Ok(wire::ratchet_tree(&tree).map_err(|_| Distrust::Malformed)?)
}

/// What the commit that added this device brought; empty where it cannot be had.
async fn sealed_metadata(inner: &Inner, group: GroupId, seq: u64) -> Vec<u8> {
    let rest = &inner.rest;
    let after = seq.saturating_sub(1);
    let page = inner.auth.with_token(|token| rest.group_log(group, after, 1, token)).await;
    let entry = page.ok().and_then(|page| page.entries.into_iter().next());
    entry
        .filter(|entry| entry.seq == seq)
        .map(|entry| entry.sealed_metadata.into())
        .unwrap_or_default()
}

async fn join_with(
    inner: &Arc<Inner>,
    group: GroupId,
    generation: u32,
    seq: u64,
    bytes: Arc<(Vec<u8>, RatchetTreeIn)>,
    sealed: Vec<u8>,
) -> Result<Joined, ClientError> {
    let _turn = inner.groups.turn_at_log(group).await;
    let mut fresh = BTreeSet::new();
    loop {
        let (these, sealed, fetched) = (Arc::clone(&bytes), sealed.clone(), fresh.clone());
        let joined = inner
            .vault
            .run(move |tx| {
                let (welcome, tree) = &*these;
                take(tx, (group, generation, seq), welcome, tree.clone(), &sealed, &fetched)
            })
            .await?;
        match joined {
            Joined::Ask(accounts) => {
                certify::fetch(inner, &accounts).await?;
                fresh.extend(accounts);
            }
            Joined::Done => {
                inner.groups.touch_changed(group, seq);
                return Ok(Joined::Done);
            }
            other => return Ok(other),
        }
    }
}

fn take(
    tx: &mut Tx<'_>,
    (group, generation, seq): (GroupId, u32, u64),
    welcome: &[u8],
    tree: RatchetTreeIn,
    sealed: &[u8],
    fresh: &BTreeSet<AccountId>,
) -> Result<Joined, ClientError> {
    let own = own::certified(tx.db)?;
    let known = groups::find(tx.db, group)?;
    let provider = Provider::new(mls_values::of_device(tx.db)?);
    let Some(MlsMessageBodyIn::Welcome(message)) = message_body(welcome) else {
        return Ok(Joined::Useless);
    };
    let staged =
        StagedWelcome::build_from_welcome(&provider, &join_config(), message).and_then(|builder| {
            // A leaf that was made long ago and never renewed is as good as its chain.
            builder.with_ratchet_tree(tree).skip_lifetime_validation().replace_old_group().build()
        });
    let staged = match staged {
        Ok(staged) => staged,
        Err(error) => {
            tracing::warn!(error = %error, "a welcome is of no use");
            return Ok(Joined::Useless);
        }
    };
    if staged.group_context().group_id().as_slice() != group.mls_id(generation) {
        return Ok(Joined::Refused("other_group"));
    }
    let into = (generation, staged.group_context().epoch().as_u64());
    if known.as_ref().is_some_and(|row| into <= (row.generation, row.epoch)) {
        // One of last resort opens old Welcomes too. In an old epoch are those who have gone.
        return Ok(Joined::Refused("older_group"));
    }
    let Ok(policy) = Policy::from_extensions(staged.group_context().extensions()) else {
        return Ok(Joined::Refused("malformed_policy"));
    };
    let claims: Result<Vec<_>, _> = staged
        .members()
        .map(|member| Claim::of_parts(&member.credential, &member.signature_key))
        .collect();
    let Ok(claims) = claims else {
        return Ok(Joined::Refused("malformed_identity"));
    };
    let inviter =
        staged.welcome_sender().ok().and_then(|leaf| LeafId::of_credential(leaf.credential()).ok());
    let Some(inviter) = inviter else {
        return Ok(Joined::Refused("malformed_identity"));
    };
    if let Some(refused) = may_invite(&own, known.as_ref(), &policy, generation, inviter.account) {
        return Ok(Joined::Refused(refused));
    }
    match certify::judge(tx, &claims, fresh)? {
        Verdict::Certified => {}
        Verdict::Ask(accounts) => return Ok(Joined::Ask(accounts)),
        // A device was revoked since: in the group as it is now it may be gone.
        Verdict::Uncertified if certify::were_certified(tx, &claims)? => {
            return Ok(Joined::Useless);
        }
        Verdict::Uncertified => return Ok(Joined::Refused("leaf_uncertified")),
    }
    let mls = staged.into_group(&provider).map_err(|_| ClientError::Crypto("welcome"))?;
    use_up(tx, welcome)?;
    if let Some(known) = &known {
        mls_values::forget(tx.db, &known.mls_id())?;
    }
    mls_values::write(tx.db, open::values(&provider))?;
    let open = Open::of(mls, provider);
    let mut row = Group {
        id: group,
        generation,
        epoch: open.mls.epoch().as_u64(),
        version: known.as_ref().map_or(0, |row| row.version) + 1,
        cursor: seq,
        standing: standing(tx, &own, known.as_ref(), inviter.account)?,
        inviter: Some(inviter.account),
        policy: policy.clone(),
        metadata: known.and_then(|row| row.metadata),
        sealed: false,
        refused: None,
        joined_ms: tx.now_ms,
    };
    seal::take(&mut row, &open, policy, sealed)?;
    groups::put(tx.db, &row)?;
    tell(tx, &row, inviter.account);
    Ok(Joined::Done)
}

/// Why this account may not have welcomed this device, if it may not.
fn may_invite(
    own: &Own,
    known: Option<&Group>,
    policy: &Policy,
    generation: u32,
    inviter: AccountId,
) -> Option<&'static str> {
    // A device of one's own has looked at who began the group.
    if inviter == own.account {
        return None;
    }
    let begun_anew = known.filter(|row| row.generation < generation);
    if let Some(before) = begun_anew {
        // Otherwise whoever has the server could begin any group anew.
        return (!before.policy.is_admin(&inviter)).then_some("reset_by_no_admin");
    }
    let allowed = policy.members_may_add || policy.is_admin(&inviter);
    (!allowed).then_some("add")
}

/// The KeyPackage was used, and is used once.
fn use_up(tx: &Tx<'_>, welcome: &[u8]) -> Result<(), ClientError> {
    for one in trim(welcome).unwrap_or_default() {
        if key_packages::is_last_resort(tx.db, &one.key_package_ref)? == Some(false) {
            key_packages::delete(tx.db, &one.key_package_ref)?;
        }
    }
    Ok(())
}

/// Whoever is no contact invites; whoever is one, or an own device, adds.
fn standing(
    tx: &Tx<'_>,
    own: &Own,
    known: Option<&Group>,
    inviter: AccountId,
) -> Result<GroupStanding, ClientError> {
    if known.is_some_and(|row| row.standing == GroupStanding::Awaiting) {
        return Ok(GroupStanding::Member);
    }
    let contact = inviter == own.account
        || accounts::find(tx.db, inviter.uuid())?.is_some_and(|account| !account.met_in_group);
    Ok(if contact { GroupStanding::Member } else { GroupStanding::Invited })
}

fn tell(tx: &mut Tx<'_>, row: &Group, by: AccountId) {
    let name = row.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
    tx.tell(match row.standing {
        GroupStanding::Invited => Event::GroupInvited { group: row.id, by, name },
        _ => Event::GroupJoined { group: row.id, by, name },
    });
}
