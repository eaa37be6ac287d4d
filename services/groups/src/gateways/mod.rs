//! The gateways that are attached to this replica, what each of them watches, and what is
//! published to them.

mod downlink;
mod error;
mod gateway;
mod publications;
mod sequence;
mod ticket;
mod watches;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

pub(crate) use self::{
    downlink::Downlink,
    error::StreamError,
    gateway::{AnswerSlot, Gateway},
    publications::{Publications, Turn},
    ticket::{Answer, Stale, Ticket, entry_bytes},
};
use crate::{config::GatewaysConfig, metrics};

/// The longest name of a gateway, in characters.
const MAX_NAME: usize = 64;

/// Those that are attached, by name.
#[derive(Debug, Default)]
pub(crate) struct Gateways(RwLock<HashMap<String, Arc<Gateway>>>);

impl Gateways {
    /// Attaches a gateway. One of the same name that is still attached is told to
    /// end: it is the same process, and its stream broke without our noticing.
    pub(crate) fn attach(
        &self,
        name: String,
        config: &GatewaysConfig,
    ) -> Result<(Arc<Gateway>, Downlink), StreamError> {
        if name.is_empty() || name.chars().count() > MAX_NAME || name.contains('/') {
            return Err(StreamError::MalformedGateway);
        }
        let (gateway, downlink) = Gateway::new(name.clone(), config);
        let gateway = Arc::new(gateway);
        let mut gateways = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = gateways.insert(name, Arc::clone(&gateway));
        metrics::gateways(gateways.len());
        drop(gateways);
        if let Some(before) = before {
            before.end(Err(StreamError::Replaced));
        }
        Ok((gateway, downlink))
    }

    /// Detaches a gateway, unless another stream of the same name has taken over.
    pub(crate) fn detach(&self, gateway: &Arc<Gateway>) {
        let mut gateways = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if gateways.get(gateway.name()).is_some_and(|now| Arc::ptr_eq(now, gateway)) {
            gateways.remove(gateway.name());
        }
        metrics::gateways(gateways.len());
    }
}
