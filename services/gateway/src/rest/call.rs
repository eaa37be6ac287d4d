//! A request's own connection: what the messages service answers finds it by that.

use std::{collections::VecDeque, sync::Arc};

use actix_web::rt;
use sotto_proto::messages::{outcome, uplink::Item};

use super::error::RestError;
use crate::{
    gateway::Gateway,
    mailbox::Mailbox,
    registry::{Handle, Registered},
    session::{
        io::{Event, Identity},
        line::Line,
        uplink::Asker,
    },
};

/// The one frame of a request that has an outcome.
const FRAME: u64 = 1;

/// See the module. It counts as a socket for as long as it lives.
#[derive(Debug)]
pub(super) struct Call {
    registered: Registered,
    line: Line,
    events: VecDeque<Event>,
}

impl Call {
    /// # Errors
    ///
    /// `Draining`, `TooManySockets`.
    pub(super) fn open(gateway: &Gateway, identity: &Identity) -> Result<Self, RestError> {
        if gateway.is_draining() {
            return Err(RestError::Draining);
        }
        if gateway.registry.len() >= gateway.config.max_sockets {
            return Err(RestError::TooManySockets);
        }
        let (connection, _) = gateway.draw();
        let handle = Handle::new(connection, Mailbox::new(gateway.config.mailbox));
        let (links, meters) = (gateway.links.clone(), gateway.meters.clone());
        Ok(Self {
            registered: gateway.registry.open(handle),
            line: Line::new(connection, identity, links, meters),
            events: VecDeque::new(),
        })
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        self.registered.handle()
    }

    /// Stops being the one of its device, if it is.
    pub(super) fn leave(&self) {
        self.registered.leave();
    }

    /// Sends an item up.
    pub(super) fn put(&mut self, item: impl FnOnce(&Asker) -> Item) {
        self.events.extend(self.line.put(item));
    }

    /// What happens next.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let Self { registered, line, events } = self;
            let mailbox = &registered.handle().mailbox;
            events.extend(mailbox.take().events());
            if !events.is_empty() {
                continue;
            }
            tokio::select! {
                () = mailbox.arrived() => {}
                sent = line.room() => events.extend(line.go_on(sent)),
            }
        }
    }

    /// Sends an item up and waits for what became of it. Every item gets an outcome, of
    /// its replica or of the link that was lost, so this ends.
    async fn decide(mut self, item: impl FnOnce(&Asker, u64) -> Item) -> outcome::Result {
        self.put(|asker| item(asker, FRAME));
        loop {
            if let Event::Outcome { result, .. } = self.next().await {
                return result;
            }
        }
    }
}

/// Asks the messages service for a decision. It goes on even where the caller has gone
/// away: what is on its way may be stored, and its credit has to come back.
///
/// # Errors
///
/// Those of [`Call::open`], and `Unavailable` where the worker ends.
pub(super) async fn decide(
    gateway: &Gateway,
    identity: &Identity,
    item: impl FnOnce(&Asker, u64) -> Item + 'static,
) -> Result<outcome::Result, RestError> {
    let call = Call::open(gateway, identity)?;
    rt::spawn(call.decide(item)).await.map_err(|_| RestError::Unavailable)
}
