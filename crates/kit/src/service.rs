//! The shape that every role has: built from a context, it gives its faces, and the
//! process that runs one role or all of them puts those on listeners.

use std::{fmt, sync::Arc};

use actix_web::web::{self, ServiceConfig};
use tonic::service::RoutesBuilder;

use crate::{
    clock::SharedClock,
    health::Health,
    lifecycle::Lifecycle,
    limits::{SharedLimiter, Unlimited},
    read_only::ReadOnly,
};

/// What every role gets from the process that it runs in.
#[derive(Debug, Clone)]
pub struct Context {
    /// How the process ends.
    pub lifecycle: Lifecycle,
    /// What time it is.
    pub clock: SharedClock,
    /// The deployment's domain, the home of its accounts.
    pub domain: String,
    /// How much callers may ask for.
    pub limits: SharedLimiter,
    /// Whether anything may be changed now.
    pub read_only: ReadOnly,
}

impl Context {
    /// A context in which nothing is limited and everything may be changed: for tests of
    /// something else.
    pub fn unlimited(lifecycle: Lifecycle, clock: SharedClock, domain: String) -> Self {
        let read_only = ReadOnly::never(SharedClock::clone(&clock));
        Self { lifecycle, clock, domain, limits: Arc::new(Unlimited), read_only }
    }

    /// What `limited` and `writes` of [`crate::http`] look for in the data of an app.
    pub fn http_data(&self) -> (web::Data<SharedLimiter>, web::Data<ReadOnly>) {
        (web::Data::new(Arc::clone(&self.limits)), web::Data::new(self.read_only.clone()))
    }
}

/// Adds a role's routes to an actix app. Called once for each worker.
pub type HttpFace = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// Adds a role's gRPC services to the routes of the process.
pub type GrpcFace = Box<dyn FnOnce(&mut RoutesBuilder) + Send>;

/// A role that is ready to be served.
pub struct RoleParts {
    /// Its public face, where it has one.
    pub http: Option<HttpFace>,
    /// Its internal face, where it has one.
    pub grpc: Option<GrpcFace>,
    /// What it requires to serve.
    pub health: Health,
}

impl fmt::Debug for RoleParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleParts")
            .field("http", &self.http.is_some())
            .field("grpc", &self.grpc.is_some())
            .field("health", &self.health)
            .finish()
    }
}
