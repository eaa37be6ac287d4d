//! The use cases, one a file.

mod acknowledge;
mod announce;
mod certify;
mod commit;
mod create;
mod delivery;
mod following;
mod info;
mod propose;
mod questions;
mod read_log;
mod reseal;
mod reset;
mod standing;
mod store_call;
mod submit;
mod welcomes;

use std::{ops::Deref, sync::Arc};

use sotto_kit::{clock::SharedClock, lifecycle::Lifecycle, read_only::ReadOnly, service::Context};
use sotto_store::{notices::Notices, places::Places};
use sqlx::PgPool;

pub(crate) use self::{
    commit::{CommitRequest, MAX_GROUP_INFO_BYTES},
    create::BeginRequest,
    questions::{Question, group_ids},
};
use self::{
    delivery::{Delivery, Inboxes},
    following::Following,
};
use crate::{
    BuildError, Neighbours, config::GroupsConfig, devices::LiveDevices, domain::Interop,
    mls::ExternalSender,
};

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
    pub(crate) read_only: ReadOnly,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) external_sender: Arc<ExternalSender>,
    pub(crate) devices: LiveDevices,
    pub(crate) following: Following,
    pub(crate) delivery: Delivery,
}

impl Deref for Groups {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Groups {
    /// Puts the service together. Its writers are to be started with what else is answered.
    pub(crate) fn new(
        context: Context,
        neighbours: Neighbours,
        config: GroupsConfig,
    ) -> Result<(Self, Inboxes), BuildError> {
        let Context { lifecycle, clock, domain, read_only, .. } = context;
        let Neighbours { db, redis, places, device_changes: _, keys, interop } = neighbours;
        let secret = config.external_sender.reveal().map_err(BuildError::ExternalSender)?;
        let external_sender =
            ExternalSender::new(&secret, domain).map_err(BuildError::ExternalSender)?;
        let (delivery, inboxes) = Delivery::new(&config, &db)?;
        let groups = Self(Arc::new(Inner {
            notices: Notices::new(redis, places.clone()),
            external_sender: Arc::new(external_sender),
            devices: LiveDevices::new(keys, Arc::clone(&clock), &config.devices),
            following: Following::new(&config.commits),
            delivery,
            db,
            places,
            interop,
            config,
            clock,
            read_only,
            lifecycle,
        }));
        Ok((groups, inboxes))
    }
}
