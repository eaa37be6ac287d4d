//! Whether leaves are those of the devices that they name.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use sotto_ids::AccountId;
use sotto_mls::identity::Claim;

use crate::{
    ClientError,
    chain::{self, Whose},
    client::Inner,
    vault::{Tx, accounts, chains},
};

/// Chains that are fetched at a time.
const FETCHES: usize = 8;

/// What the chains say of leaves.
pub(super) enum Verdict {
    /// Each is certified.
    Certified,
    /// These chains have to be fetched first.
    Ask(BTreeSet<AccountId>),
    /// One is not.
    Uncertified,
}

/// Holds leaves against the chains of the accounts that they name. Those in `fresh` have been
/// fetched just now.
pub(super) fn judge<'c>(
    tx: &Tx<'_>,
    claims: impl IntoIterator<Item = &'c Claim>,
    fresh: &BTreeSet<AccountId>,
) -> Result<Verdict, ClientError> {
    let mut ask = BTreeSet::new();
    for claim in claims {
        let account = claim.leaf.account;
        let known = chains::find(tx.db, tx.chains, account.uuid())?;
        let certified = known.is_some_and(|(known, state)| {
            known.account == account
                && !known.frozen
                && state
                    .live_device(claim.leaf.device)
                    .is_some_and(|device| device.mls_key == claim.signature_key)
        });
        if !certified {
            ask.insert(account);
        }
    }
    Ok(if ask.is_empty() {
        Verdict::Certified
    } else if ask.is_subset(fresh) {
        Verdict::Uncertified
    } else {
        Verdict::Ask(&ask - fresh)
    })
}

/// Whether each of these devices is on its account with this key, or was before it was revoked.
pub(super) fn were_certified<'c>(
    tx: &Tx<'_>,
    claims: impl IntoIterator<Item = &'c Claim>,
) -> Result<bool, ClientError> {
    for claim in claims {
        let account = claim.leaf.account;
        let known = chains::find(tx.db, tx.chains, account.uuid())?;
        let ever = known.is_some_and(|(known, state)| {
            let device = state.devices.get(&claim.leaf.device);
            known.account == account
                && !known.frozen
                && device.is_some_and(|device| device.mls_key == claim.signature_key)
        });
        if !ever {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fetches chains and verifies them. One that cannot be trusted stays as it was, and its
/// leaves are uncertified then.
///
/// # Errors
/// Where the server cannot be reached.
pub(super) async fn fetch(
    inner: &Inner,
    accounts: &BTreeSet<AccountId>,
) -> Result<(), ClientError> {
    let mut fetches = stream::iter(accounts.clone())
        .map(|account| meet(inner, account))
        .buffer_unordered(FETCHES);
    while let Some(fetched) = fetches.next().await {
        match fetched {
            Err(error) if error.is_temporary() || error.is_of_the_store() => return Err(error),
            Err(error) => tracing::warn!(reason = error.reason(), "a member's chain was refused"),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Fetches the chain of a member, who is no contact by that.
async fn meet(inner: &Inner, account: AccountId) -> Result<(), ClientError> {
    let uuid = account.uuid();
    let known = inner.vault.run(move |tx| Ok(accounts::find(tx.db, uuid)?.is_some())).await?;
    chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
    if !known {
        inner.vault.run(move |tx| Ok(accounts::set_met_in_group(tx.db, uuid, true)?)).await?;
    }
    Ok(())
}
