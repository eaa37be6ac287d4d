//! How a socket becomes the one of its device, and stops being it.

use std::{sync::Arc, time::Duration};

use sotto_ids::{ConnectionId, DeviceAddress};
use sotto_store::{
    notices::{Notice, Notices},
    places::{Place, Places},
};
use tokio::time::timeout;

use crate::{
    metrics,
    registry::{Handle, Registry},
    session::io::Event,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Random for each start; the first half of our places.
    pub(crate) gateway: String,
    pub(crate) registry: Arc<Registry>,
    pub(crate) places: Places,
    pub(crate) notices: Notices,
    /// How long Redis may take.
    pub(crate) patience: Duration,
}

impl Admission {
    /// Makes a socket the one of its device: first in this process, then in Redis.
    ///
    /// Only then may its queue be read. An enqueue commits before it looks for the
    /// place, so one of the two always sees the other.
    ///
    /// Where Redis is away the socket is served without a place: it reads its queue
    /// with each audit, and the audit writes the place once Redis is back.
    pub(crate) async fn admit(&self, handle: &Arc<Handle>, device: DeviceAddress) {
        if let Some(displaced) = self.registry.enter(handle, device) {
            displaced.mailbox.post(Event::Displaced);
        }
        self.claim(handle, device).await;
    }

    /// Writes the place of a socket, and displaces whoever held it. Says whether Redis
    /// took it.
    pub(crate) async fn claim(&self, handle: &Arc<Handle>, device: DeviceAddress) -> bool {
        if !self.is_current(handle, device) {
            return true;
        }
        let ours = self.place(handle.connection);
        let Some(before) = self.ask(self.places.claim(device, &ours)).await else {
            return false;
        };
        handle.set_placed();
        match self.registry.current(device) {
            Some(current) if current != handle.connection => {
                // A later socket of this process came in between, and may have written
                // its place before ours: what stands must be the later one.
                self.ask(self.places.claim(device, &self.place(current))).await;
            }
            _ => self.displace(before.filter(|before| *before != ours)).await,
        }
        true
    }

    /// Takes the place of a socket that ends out of Redis, unless another has it.
    pub(crate) async fn leave(&self, handle: &Handle, device: DeviceAddress) {
        if handle.is_placed() {
            self.ask(self.places.forget(device, &self.place(handle.connection))).await;
        }
    }

    pub(crate) fn place(&self, connection: ConnectionId) -> Place {
        Place { gateway: self.gateway.clone(), connection }
    }

    fn is_current(&self, handle: &Handle, device: DeviceAddress) -> bool {
        self.registry.current(device) == Some(handle.connection)
    }

    async fn displace(&self, before: Option<Place>) {
        let Some(Place { gateway, connection }) = before else {
            return;
        };
        if gateway == self.gateway {
            self.registry.post(connection, Event::Displaced);
        } else {
            let notice = Notice::Displaced { connection: connection.0 };
            self.ask(self.notices.publish(&gateway, &notice)).await;
        }
    }

    /// `None` where Redis fails, or takes too long.
    async fn ask<T, E>(&self, command: impl Future<Output = Result<T, E>>) -> Option<T> {
        let answer = timeout(self.patience, command).await.ok().and_then(Result::ok);
        if answer.is_none() {
            metrics::place_error();
        }
        answer
    }
}
