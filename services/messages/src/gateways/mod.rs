//! The gateways that are attached to this replica, by name.

mod downlink;
mod gateway;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

pub(crate) use self::{
    downlink::Downlink,
    gateway::{Gateway, PageSlot, Ticket, stored},
};
use crate::{config::MessagesConfig, error::MessagesError, metrics};

/// The longest name of a gateway, in characters.
const MAX_NAME: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Gateways(RwLock<HashMap<String, Arc<Gateway>>>);

impl Gateways {
    /// Attaches a gateway. One of the same name that is still attached is told to
    /// end: it is the same process, and its stream broke without our noticing.
    pub(crate) fn attach(
        &self,
        name: String,
        config: &MessagesConfig,
    ) -> Result<(Arc<Gateway>, Downlink), MessagesError> {
        if name.is_empty() || name.chars().count() > MAX_NAME || name.contains('/') {
            return Err(MessagesError::MalformedGateway);
        }
        let (gateway, downlink) = Gateway::new(name.clone(), config);
        let gateway = Arc::new(gateway);
        let mut gateways = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = gateways.insert(name, Arc::clone(&gateway));
        metrics::gateways(gateways.len());
        drop(gateways);
        if let Some(before) = before {
            before.end(Err(MessagesError::Replaced));
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

    /// Has all of them attach again, since hints for any of them may be lost.
    pub(crate) fn lose_hints(&self) {
        let gateways = self.0.read().unwrap_or_else(PoisonError::into_inner);
        gateways.values().for_each(|gateway| gateway.loses_hints());
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Gateway>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
