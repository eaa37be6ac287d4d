//! What all sockets of the process share, and what runs beside them.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sotto_ids::ConnectionId;
use sotto_kit::{
    auth::TokenVerifier, clock::SharedClock, lifecycle::Lifecycle, limits::SharedLimiter,
};
use sotto_proto::messages::uplink::Item;
use sotto_store::{notices::Notices, places::Places, redis::Redis};

use crate::{
    admission::Admission,
    audit::Audit,
    config::{GatewayConfig, SessionConfig},
    drain,
    entrance::Entrance,
    groups::{self, Groups},
    links::{Attachment, Links, Replicas, keep_attached},
    metrics::Meters,
    notices,
    registry::Registry,
    resync::Resync,
    tickets::Tickets,
    transport::Budget,
    wheel::Wheel,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) config: GatewayConfig,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) clock: SharedClock,
    pub(crate) verifier: TokenVerifier,
    pub(crate) limits: SharedLimiter,
    pub(crate) registry: Arc<Registry>,
    pub(crate) links: Arc<Links<Item>>,
    pub(crate) groups: Arc<Groups>,
    /// Whether there is a groups service.
    pub(crate) has_groups: bool,
    pub(crate) wheel: Arc<Wheel>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) entrance: Entrance,
    pub(crate) tickets: Tickets,
    pub(crate) budget: Arc<Budget>,
    pub(crate) meters: Meters,
    rng: Mutex<StdRng>,
}

/// What a gateway is made from.
pub(crate) struct Parts {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) clock: SharedClock,
    pub(crate) verifier: TokenVerifier,
    pub(crate) limits: SharedLimiter,
    pub(crate) places: Places,
    pub(crate) notices: Notices,
    pub(crate) redis: Redis,
    pub(crate) replicas: Replicas,
    pub(crate) groups_replicas: Replicas,
    pub(crate) config: GatewayConfig,
    pub(crate) rng: StdRng,
}

impl Gateway {
    /// Makes a gateway without sockets and starts what runs beside them.
    pub(crate) fn start(parts: Parts) -> Arc<Self> {
        let Parts {
            lifecycle,
            clock,
            verifier,
            limits,
            places,
            notices,
            redis,
            replicas,
            groups_replicas,
            config,
            mut rng,
        } = parts;
        let name = format!("{:016x}", rng.random::<u64>());
        let registry = Arc::new(Registry::default());
        let links = Arc::new(Links::default());
        let wheel = Arc::new(Wheel::new(clock.clone()));
        let resync = Arc::new(Resync::new(config.resync.clone()));
        let admission = Arc::new(Admission {
            gateway: name.clone(),
            registry: registry.clone(),
            places,
            notices,
            patience: config.places.patience,
        });
        let audit = Arc::new(Audit::new(admission.clone(), resync.clone(), config.places.clone()));
        let attachment = Arc::new(Attachment {
            gateway: name.clone(),
            config: config.links.clone(),
            links: links.clone(),
            registry: registry.clone(),
            resync: resync.clone(),
        });
        let groups = Groups::new(config.groups.clone());
        let groups_attachment = Arc::new(groups::Attachment {
            gateway: name,
            config: config.links.clone(),
            groups: groups.clone(),
            registry: registry.clone(),
        });

        let stopped = || lifecycle.stopped();
        let mut seed = || StdRng::from_rng(&mut rng);
        lifecycle.spawn("gateway.wheel", wheel.clone().run(registry.clone(), stopped()));
        lifecycle.spawn("gateway.resync", resync.clone().run(registry.clone(), stopped()));
        lifecycle.spawn("gateway.audit", audit.clone().run(stopped(), seed()));
        lifecycle.spawn(
            "gateway.notices",
            notices::listen(admission.clone(), audit, resync, groups.clone(), stopped(), seed()),
        );
        lifecycle.spawn(
            "gateway.replicas",
            keep_attached(replicas, attachment, lifecycle.clone(), seed()),
        );
        let has_groups = !groups_replicas.is_empty();
        if has_groups {
            groups.start(&lifecycle, seed());
            lifecycle.spawn(
                "gateway.groups_replicas",
                keep_attached(groups_replicas, groups_attachment, lifecycle.clone(), seed()),
            );
        }
        let drain_rng = seed();
        let entrance = Entrance::new(config.admission.clone(), clock.clone(), seed());
        let (resume, patience) = (config.resume.clone(), config.places.patience);
        let tickets = Tickets::new(resume, redis, clock.clone(), patience, seed());

        let gateway = Arc::new(Self {
            session: Arc::new(config.session.clone()),
            budget: Budget::new(config.max_partial_bytes.0),
            meters: Meters::new(),
            rng: Mutex::new(rng),
            config,
            lifecycle,
            clock,
            verifier,
            limits,
            registry,
            links,
            groups,
            has_groups,
            wheel,
            admission,
            entrance,
            tickets,
        });
        // The process does not stop before the sockets are told.
        let hold = gateway.lifecycle.hold();
        let draining = drain::drain(gateway.clone(), drain_rng);
        gateway.lifecycle.spawn("gateway.drain", async move {
            draining.await;
            drop(hold);
        });
        gateway
    }

    /// Whether the process is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    /// The name of a new connection, and the turn that it has in each period.
    pub(crate) fn draw(&self) -> (ConnectionId, u32) {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        (ConnectionId(rng.random()), rng.random())
    }
}
