//! The live devices of accounts: asked of keys, remembered for a while.
//!
//! What is remembered admits a device; it never refuses one. Before a send is turned away
//! because of it, keys is asked again, so that a device that was added a moment ago may
//! send.

mod cache;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use sotto_ids::{AccountId, AccountUuid, DeviceId};
use sotto_kit::clock::{SharedClock, millis};
use sotto_proto::keys::{self, MlsDevicesRequest, keys_service_client::KeysServiceClient};
use tonic::transport::Channel;
use tracing::Instrument as _;

use self::cache::Cache;
use crate::{config::DevicesConfig, metrics, outage::Outage};

/// The most accounts that keys takes in one call.
const ACCOUNTS_PER_CALL: usize = 500;

/// What keys says of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    /// Its live devices, with the Ed25519 keys that certify their leaves.
    pub(crate) devices: Vec<(DeviceId, [u8; 32])>,
    /// The apps that it is bound to.
    pub(crate) apps: Vec<String>,
}

impl Account {
    /// Whether it has this device. One that was revoked never comes back: its number is not
    /// given out again.
    pub(crate) fn has(&self, device: DeviceId) -> bool {
        self.mls_key(device).is_some()
    }

    /// What certifies a leaf of this device, while it is live.
    pub(crate) fn mls_key(&self, device: DeviceId) -> Option<&[u8; 32]> {
        self.devices.iter().find(|(other, _)| *other == device).map(|(_, key)| key)
    }
}

/// `None` where there is no such account.
pub(crate) type Known = Option<Arc<Account>>;

/// Keys could not be asked. The reason has been logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeysAway;

#[derive(Debug)]
pub(crate) struct LiveDevices {
    keys: KeysServiceClient<Channel>,
    config: DevicesConfig,
    clock: SharedClock,
    cache: Mutex<Cache>,
    outage: Outage,
}

impl LiveDevices {
    pub(crate) fn new(keys: Channel, clock: SharedClock, config: &DevicesConfig) -> Self {
        Self {
            keys: KeysServiceClient::new(keys),
            config: config.clone(),
            clock,
            cache: Mutex::new(Cache::new(millis(config.ttl), config.accounts)),
            outage: Outage::new("keys"),
        }
    }

    /// What is remembered of these accounts.
    pub(crate) fn remembered(
        &self,
        accounts: impl Iterator<Item = AccountUuid>,
    ) -> HashMap<AccountUuid, Known> {
        let now_ms = self.clock.now_ms();
        let mut cache = self.cache();
        let found: HashMap<_, _> =
            accounts.filter_map(|account| Some((account, cache.find(account, now_ms)?))).collect();
        metrics::devices("cache", found.len());
        found
    }

    /// Asks keys about these accounts, in as few calls as it takes, and remembers the
    /// answers.
    pub(crate) async fn fetch(
        &self,
        accounts: &[AccountUuid],
    ) -> Result<HashMap<AccountUuid, Known>, KeysAway> {
        let mut found = HashMap::with_capacity(accounts.len());
        for part in accounts.chunks(ACCOUNTS_PER_CALL) {
            let generation = self.cache().generation();
            let asked_at_ms = self.clock.now_ms();
            let started = Instant::now();
            let span = tracing::info_span!("groups.devices", accounts = part.len());
            let answers = self.ask(part).instrument(span).await?;
            metrics::devices_fetched(started.elapsed());
            metrics::devices("keys", part.len());
            self.cache().remember(part, &answers, asked_at_ms, generation);
            found.extend(part.iter().copied().zip(answers));
        }
        Ok(found)
    }

    /// Forgets an account, since its devices have changed.
    pub(crate) fn forget(&self, account: AccountUuid) {
        self.cache().forget(account);
    }

    /// Forgets all accounts, since changes may have gone unheard.
    pub(crate) fn forget_all(&self) {
        self.cache().forget_all(self.config.accounts);
    }

    async fn ask(&self, accounts: &[AccountUuid]) -> Result<Vec<Known>, KeysAway> {
        let request = MlsDevicesRequest {
            accounts: accounts.iter().map(|account| account.as_bytes().to_vec()).collect(),
        };
        let mut keys = self.keys.clone();
        let answer = tokio::time::timeout(self.config.timeout, keys.mls_devices(request)).await;
        let answers = match answer {
            Ok(Ok(response)) => response.into_inner().accounts,
            Ok(Err(status)) => {
                self.outage.begins(&format_args!("{}", status.code().description()));
                return Err(KeysAway);
            }
            Err(_) => {
                self.outage.begins(&"no answer in time");
                return Err(KeysAway);
            }
        };
        if answers.len() != accounts.len() {
            self.outage.begins(&"another number of accounts than was asked for");
            return Err(KeysAway);
        }
        self.outage.ends();
        Ok(answers.into_iter().map(known).collect())
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A cache that a panic left half-changed still holds only true entries.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(account: keys::MlsAccount) -> Known {
    if !account.known {
        return None;
    }
    let device = |device: keys::MlsDevice| {
        let key = device.mls_key.as_slice().try_into().ok()?;
        Some((DeviceId::try_from(device.device_id).ok()?, key))
    };
    Some(Arc::new(Account {
        id: AccountId::try_from(account.account_id.as_slice()).ok()?,
        devices: account.devices.into_iter().filter_map(device).collect(),
        apps: account.apps,
    }))
}
