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
mod domain;
mod error;
mod ops;

use sotto_kit::{
    health::Health,
    service::{Context, RoleParts},
};
use sotto_store::{device_changes::DeviceChanges, places::Places, redis::Redis};
use sqlx::PgPool;
use tonic::transport::Channel;

use self::ops::Groups;
pub use self::{
    config::{CommitsConfig, DEFAULTS, DevicesConfig, GroupsConfig, WelcomesConfig},
    domain::Interop,
    error::{Behind, GroupsError, Lag},
};

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
    let groups = Groups::new(context, neighbours, config)?;
    Ok(RoleParts { http: None, grpc: None, health: health(&groups) })
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
