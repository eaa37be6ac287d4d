//! Which key each device of the run signs with, as the chains of its accounts say.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use anyhow::{Context as _, ensure};
use sotto_identity::replay;
use sotto_ids::AccountUuid;
use sotto_mls::{LeafId, identity::Claim};

use super::api::Api;

/// The MLS keys of devices, each from a chain that was fetched and verified once. All members
/// of a run share it, so that a leaf costs a member one look and no chain.
#[derive(Debug, Default)]
pub(super) struct Certified(RwLock<HashMap<LeafId, [u8; 32]>>);

impl Certified {
    /// Fetches the chain of an account and verifies it.
    pub(super) async fn learn(
        &self,
        account: AccountUuid,
        api: &Api,
        token: &str,
    ) -> anyhow::Result<()> {
        let ops = api.chain(account, token).await?;
        let state = replay(&ops).context("the chain of an account is no good")?;
        ensure!(state.account_id.uuid() == account, "the chain is of another account");
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for device in state.live_devices() {
            keys.insert(LeafId::new(state.account_id, device.id), device.mls_key);
        }
        Ok(())
    }

    /// Whether all of these leaves have the keys of the devices that they name.
    pub(super) fn holds<'c>(&self, claims: impl IntoIterator<Item = &'c Claim>) -> bool {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        claims.into_iter().all(|claim| keys.get(&claim.leaf) == Some(&claim.signature_key))
    }
}
