//! The gateway: the live sockets of devices.
//!
//! # What it owns
//!
//! The sockets, and for each the envelopes that are on their way without an Ack, and the
//! groups that its device is in. In
//! Redis the places of devices, and the tickets with which they resume. No database.
//!
//! # What it promises
//!
//! - An envelope that is announced for a device on a socket here is written to that
//!   socket, or found by the next read of the queue. None is passed over for good.
//! - What is stored in a group is written to the sockets of its devices here, or they are
//!   told where its log ends.
//! - A socket takes bounded memory, and a slow or dead one holds up no other.
//! - A device has one socket: a later one displaces the one before, wherever it is.
//! - A drain tells every socket to come back, and spreads when.
//!
//! # What it does not do
//!
//! It judges no send, stores no envelope and decodes none on the binary subprotocol.
//! It delivers at least once: an Ack that is lost brings its envelope again.
//!
//! # The parts
//!
//! `entrance` lets upgrades in, `admission` makes a socket the one of its device,
//! `session` is the state machine of one socket and the task that drives it,
//! `transport` the socket itself, `links` the streams to the replicas, `registry` and
//! `mailbox` what leads from those to the sockets, `groups` who is to hear what is published.

mod admission;
mod audit;
mod bucket;
mod config;
mod drain;
mod entrance;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod groups;
mod http;
mod links;
mod mailbox;
mod metrics;
mod notices;
mod registry;
mod rest;
mod resync;
mod session;
mod tickets;
mod token_keys;
mod transport;
mod wheel;

use std::sync::Arc;

use rand::{SeedableRng as _, rngs::StdRng};
use sotto_kit::{
    auth::TokenVerifier,
    health::Health,
    service::{Context, RoleParts},
};
use sotto_store::{notices::Notices, places::Places, redis::Redis};
use tonic::transport::Channel;

pub use self::{
    config::{
        AdmissionConfig, DEFAULT_CONFIG, DrainConfig, GatewayConfig, GroupsConfig, LinksConfig,
        MailboxConfig, PlacesConfig, PollConfig, ResumeConfig, ResyncConfig, SessionConfig,
    },
    error::BuildError,
    links::MalformedReplicas,
    session::close::{CloseCode, reference as close_code_reference},
};
use self::{gateway::Gateway, links::Replicas, token_keys::RemoteTokenKeys};

/// The name of this role.
pub const ROLE: &str = "gateway";

/// Whom the gateway speaks to.
#[derive(Debug, Clone)]
pub struct Neighbours {
    /// Where devices are.
    pub places: Places,
    /// What other processes say about sockets here.
    pub notices: Notices,
    /// Where tickets are kept.
    pub redis: Redis,
    /// The keys service.
    pub keys: Channel,
    /// The messages replicas, as `http://host:port`. Every address that a name has is
    /// one of them.
    pub messages: Vec<String>,
    /// The groups replicas, in the same way. Without any there are no groups.
    pub groups: Vec<String>,
}

/// What it serves over HTTP. What holds for all operations is not in it yet; see
/// [`sotto_kit::openapi::complete`].
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::document().merge_from(rest::document())
}

/// Builds the role and starts what runs beside its sockets.
///
/// It requires nothing to be ready: without Redis, or without a replica, the sockets
/// that it has are still worth keeping.
///
/// # Errors
///
/// See [`BuildError`].
#[expect(clippy::unused_async, reason = "all roles are built alike")]
pub async fn build(
    context: Context,
    neighbours: Neighbours,
    config: GatewayConfig,
) -> Result<RoleParts, BuildError> {
    metrics::describe();
    let replicas = Replicas::parse("messages", &neighbours.messages)?;
    let groups_replicas = Replicas::parse("groups", &neighbours.groups)?;
    let http_data = context.http_data();
    let keys = Arc::new(RemoteTokenKeys::new(neighbours.keys));
    let verifier = TokenVerifier::new(context.domain, keys, context.clock.clone());
    let gateway = Gateway::start(gateway::Parts {
        lifecycle: context.lifecycle,
        clock: context.clock,
        verifier,
        limits: context.limits,
        places: neighbours.places,
        notices: neighbours.notices,
        redis: neighbours.redis,
        replicas,
        groups_replicas,
        config,
        rng: StdRng::from_os_rng(),
    });
    Ok(RoleParts {
        http: Some(Arc::new(move |app| {
            http::configure(app, &gateway);
            rest::configure(app, &gateway, &http_data);
        })),
        grpc: None,
        health: Health::default(),
    })
}
