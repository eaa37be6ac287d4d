//! The delivery service of MLS groups.
//!
//! # What it owns
//!
//! The Postgres schema `groups`: where each group stands, the devices that are in it, its log,
//! its public state, and the Welcomes that wait. No other service reads or writes it.
//!
//! # What it promises
//!
//! - Of all commits in an epoch one wins, whichever replicas they come to. It is there with
//!   everything that belongs to it, or not at all, and the others are told it (I-4).
//! - A commit is taken if every member will take it: its signature, its tree and its GroupInfo
//!   are checked as members check them, each new leaf is certified by the chain of its
//!   account, and the policy of the group allows it.
//! - A request that is refused changes nothing (I-9).
//! - The log of a group has no gaps and one order, which all members see.
//! - A message is stored once, however many members there are, and once however often it is
//!   sent.
//!
//! # What it does not do
//!
//! It cannot read a message, nor what a group is called. It does not promise that a gateway
//! hears of an entry at once: a publication is a hint, and the log is the truth.

mod config;
mod db;
mod devices;
mod domain;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateways;
mod grpc;
mod halves;
mod http;
mod jobs;
mod metrics;
mod mls;
mod ops;
mod outage;
mod roster;
mod sweeps;
mod token_keys;

use std::sync::Arc;

use sotto_kit::{
    auth::TokenVerifier,
    clock::SharedClock,
    grpc::MAX_MESSAGE_BYTES,
    health::Health,
    service::{Context, RoleParts},
};
use sotto_proto::groups::groups_service_server::GroupsServiceServer;
use sotto_store::{device_changes::DeviceChanges, places::Places, redis::Redis};
use sqlx::PgPool;
use tonic::transport::Channel;

pub use self::{
    config::{
        AcksConfig, CommitsConfig, DEFAULTS, DevicesConfig, GatewaysConfig, GroupsConfig,
        LogConfig, RosterConfig, SendsConfig, SweepConfig, WelcomesConfig,
    },
    domain::Interop,
    error::{Behind, GroupsError, Lag},
};
use self::{grpc::GrpcGroups, ops::Groups, token_keys::RemoteTokenKeys};

/// The name of this role.
pub const ROLE: &str = "groups";

/// The Postgres role that its connections act as.
pub const POSTGRES_ROLE: &str = "sotto_groups";

/// Whom the service speaks to.
#[derive(Debug, Clone)]
pub struct Neighbours {
    /// A pool of its own, acting as [`POSTGRES_ROLE`].
    pub db: PgPool,
    /// For notices.
    pub redis: Redis,
    /// Where devices are.
    pub places: Places,
    /// Who tells that the devices of an account have changed.
    pub device_changes: DeviceChanges,
    /// The keys service.
    pub keys: Channel,
    /// Which apps may be in one group.
    pub interop: Interop,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The secret of the external sender cannot be read, or is none.
    #[error("groups.external_sender: {0}")]
    ExternalSender(String),
    /// The pool would have no connection left beside the writers.
    #[error("postgres.max_connections: must be more than groups.sends.writers")]
    TooFewConnections,
}

/// What it serves over HTTP. What holds for all operations is not in it yet; see
/// [`sotto_kit::openapi::complete`].
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::document()
}

/// Builds the service.
///
/// # Errors
///
/// See [`BuildError`].
pub async fn build(
    context: Context,
    neighbours: Neighbours,
    config: GroupsConfig,
) -> Result<RoleParts, BuildError> {
    metrics::describe();
    let device_changes = neighbours.device_changes.clone();
    let token_keys = Arc::new(RemoteTokenKeys::new(neighbours.keys.clone()));
    let clock = SharedClock::clone(&context.clock);
    let verifier = TokenVerifier::new(context.domain.clone(), token_keys, clock);
    let (groups, inboxes) = Groups::new(context.clone(), neighbours, config)?;
    groups.start(inboxes);
    jobs::start(&groups, device_changes).await;

    let health = health(&groups);
    let http = http::face(groups.clone(), verifier, &context);
    let service = GroupsServiceServer::new(GrpcGroups(groups))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Ok(RoleParts {
        http: Some(http),
        grpc: Some(Box::new(move |routes| {
            routes.add_service(service);
        })),
        health,
    })
}

/// Without Postgres nothing can be done. Without Redis nobody hears of changes at once.
fn health(groups: &Groups) -> Health {
    let db = groups.db.clone();
    let mut health = Health::default();
    health.require("postgres", move || {
        let db = db.clone();
        async move { db::answers(&db).await }
    });
    health
}
