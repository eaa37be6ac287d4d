//! Accounts, their sigchains, and the public keys that let strangers write to each
//! other.
//!
//! # What it owns
//!
//! The Postgres schema `keys`: accounts, chains, handles, devices, prekeys, KeyPackages, bindings
//! of app users to accounts, invites, and the public halves of the keys that sign
//! tokens. In Redis, challenges, and the mailboxes through which devices are linked. No
//! other service reads or writes them.
//!
//! # What it promises
//!
//! - A one-time prekey or KeyPackage is handed out at most once, whatever fails in between, and
//!   those who ask at the same time each get their own, while there are any (I-1).
//! - One device cannot use up the one-time prekeys of another account: what it may claim
//!   of each is limited, with Redis or without.
//! - No prekey or KeyPackage outlives its device: they hang on one row.
//! - A KeyPackage is handed out only if the chain certifies its leaf, and never at the end
//!   of its lifetime.
//! - A device that is off its account, or whose certificate has ended, gets nothing done
//!   here, however long its token is still good for (I-7).
//! - A chain is linear. Of two appends at the same time one wins; ops of one request
//!   stand or fall together, with the handle and the devices that they bring.
//! - What it serves of a chain are the bytes that came.
//! - The recovery set brings an account back with no token and no device, and nobody
//!   who has the account key can hold it up.
//! - A token is sold only for the word of a registered app and a proof by a live
//!   device key, each for one use and one deployment.
//!
//! # What it does not do
//!
//! It never sees a private key of a user, and it does not judge whether an identity
//! key is the right one: clients compare safety numbers.

mod apps;
mod cache;
mod config;
#[warn(clippy::future_not_send, reason = "tonic needs them to be")]
mod db;
mod domain;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grpc;
mod http;
mod jobs;
mod metrics;
#[warn(clippy::future_not_send, reason = "tonic needs them to be")]
mod ops;
mod signer;
mod waiting;

use std::sync::Arc;

use rand::{SeedableRng as _, rngs::StdRng};
use sotto_kit::{
    auth::TokenVerifier,
    health::Health,
    service::{Context, GrpcFace, RoleParts},
};
use sotto_store::{device_changes::DeviceChanges, notices::Notices, places::Places, redis::Redis};
use sqlx::PgPool;

pub use apps::{AppConfig, AppTokenError, AppsConfig, Jwk};
pub use config::{
    AuthConfig, HandlesConfig, JwksConfig, KeyPackagesConfig, KeysConfig, MailboxConfig, OpsConfig,
    PrekeysConfig, PublicConfig, RegistrationConfig, RegistrationMode, TokenConfig,
};
pub use domain::{
    Head,
    key_package_upload::{KeyPackageError, Which},
    mailbox::MailboxError,
    registration::RegistrationError,
    upload::UploadError,
};
pub use error::KeysError;
pub use ops::{NewInvites, make_invites};

use apps::Apps;
use grpc::GrpcKeys;
use ops::{Keys, Population, Rules};
use signer::{SharedRng, TokenSigner};
use waiting::Waiting;

/// The name of the role, and of its database role after `sotto_`.
pub const ROLE: &str = "keys";

/// The stores that the service works on.
#[derive(Debug, Clone)]
pub struct Stores {
    /// A pool whose connections can reach the schema `keys`.
    pub db: PgPool,
    /// For challenges and hints.
    pub redis: Redis,
    /// Where devices are connected, for hints to them.
    pub places: Places,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A key of an app is none, or an app has none. The configuration's own check finds
    /// it before.
    #[error("the keys of the app {0}")]
    App(String),
    /// The key sets of apps cannot be fetched from here: there are no certificates of
    /// authorities, for one.
    #[error("the client for the key sets of apps")]
    HttpClient(#[source] reqwest::Error),
    /// The first token key could not be published.
    #[error("the token key could not be published")]
    TokenKey(#[source] KeysError),
}

/// What it serves over HTTP. What holds for all operations is not in it yet; see
/// [`sotto_kit::openapi::complete`].
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::document()
}

/// Builds the service. Its key for tokens is published when this returns.
///
/// # Errors
///
/// See [`BuildError`].
pub async fn build(
    context: Context,
    config: KeysConfig,
    apps: &AppsConfig,
    stores: Stores,
) -> Result<RoleParts, BuildError> {
    metrics::describe();
    let Context { lifecycle, clock, domain, limits, read_only } = context.clone();
    let Stores { db, redis, places } = stores;
    let auth = config.auth;
    let apps = Apps::new(apps, domain.clone(), auth, config.jwks, &clock, &lifecycle)?;
    let shared_domain: Arc<str> = domain.as_str().into();
    let rng = SharedRng::new(StdRng::from_os_rng());
    let signer =
        TokenSigner::new(Arc::clone(&shared_domain), config.token, rng.clone(), Arc::clone(&clock));
    signer.renew(&db).await.map_err(BuildError::TokenKey)?;

    let keys = Keys {
        notices: Notices::new(redis.clone(), places),
        device_changes: DeviceChanges::new(redis.clone()),
        db,
        redis,
        apps: Arc::new(apps),
        signer: Arc::new(signer),
        rng,
        clock: Arc::clone(&clock),
        domain: shared_domain,
        limits,
        read_only,
        rules: Arc::new(Rules::new(&config)),
        waiting: Waiting::new(usize::try_from(config.mailbox.most_waiting).unwrap_or(usize::MAX)),
        population: Arc::new(Population::default()),
        lifecycle: lifecycle.clone(),
        draining: lifecycle.draining(),
    };
    jobs::listen_for_messages(keys.clone(), &lifecycle);
    jobs::count_stale_prekeys(keys.clone(), &lifecycle);
    jobs::keep_key_packages(keys.clone(), &lifecycle);
    jobs::keep_token_keys(keys.clone(), config.token.key_upkeep, &lifecycle);

    let verifier = TokenVerifier::new(domain, Arc::new(keys.published_keys()), clock);
    let grpc_keys = keys.clone();
    let grpc: GrpcFace = Box::new(move |routes| {
        routes.add_service(GrpcKeys(grpc_keys).into_service());
    });
    Ok(RoleParts {
        http: Some(http::face(keys.clone(), verifier, &context)),
        grpc: Some(grpc),
        health: health(&keys),
    })
}

/// Without Postgres nothing can be done. Without Redis nobody can log in, which the
/// other requests need not suffer for.
fn health(keys: &Keys) -> Health {
    let db = keys.db.clone();
    let mut health = Health::default();
    health.require("postgres", move || {
        let db = db.clone();
        async move { sqlx::query("SELECT 1").execute(&db).await.is_ok() }
    });
    health
}
