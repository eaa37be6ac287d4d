//! The devices of senders and recipients: asked of keys, remembered for a while.
//!
//! What is remembered admits a send; it never refuses one. Before a send is turned
//! away because of it, keys is asked again, so that a device that was added a moment
//! ago is not called extra.

mod cache;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sotto_ids::{AccountUuid, DeviceId};
use sotto_kit::clock::{SharedClock, millis};
use sotto_proto::keys::{self, DeviceSetsRequest, keys_service_client::KeysServiceClient};
use tonic::transport::Channel;
use tracing::Instrument as _;

use self::cache::Cache;
use crate::{config::DeviceSetsConfig, domain::DeviceSet, metrics, outage::Outage, purges::Purges};

/// The most accounts that keys takes in one call.
const ACCOUNTS_PER_CALL: usize = 500;

/// How long pulls do without keys after it has failed.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A device set, `None` where there is no such account.
pub(crate) type Known = Option<Arc<DeviceSet>>;

/// Keys could not be asked. The reason has been logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeysAway;

#[derive(Debug)]
pub(crate) struct DeviceSets {
    keys: KeysServiceClient<Channel>,
    timeout: Duration,
    clock: SharedClock,
    cache: Mutex<Cache>,
    /// Told of accounts that turn out to have lost a device.
    purges: Arc<Purges>,
    outage: Outage,
    failed_at: Mutex<Option<Instant>>,
}

impl DeviceSets {
    pub(crate) fn new(
        keys: Channel,
        clock: SharedClock,
        purges: Arc<Purges>,
        config: &DeviceSetsConfig,
    ) -> Self {
        Self {
            keys: KeysServiceClient::new(keys),
            timeout: config.timeout,
            clock,
            cache: Mutex::new(Cache::new(millis(config.ttl), config.accounts)),
            purges,
            outage: Outage::new("keys"),
            failed_at: Mutex::default(),
        }
    }

    /// Whether keys did not answer a moment ago: what can do without should not wait for
    /// it.
    pub(crate) fn are_away(&self) -> bool {
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| at.elapsed() < ASK_AGAIN)
    }

    /// What is remembered of these accounts.
    pub(crate) fn remembered<'a>(
        &self,
        accounts: impl Iterator<Item = &'a AccountUuid>,
    ) -> HashMap<AccountUuid, Known> {
        let now_ms = self.clock.now_ms();
        let mut cache = self.cache();
        let found: HashMap<_, _> =
            accounts.filter_map(|&account| Some((account, cache.find(account, now_ms)?))).collect();
        metrics::device_sets("cache", found.len());
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
            let span = tracing::info_span!("messages.device_sets", accounts = part.len());
            let asked = self.ask(part).instrument(span).await;
            *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) =
                asked.is_err().then(Instant::now);
            let sets = asked?;
            metrics::device_sets_fetched(started.elapsed());
            metrics::device_sets("keys", part.len());
            let fewer = self.cache().remember(part, &sets, asked_at_ms, generation);
            for account in fewer {
                self.purges.add(account);
            }
            found.extend(part.iter().copied().zip(sets));
        }
        Ok(found)
    }

    /// Forgets an account, since its devices have changed.
    pub(crate) fn forget(&self, account: AccountUuid) {
        self.cache().forget(account);
    }

    /// Forgets all accounts, since changes may have gone unheard.
    pub(crate) fn forget_all(&self) {
        self.cache().forget_all();
    }

    async fn ask(&self, accounts: &[AccountUuid]) -> Result<Vec<Known>, KeysAway> {
        let request = DeviceSetsRequest {
            accounts: accounts.iter().map(|account| account.as_bytes().to_vec()).collect(),
        };
        let mut keys = self.keys.clone();
        let answer = tokio::time::timeout(self.timeout, keys.device_sets(request)).await;
        let sets = match answer {
            Ok(Ok(response)) => response.into_inner().sets,
            Ok(Err(status)) => {
                self.outage.begins(&format_args!("{}", status.code().description()));
                return Err(KeysAway);
            }
            Err(_) => {
                self.outage.begins(&"no answer in time");
                return Err(KeysAway);
            }
        };
        if sets.len() != accounts.len() {
            self.outage.begins(&"another number of sets than was asked for");
            return Err(KeysAway);
        }
        self.outage.ends();
        Ok(sets.into_iter().map(known).collect())
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        // A cache that a panic left half-changed still holds only true entries.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(set: keys::DeviceSet) -> Known {
    let device = |device: keys::Device| {
        Some((DeviceId::try_from(device.device_id).ok()?, device.registration_id))
    };
    let unready = set.unready.into_iter().filter_map(|device| DeviceId::try_from(device).ok());
    set.known.then(|| {
        Arc::new(DeviceSet {
            devices: set.devices.into_iter().filter_map(device).collect(),
            unready: unready.collect(),
            apps: set.apps,
        })
    })
}
