//! Adds people.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use openmls::prelude::{KeyPackage, ProtocolVersion};
use sotto_ids::{AccountId, DeviceId, GroupId, limits::MAX_KEY_PACKAGE_CLAIMS};
use sotto_mls::{LeafId, config::is_usable, identity::Claim, wire};
use sotto_mls_provider::Crypto;

use super::{
    GroupAdded,
    certify::{self, Verdict},
    commit::{Intent, carry_out},
    find_usable,
};
use crate::{ClientError, client::Inner};

/// Devices that one commit adds, at most.
const ADDS: usize = 500;

/// Adds all devices of these accounts that can be added, several hundred at a time. Those
/// that are in the group already are in it.
///
/// # Errors
/// As [`carry_out`]. Those of earlier commits are in the group then.
pub(crate) async fn add(
    inner: &Arc<Inner>,
    group: GroupId,
    accounts: &[AccountId],
) -> Result<GroupAdded, ClientError> {
    inner.vault.run(move |tx| find_usable(tx, group).map(drop)).await?;
    let wanted: BTreeSet<_> = accounts.iter().copied().collect();
    let accounts: Vec<_> = wanted.into_iter().collect();
    let mut done = GroupAdded::default();
    let mut waiting: Vec<(LeafId, KeyPackage)> = Vec::new();
    for some in accounts.chunks(MAX_KEY_PACKAGE_CLAIMS) {
        let mut packages = claim(inner, some).await?;
        for account in some {
            match packages.remove(account) {
                Some(packages) if !packages.is_empty() => {
                    done.added.push(*account);
                    waiting.extend(packages);
                }
                _ => done.unreachable.push(*account),
            }
        }
        while waiting.len() >= ADDS {
            let rest = waiting.split_off(ADDS);
            let batch = std::mem::replace(&mut waiting, rest);
            carry_out(inner, group, Intent::Add(batch)).await?;
        }
    }
    if !waiting.is_empty() {
        carry_out(inner, group, Intent::Add(waiting)).await?;
    }
    Ok(done)
}

/// Claims a KeyPackage of each device of these accounts. Those that no chain certifies are
/// left out.
///
/// # Errors
/// `unavailable` and what the server refuses.
pub(super) async fn claim(
    inner: &Arc<Inner>,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Vec<(LeafId, KeyPackage)>>, ClientError> {
    let rest = &inner.rest;
    let claimed = inner.auth.with_token(|token| rest.claim_key_packages(accounts, token)).await?;
    let mut found = Vec::new();
    for account in claimed.into_iter().filter(|account| account.known) {
        let Some(id) = account.account_id.filter(|id| accounts.contains(id)) else {
            continue;
        };
        for device in account.devices {
            let Some(leaf) = DeviceId::try_from(device.device_id).ok() else {
                continue;
            };
            let leaf = LeafId::new(id, leaf);
            let package = read(&device.key_package.0, leaf);
            if package.is_none() {
                tracing::warn!("a KeyPackage from the server was of no use");
            }
            found.extend(package);
        }
    }
    certified(inner, found).await
}

/// Reads a KeyPackage; `None` where it is none of this device, or cannot be used.
fn read(bytes: &[u8], leaf: LeafId) -> Option<(Claim, KeyPackage)> {
    let package = wire::key_package(bytes).ok()?;
    let package = package.validate(&Crypto, ProtocolVersion::Mls10).ok()?;
    let claim = Claim::of_leaf(package.leaf_node()).ok()?;
    (claim.leaf == leaf && is_usable(&package)).then_some((claim, package))
}

async fn certified(
    inner: &Arc<Inner>,
    found: Vec<(Claim, KeyPackage)>,
) -> Result<BTreeMap<AccountId, Vec<(LeafId, KeyPackage)>>, ClientError> {
    let claims: Arc<[Claim]> = found.iter().map(|(claim, _)| *claim).collect();
    let mut fresh = BTreeSet::new();
    loop {
        let (these, fetched) = (Arc::clone(&claims), fresh.clone());
        let verdict = inner.vault.run(move |tx| certify::judge(tx, &*these, &fetched)).await?;
        match verdict {
            Verdict::Ask(accounts) => {
                certify::fetch(inner, &accounts).await?;
                fresh.extend(accounts);
            }
            Verdict::Certified | Verdict::Uncertified => break,
        }
    }
    let these = Arc::clone(&claims);
    let certified: Vec<bool> = inner
        .vault
        .run(move |tx| {
            let one = |claim| {
                let verdict = certify::judge(tx, [claim], &BTreeSet::new())?;
                Ok(matches!(verdict, Verdict::Certified))
            };
            these.iter().map(one).collect()
        })
        .await?;
    let mut packages: BTreeMap<AccountId, Vec<_>> = BTreeMap::new();
    for ((claim, package), certified) in found.into_iter().zip(certified) {
        if certified {
            packages.entry(claim.leaf.account).or_default().push((claim.leaf, package));
        } else {
            tracing::warn!("a KeyPackage was left out that no chain certifies");
        }
    }
    Ok(packages)
}
