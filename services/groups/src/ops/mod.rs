//! The use cases, one a file.

use std::{ops::Deref, sync::Arc};

use sotto_kit::{
    clock::SharedClock, lifecycle::Lifecycle, limits::SharedLimiter, read_only::ReadOnly,
    service::Context,
};
use sotto_store::{notices::Notices, places::Places};
use sqlx::PgPool;

use crate::{BuildError, Neighbours, config::GroupsConfig, domain::Interop};

/// The groups service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Groups(Arc<Inner>);

/// What the use cases share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) db: PgPool,
    pub(crate) notices: Notices,
    pub(crate) places: Places,
    pub(crate) interop: Interop,
    pub(crate) config: GroupsConfig,
    pub(crate) clock: SharedClock,
    pub(crate) domain: String,
    pub(crate) limits: SharedLimiter,
    pub(crate) read_only: ReadOnly,
    pub(crate) lifecycle: Lifecycle,
}

impl Deref for Groups {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Groups {
    pub(crate) fn new(
        context: Context,
        neighbours: Neighbours,
        config: GroupsConfig,
    ) -> Result<Self, BuildError> {
        let Context { lifecycle, clock, domain, limits, read_only } = context;
        let Neighbours { db, redis, places, device_changes: _, keys: _, interop } = neighbours;
        Ok(Self(Arc::new(Inner {
            notices: Notices::new(redis, places.clone()),
            db,
            places,
            interop,
            config,
            clock,
            domain,
            limits,
            read_only,
            lifecycle,
        })))
    }
}
