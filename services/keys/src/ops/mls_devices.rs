use std::collections::{BTreeMap, HashMap};

use sotto_ids::{AccountId, AccountUuid, DeviceId};
use uuid::Uuid;

use super::{
    Keys,
    append::{decode, state_of},
    device_sets::MOST,
    off_the_async_threads,
};
use crate::{
    db::{self, mls_devices::MlsAccount},
    error::KeysError,
};

/// What certifies the leaves of an account in groups.
#[derive(Debug, Clone)]
pub(crate) struct MlsDevices {
    pub(crate) account_id: AccountId,
    /// Its live devices, by rising numbers, and the keys that they sign with.
    pub(crate) devices: Vec<(DeviceId, [u8; 32])>,
    pub(crate) apps: Vec<String>,
}

impl Keys {
    /// The live devices of accounts with their MLS keys, whether they have published
    /// anything or not, in the order of the request; `None` where there is no such account.
    #[tracing::instrument(name = "keys.mls_devices", skip_all)]
    pub(crate) async fn mls_devices(
        &self,
        accounts: &[AccountUuid],
    ) -> Result<Vec<Option<MlsDevices>>, KeysError> {
        if accounts.len() > MOST {
            return Err(KeysError::TooManyAccounts { most: MOST });
        }
        let uuids: Vec<Uuid> = accounts.iter().map(AccountUuid::as_uuid).collect();
        let found = db::mls_devices::list(&uuids, self.clock.now_ms(), &self.db).await?;

        let mut by_account: HashMap<Uuid, MlsDevices> = HashMap::with_capacity(found.len());
        for row in found {
            by_account.insert(row.account, self.with_keys(row).await?);
        }
        Ok(uuids.iter().map(|uuid| by_account.get(uuid).cloned()).collect())
    }

    async fn with_keys(&self, row: MlsAccount) -> Result<MlsDevices, KeysError> {
        let of_chain = if row.mls_keys.iter().all(Option::is_some) {
            BTreeMap::new()
        } else {
            self.mls_keys_of_chain(row.account_id.uuid()).await?
        };
        let mut devices = Vec::with_capacity(row.devices.len());
        for (number, key) in row.devices.into_iter().zip(row.mls_keys) {
            let device = DeviceId::try_from(number).map_err(|_| KeysError::Damaged("device"))?;
            let key = match key {
                Some(key) => Some(key.try_into().map_err(|_| KeysError::Damaged("MLS key"))?),
                // One that the chain has got since it was read is there the next time.
                None => of_chain.get(&device).copied(),
            };
            devices.extend(key.map(|key| (device, key)));
        }
        Ok(MlsDevices { account_id: row.account_id, devices, apps: row.apps })
    }

    /// The MLS keys of all devices that the chain of an account has ever certified.
    pub(super) async fn mls_keys_of_chain(
        &self,
        account: AccountUuid,
    ) -> Result<BTreeMap<DeviceId, [u8; 32]>, KeysError> {
        let found =
            db::accounts::find(account, &self.db).await?.ok_or(KeysError::UnknownAccount)?;
        let stored = db::chain_ops::list(account, 0, found.head.seq, &self.db).await?;
        off_the_async_threads(move || {
            let state = state_of(&decode(&stored)?, &found)?;
            Ok(state.devices.into_values().map(|device| (device.id, device.mls_key)).collect())
        })
        .await
    }

    /// Writes into the rows of devices what their chains say of their MLS keys, for at
    /// most `limit` accounts after `after`. Gives the last of them, if there may be more.
    ///
    /// A chain that does not verify is passed over: its devices stay without.
    pub(crate) async fn fill_in_mls_keys(
        &self,
        after: Option<Uuid>,
        limit: u16,
    ) -> Result<Option<Uuid>, KeysError> {
        let accounts = db::devices::list_without_mls_key(after, limit, &self.db).await?;
        for &account in &accounts {
            let account = AccountUuid::from_stored(account);
            match self.mls_keys_of_chain(account).await {
                Ok(keys) => {
                    db::devices::fill_in_mls_keys(account, &keys, &self.db).await?;
                }
                Err(error @ (KeysError::DamagedChain(_) | KeysError::Damaged(_))) => {
                    tracing::error!(
                        error = sotto_kit::fault::chain(&error),
                        "a chain cannot be replayed"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        Ok(accounts.last().copied().filter(|_| accounts.len() == usize::from(limit)))
    }
}
