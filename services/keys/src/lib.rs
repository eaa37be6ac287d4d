//! Accounts, their sigchains, and the public keys that let strangers write to each
//! other.
//!
//! # What it owns
//!
//! The Postgres schema `keys`: accounts, chains, handles, devices, prekeys, bindings
//! of app users to accounts, and the public halves of the keys that sign tokens. In
//! Redis, the challenges of logins. No other service reads or writes them.
//!
//! # What it promises
//!
//! - A one-time prekey is handed out at most once, whatever fails in between, and
//!   those who ask at the same time each get their own, while there are any (I-1).
//! - No prekey outlives its device: both hang on one row.
//! - A chain is linear. Of two appends at the same time one wins; ops of one request
//!   stand or fall together, with the handle and the devices that they bring.
//! - What it serves of a chain are the bytes that came.
//! - A token is sold only for the word of a registered app and a proof by a live
//!   device key, each for one use and one deployment.
//!
//! # What it does not do
//!
//! It never sees a private key of a user, and it does not judge whether an identity
//! key is the right one: clients compare safety numbers. It does not limit how fast
//! one caller may use up another's prekeys.

mod apps;
mod cache;
mod config;
#[warn(clippy::future_not_send, reason = "tonic needs them to be")]
mod db;
mod domain;
mod error;
mod grpc;
mod http;
mod jobs;
mod metrics;
#[warn(clippy::future_not_send, reason = "tonic needs them to be")]
mod ops;
mod signer;

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
pub use config::{AuthConfig, HandlesConfig, KeysConfig, OpsConfig, PrekeysConfig, TokenConfig};
pub use domain::{Head, upload::UploadError};
pub use error::KeysError;

use apps::Apps;
use grpc::GrpcKeys;
use ops::{Keys, Rules};
use signer::{SharedRng, TokenSigner};

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
    /// A key of an app is none. The configuration's own check finds it before.
    #[error("the key of an app: {0}")]
    App(String),
    /// The first token key could not be published.
    #[error("the token key could not be published")]
    TokenKey(#[source] KeysError),
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
    let Context { lifecycle, clock, domain, .. } = context;
    let Stores { db, redis, places } = stores;
    let auth = config.auth;
    let apps = Apps::new(apps, domain.clone(), auth.app_token_max_life, auth.app_token_leeway)?;
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
        rules: Arc::new(Rules::new(&config)),
    };
    jobs::keep_token_keys(keys.clone(), config.token.key_upkeep, &lifecycle);

    let verifier = TokenVerifier::new(domain, Arc::new(keys.published_keys()), clock);
    let grpc_keys = keys.clone();
    let grpc: GrpcFace = Box::new(move |routes| {
        routes.add_service(GrpcKeys(grpc_keys).into_service());
    });
    Ok(RoleParts {
        http: Some(http::face(keys.clone(), verifier)),
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
