//! The use cases, one group of verbs a file.

mod admission;
mod append;
mod bundles;
mod chain;
mod claim_key_packages;
mod count;
mod device_sets;
mod digest;
mod hints;
mod identity_document;
mod invites;
mod key_packages;
mod links;
mod liveness;
mod login;
mod mailbox;
mod mls_devices;
mod population;
mod publish;
mod register;

use std::sync::Arc;

use sotto_kit::{
    clock::SharedClock, lifecycle::Lifecycle, limits::SharedLimiter, read_only::ReadOnly,
};
use sotto_store::{device_changes::DeviceChanges, notices::Notices, redis::Redis};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub(crate) use admission::{Pass, Required, Work};
pub(crate) use append::Author;
pub(crate) use bundles::{Bundles, DeviceBundle, Wanted};
pub(crate) use claim_key_packages::{ClaimedAccount, ClaimedKeyPackage};
pub(crate) use digest::Published;
pub(crate) use identity_document::IdentityDocument;
pub use invites::{NewInvites, make_invites};
pub(crate) use key_packages::{KeyPackageStock, UploadedKeyPackages};
pub(crate) use login::Login;
pub(crate) use mls_devices::MlsDevices;
pub(crate) use population::Population;
pub(crate) use publish::Uploaded;
pub(crate) use register::Registration;

use crate::{
    apps::Apps,
    config::{
        AuthConfig, KeyPackagesConfig, KeysConfig, MailboxConfig, PrekeysConfig, PublicConfig,
        RegistrationConfig,
    },
    domain::{op_rate::OpRate, reserved::Reserved},
    error::KeysError,
    signer::{PublishedKeys, SharedRng, TokenSigner},
    waiting::Waiting,
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
    /// For what a route does not know: accounts, pairs and apps.
    pub(crate) limits: SharedLimiter,
    /// For what a route does not know: whether a login binds anybody.
    pub(crate) read_only: ReadOnly,
    pub(crate) rules: Arc<Rules>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) population: Arc<Population>,
    pub(crate) lifecycle: Lifecycle,
    /// From here on, requests that wait are answered with what there is.
    pub(crate) draining: CancellationToken,
}

/// The settings in the form that the use cases want.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) auth: AuthConfig,
    pub(crate) op_rate: OpRate,
    pub(crate) reserved: Reserved,
    pub(crate) handles_per_account: u16,
    pub(crate) key_packages: KeyPackagesConfig,
    pub(crate) mailbox: MailboxConfig,
    pub(crate) prekeys: PrekeysConfig,
    pub(crate) public: PublicConfig,
    pub(crate) registration: RegistrationConfig,
}

impl Rules {
    pub(crate) fn new(config: &KeysConfig) -> Self {
        Self {
            auth: config.auth,
            op_rate: OpRate::new(config.ops),
            reserved: Reserved::new(&config.handles.reserved),
            handles_per_account: config.handles.per_account,
            key_packages: config.key_packages,
            mailbox: config.mailbox,
            prekeys: config.prekeys,
            public: config.public.clone(),
            registration: config.registration,
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
