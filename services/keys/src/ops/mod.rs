//! The use cases, one group of verbs a file.

mod append;
mod bundles;
mod chain;
mod count;
mod device_sets;
mod hints;
mod links;
mod login;
mod publish;
mod register;

use std::sync::Arc;

use sotto_kit::clock::SharedClock;
use sotto_store::{device_changes::DeviceChanges, notices::Notices, redis::Redis};
use sqlx::PgPool;

pub(crate) use bundles::{Bundles, DeviceBundle, Wanted};
pub(crate) use login::Login;
pub(crate) use publish::Uploaded;
pub(crate) use register::Registration;

use crate::{
    apps::Apps,
    config::{AuthConfig, KeysConfig, PrekeysConfig},
    domain::{op_rate::OpRate, reserved::Reserved},
    error::KeysError,
    signer::{PublishedKeys, SharedRng, TokenSigner},
};

/// The keys service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) db: PgPool,
    pub(crate) redis: Redis,
    pub(crate) notices: Notices,
    pub(crate) device_changes: DeviceChanges,
    pub(crate) apps: Arc<Apps>,
    pub(crate) signer: Arc<TokenSigner>,
    pub(crate) rng: SharedRng,
    pub(crate) clock: SharedClock,
    pub(crate) domain: Arc<str>,
    pub(crate) rules: Arc<Rules>,
}

/// The settings in the form that the use cases want.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) auth: AuthConfig,
    pub(crate) op_rate: OpRate,
    pub(crate) reserved: Reserved,
    pub(crate) handles_per_account: u16,
    pub(crate) prekeys: PrekeysConfig,
}

impl Rules {
    pub(crate) fn new(config: &KeysConfig) -> Self {
        Self {
            auth: config.auth,
            op_rate: OpRate::new(config.ops),
            reserved: Reserved::new(&config.handles.reserved),
            handles_per_account: config.handles.per_account,
            prekeys: config.prekeys,
        }
    }
}

impl Keys {
    /// The public keys of the tokens, those of the other replicas included.
    pub(crate) fn published_keys(&self) -> PublishedKeys {
        PublishedKeys { db: self.db.clone(), clock: Arc::clone(&self.clock) }
    }
}

/// Runs work that verifies many signatures where it holds up nobody else's requests.
async fn off_the_async_threads<T, F>(work: F) -> Result<T, KeysError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, KeysError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(KeysError::CutOff)?
}
