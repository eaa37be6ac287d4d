//! Message routing: envelopes, and the queues in which they wait for devices.
//!
//! # What it owns
//!
//! The Postgres schema `messages`. No other service reads or writes it.
//!
//! # What it promises
//!
//! - A send that is answered `Accepted` is durable: its envelopes wait until their
//!   devices acknowledge them, or their time is over.
//! - A send that comes again stores nothing twice, whichever replica it comes to.
//! - A send is stored for exactly the devices that its recipient has, or not at all.
//! - A send is taken only from a device that its account has. One that was revoked is
//!   refused as soon as the change is heard, or the remembered devices are too old.
//! - The sends of one device are stored in the order in which they came, and what it
//!   retracts is deleted in the same order.
//! - What is ephemeral is never stored.
//! - A queue has a bound. What does not fit is not accepted, and the device is told.
//! - A device that its account does not have gets nothing, and its queue is deleted.
//! - While nothing is to be changed, queues are read all the same.
//!
//! # What it does not do
//!
//! It cannot read an envelope. It knows no sockets: gateways do, and each holds one
//! stream to every replica. It does not promise that a gateway hears of an envelope
//! at once: an announcement is a hint, and the row is the truth.

mod config;
mod db;
mod device_sets;
mod domain;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateways;
mod grpc;
mod halves;
mod jobs;
mod metrics;
mod ops;
mod outage;
mod purges;

use sotto_kit::{
    grpc::MAX_MESSAGE_BYTES,
    health::Health,
    service::{Context, RoleParts},
};
use sotto_proto::messages::messages_service_server::MessagesServiceServer;
use sotto_store::{device_changes::DeviceChanges, places::Places};
use sqlx::PgPool;
use tonic::transport::Channel;

pub use self::{
    config::{
        AcksConfig, CommitConfig, DEFAULTS, DeviceSetsConfig, DownlinkConfig, EphemeralConfig,
        MessagesConfig, PagesConfig, QueueConfig,
    },
    domain::Interop,
    error::BuildError,
};
use self::{grpc::GrpcMessages, ops::Messages};

/// The name of this role.
pub const ROLE: &str = "messages";

/// The Postgres role that its connections act as.
pub const POSTGRES_ROLE: &str = "sotto_messages";

/// Whom the service speaks to.
#[derive(Debug, Clone)]
pub struct Neighbours {
    /// A pool of its own, acting as [`POSTGRES_ROLE`], with more connections than
    /// there are writers.
    pub db: PgPool,
    /// Where devices are.
    pub places: Places,
    /// Who tells that the devices of an account have changed.
    pub device_changes: DeviceChanges,
    /// The keys service.
    pub keys: Channel,
    /// Which apps may write to each other.
    pub interop: Interop,
}

/// Builds the role. It is ready to serve when this returns: the days that envelopes
/// may fall on exist, unless there is maintenance.
///
/// # Errors
///
/// See [`BuildError`].
pub async fn build(
    context: Context,
    neighbours: Neighbours,
    config: MessagesConfig,
) -> Result<RoleParts, BuildError> {
    metrics::describe();
    let device_changes = neighbours.device_changes.clone();
    // In maintenance no send is taken, and the job makes the days when it is over.
    if context.read_only.check().is_ok() {
        jobs::make_days(context.clock.now_ms(), &config, &neighbours.db)
            .await
            .map_err(BuildError::Partitions)?;
    }
    let messages = Messages::start(context, neighbours, config)?;
    jobs::start(&messages, device_changes).await;

    let mut health = Health::default();
    let db = messages.db.clone();
    health.require("postgres", move || {
        let db = db.clone();
        async move { db::answers(&db).await }
    });
    let service = MessagesServiceServer::new(GrpcMessages(messages))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Ok(RoleParts {
        http: None,
        grpc: Some(Box::new(move |routes| {
            routes.add_service(service);
        })),
        health,
    })
}
