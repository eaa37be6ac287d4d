//! Changes of a group that are made here.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openmls::prelude::{KeyPackage, LeafNodeIndex, MlsMessageOut, Proposal, Sender};
use openmls_traits::OpenMlsProvider as _;
use sotto_ids::{AccountId, GroupId};
use sotto_mls::{
    LeafId, Members, Policy,
    commit::{self, CommitError},
    config::with_policy,
    metadata::Metadata,
};
use sotto_proto::socket::{GroupEntry, GroupEntryKind};

use super::{
    credential::signer,
    find_joined, find_usable, log,
    log::Pushed,
    open::{self, Open},
    receive::drop_pending,
    seal,
};
use crate::{
    ClientError,
    backoff::Backoff,
    client::Inner,
    rest::{
        RestError,
        groups::{Moved, NewCommit},
        wire::ProblemBody,
    },
    vault::{Tx, groups::Group, own},
};

/// What is to be changed. It is made again in each epoch, until it has been or is no longer
/// called for.
pub(crate) enum Intent {
    /// Add these devices, each with the KeyPackage that was claimed for it.
    Add(Vec<(LeafId, KeyPackage)>),
    /// Remove all devices of these accounts.
    Remove(Vec<AccountId>),
    /// Remove these devices.
    RemoveDevices(Vec<LeafId>),
    /// Renew the keys of this device's leaf.
    Update,
    /// Another name, another picture; what is `None` stays. An empty picture is none.
    Describe { name: Option<String>, picture: Option<Vec<u8>> },
    /// Make an account an admin, or no longer.
    SetAdmin { account: AccountId, admin: bool },
    /// Take in what others have proposed.
    Proposals,
}

/// A commit that is made and not sent.
struct Made {
    generation: u32,
    epoch: u64,
    new: NewCommit,
}

/// Pauses between attempts of which each may lose to another member's.
pub(super) struct Pace<'i> {
    inner: &'i Inner,
    backoff: Backoff,
    left: u32,
}

impl<'i> Pace<'i> {
    pub(super) fn new(inner: &'i Inner) -> Self {
        let tuning = &inner.config.tuning;
        let backoff = Backoff::new(tuning.group_retry_min, tuning.group_retry_max);
        Self { inner, backoff, left: tuning.group_attempts }
    }

    /// Waits a little; fails once that was done too often.
    pub(super) async fn wait(&mut self) -> Result<(), ClientError> {
        self.wait_at_least(None).await
    }

    async fn wait_at_least(&mut self, least: Option<Duration>) -> Result<(), ClientError> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| ClientError::unavailable("the group kept moving"))?;
        let pause = self.backoff.pause(&mut self.inner.rng());
        tokio::time::sleep(pause.max(self.inner.config.tuning.believed(least))).await;
        Ok(())
    }
}

/// Makes a change, as often as others are faster; `false` where there was nothing to do.
///
/// # Errors
/// `unknown_group`, `group_stopped`, the rule of the group that forbids it, `unavailable`
/// where the server is away or others stay faster, and what the server refuses.
pub(crate) async fn carry_out(
    inner: &Arc<Inner>,
    group: GroupId,
    intent: Intent,
) -> Result<bool, ClientError> {
    let _turn = inner.groups.turn_to_commit(group).await;
    let intent = Arc::new(intent);
    // A commit that was sent before and not answered may be in the log.
    let unsure = inner.vault.run(move |tx| has_pending(tx, group)).await?;
    if unsure {
        log::catch_up(inner, group).await?;
    }
    let mut pace = Pace::new(inner);
    loop {
        let wanted = Arc::clone(&intent);
        let made = inner.vault.run(move |tx| make(tx, group, &wanted)).await?;
        let Some(made) = made else {
            return Ok(false);
        };
        if send(inner, group, made, &mut pace).await? {
            return Ok(true);
        }
        pace.wait().await?;
    }
}

fn has_pending(tx: &mut Tx<'_>, group: GroupId) -> Result<bool, ClientError> {
    let row = find_joined(tx, group)?;
    let open = open::take(tx, &row)?;
    let pending = open.mls.pending_commit().is_some();
    open::put_back(tx, &row, open);
    Ok(pending)
}

/// Sends a commit until it is known what became of it. `false` where the group moved on
/// without it; what it moved on by has been taken in.
async fn send(
    inner: &Arc<Inner>,
    group: GroupId,
    made: Made,
    pace: &mut Pace<'_>,
) -> Result<bool, ClientError> {
    let rest = &inner.rest;
    let Made { generation, epoch, new } = made;
    let problem = loop {
        match inner.auth.with_token(|token| rest.commit(group, &new, token)).await {
            Ok(committed) => {
                let entry = GroupEntry {
                    seq: committed.seq,
                    kind: GroupEntryKind::Commit.into(),
                    generation,
                    epoch,
                    message: new.commit.0.into(),
                    sealed_metadata: new.sealed_metadata.0.into(),
                    ..GroupEntry::default()
                };
                // Messages that came before it are read before it.
                if log::take_pushed(inner, group, vec![entry]).await? == Pushed::Gap {
                    log::catch_up(inner, group).await?;
                }
                return Ok(true);
            }
            Err(RestError::Refused { problem, status }) => match Moved::of(&problem) {
                Some(moved) => break moved,
                None => return Err(refusal(problem, status)),
            },
            Err(RestError::Other(error)) if error.is_temporary() => {
                pace.wait_at_least(error.retry_after()).await?;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let won = problem.entries.iter().any(|entry| entry.message == new.commit.0);
    log::take_moved(inner, group, problem.entries, problem.more).await?;
    Ok(won)
}

fn refusal(problem: Box<ProblemBody>, status: reqwest::StatusCode) -> ClientError {
    match (problem.reason.as_deref(), &problem.rule) {
        (Some("not_allowed"), Some(rule)) => ClientError::NotAllowedInGroup { rule: rule.clone() },
        _ => RestError::Refused { problem, status }.into(),
    }
}

/// Makes a commit in the epoch that the group is in; `None` where there is nothing to do.
fn make(tx: &mut Tx<'_>, group: GroupId, intent: &Intent) -> Result<Option<Made>, ClientError> {
    let own = own::certified(tx.db)?;
    let mut row = match intent {
        Intent::Proposals | Intent::RemoveDevices(_) => find_joined(tx, group)?,
        _ => find_usable(tx, group)?,
    };
    let mut open = open::take(tx, &row)?;
    drop_pending(&mut open)?;
    let members =
        Members::of(open.mls.public_group()).map_err(|_| ClientError::Crypto("members"))?;
    let going = going(&open);
    if going.contains(&open.mls.own_leaf_index()) {
        // Somebody else has to take this device out, and whatever it does comes after.
        open::keep(tx, &mut row, open)?;
        return match intent {
            Intent::Proposals => Ok(None),
            _ => Err(ClientError::UnknownGroup),
        };
    }
    let Some(plan) = plan(tx, &row, &members, &going, intent)? else {
        open::keep(tx, &mut row, open)?;
        return Ok(None);
    };
    let made = stage(tx, &row, &mut open, plan, &signer(&own))?;
    open::keep(tx, &mut row, open)?;
    Ok(Some(made))
}

/// The leaves that proposals of the epoch remove.
fn going(open: &Open) -> BTreeSet<LeafNodeIndex> {
    open.mls
        .pending_proposals()
        .filter_map(|queued| match queued.proposal() {
            Proposal::Remove(remove) => Some(remove.removed()),
            _ => None,
        })
        .collect()
}

/// What goes into a commit besides what was proposed.
#[derive(Default)]
struct Plan {
    adds: Vec<KeyPackage>,
    removals: Vec<LeafNodeIndex>,
    /// Another policy, and the metadata that it names.
    policy: Option<(Policy, Option<Metadata>)>,
}

fn plan(
    tx: &mut Tx<'_>,
    row: &Group,
    members: &Members,
    going: &BTreeSet<LeafNodeIndex>,
    intent: &Intent,
) -> Result<Option<Plan>, ClientError> {
    let mut plan = Plan::default();
    let is_wanted = match intent {
        Intent::Add(packages) => {
            let new = packages.iter().filter(|(leaf, _)| members.find(leaf).is_none());
            plan.adds = new.map(|(_, package)| package.clone()).collect();
            !plan.adds.is_empty()
        }
        Intent::Remove(accounts) => {
            let leaves = accounts.iter().flat_map(|account| members.of_account(account));
            plan.removals = leaves.map(|(index, _)| index).collect();
            let any = !plan.removals.is_empty();
            plan.policy = without_admins(row, accounts);
            any
        }
        Intent::RemoveDevices(leaves) => {
            plan.removals = leaves.iter().filter_map(|leaf| members.find(leaf)).collect();
            !plan.removals.is_empty()
        }
        Intent::Update => true,
        Intent::Describe { name, picture } => {
            plan.policy = described(tx, row, name.as_deref(), picture.as_deref())?;
            plan.policy.is_some()
        }
        Intent::SetAdmin { account, admin } => {
            plan.policy = with_admin(row, *account, *admin);
            plan.policy.is_some()
        }
        Intent::Proposals => !going.is_empty(),
    };
    plan.removals.retain(|index| !going.contains(index));
    // What was proposed is in the next commit by itself.
    Ok(is_wanted.then_some(plan))
}

/// Whoever goes is no admin any more.
fn without_admins(row: &Group, accounts: &[AccountId]) -> Option<(Policy, Option<Metadata>)> {
    let mut policy = row.policy.clone();
    policy.admins.retain(|admin| !accounts.contains(admin));
    (policy != row.policy && !policy.admins.is_empty()).then(|| (policy, row.metadata.clone()))
}

fn with_admin(row: &Group, account: AccountId, admin: bool) -> Option<(Policy, Option<Metadata>)> {
    let mut policy = row.policy.clone();
    let changed =
        if admin { policy.admins.insert(account) } else { policy.admins.remove(&account) };
    changed.then(|| (policy, row.metadata.clone()))
}

fn described(
    tx: &mut Tx<'_>,
    row: &Group,
    name: Option<&str>,
    picture: Option<&[u8]>,
) -> Result<Option<(Policy, Option<Metadata>)>, ClientError> {
    let before = row.metadata.as_ref();
    let name = name.or(before.map(|before| before.name.as_str())).unwrap_or_default();
    let picture = picture.or(before.map(|before| before.picture.as_slice())).unwrap_or_default();
    if before.is_some_and(|before| before.name == name && before.picture == picture) {
        return Ok(None);
    }
    let mut policy = row.policy.clone();
    policy.metadata_version += 1;
    let metadata = new_metadata(tx, policy.metadata_version, name, picture)?;
    policy.metadata_hash = Some(metadata.hash());
    Ok(Some((policy, Some(metadata))))
}

/// Metadata within their bounds.
pub(super) fn new_metadata(
    tx: &mut Tx<'_>,
    version: u64,
    name: &str,
    picture: &[u8],
) -> Result<Metadata, ClientError> {
    Metadata::new(version, name.to_owned(), picture.to_vec(), tx.rng)
        .map_err(|_| ClientError::Limit("group_metadata"))
}

fn stage(
    tx: &mut Tx<'_>,
    row: &Group,
    open: &mut Open,
    plan: Plan,
    signer: &sotto_mls_provider::Signer,
) -> Result<Made, ClientError> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!(error = %error, "a commit could not be made");
        ClientError::Crypto("commit")
    };
    let (generation, epoch) = (row.generation, open.mls.epoch().as_u64());
    let extensions = match &plan.policy {
        Some((policy, _)) => {
            Some(with_policy(open.mls.extensions(), policy).map_err(|error| failed(&error))?)
        }
        None => None,
    };
    let sender = Sender::Member(open.mls.own_leaf_index());
    let provider = &open.provider;
    let mut builder = open
        .mls
        .commit_builder()
        .force_self_update(true)
        .propose_adds(plan.adds)
        .propose_removals(plan.removals);
    if let Some(extensions) = extensions {
        builder =
            builder.propose_group_context_extensions(extensions).map_err(|error| failed(&error))?;
    }
    let bundle = builder
        .load_psks(provider.storage())
        .map_err(|error| failed(&error))?
        .create_group_info(true)
        .build(provider.rand(), provider.crypto(), signer, |_| true)
        .map_err(|error| failed(&error))?
        .stage_commit(provider)
        .map_err(|error| failed(&error))?;
    let (message, welcome, group_info) = bundle.into_messages();
    let pending = open.mls.pending_commit().ok_or(ClientError::Crypto("commit"))?;
    let checked =
        commit::check(open.mls.public_group(), &sender, pending).map_err(|error| match error {
            CommitError::NotAllowed(error) => {
                ClientError::NotAllowedInGroup { rule: error.reason().to_owned() }
            }
            error => failed(&error),
        })?;
    let metadata = match &plan.policy {
        Some((_, metadata)) => metadata.as_ref(),
        None => row.metadata.as_ref(),
    };
    let metadata = seal::known(metadata, &checked.policy);
    let sealed_metadata = seal::for_next_epoch(tx, &open.mls, pending, metadata)?;
    let group_info = group_info.ok_or(ClientError::Crypto("group_info"))?;
    Ok(Made {
        generation,
        epoch,
        new: NewCommit {
            commit: bytes_of(&message)?.into(),
            group_info: bytes_of(&group_info)?.into(),
            welcome: welcome.as_ref().map(bytes_of).transpose()?.map(Into::into),
            sealed_metadata: sealed_metadata.into(),
        },
    })
}

/// The bytes of an MLSMessage.
pub(super) fn bytes_of(message: &MlsMessageOut) -> Result<Vec<u8>, ClientError> {
    message.to_bytes().map_err(|_| ClientError::Crypto("mls_message"))
}
