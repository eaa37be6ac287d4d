//! The way from one device to the messages service.
//!
//! What it asks for goes up the link that it is routed to, in order. Where that link has
//! no room, one item waits for it and others wait behind that one; whoever asks should
//! then ask for no more. It needs no socket.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
};

use sotto_ids::{ConnectionId, DeviceAddress};
use sotto_proto::messages::uplink::Item;

use super::{
    io::{Event, Identity, Page},
    replies::unavailable,
    uplink::Asker,
};
use crate::{
    links::{Links, TrySendError},
    metrics::Meters,
};

/// An item on its way to a link that has no room; it comes back where the link is lost.
type Waiting = Pin<Box<dyn Future<Output = Result<(), Box<Item>>>>>;

/// See the module.
pub(crate) struct Line {
    device: DeviceAddress,
    asker: Asker,
    links: Arc<Links>,
    meters: Meters,
    waiting: Option<Waiting>,
    /// What comes after the one that waits.
    backlog: VecDeque<Item>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("backlog", &self.backlog.len()).finish_non_exhaustive()
    }
}

impl Line {
    pub(crate) fn new(
        connection: ConnectionId,
        identity: &Identity,
        links: Arc<Links>,
        meters: Meters,
    ) -> Self {
        let (waiting, backlog) = (None, VecDeque::new());
        let asker = Asker::new(connection, identity);
        Self { device: identity.device, asker, links, meters, waiting, backlog }
    }

    /// Who asks.
    pub(crate) fn device(&self) -> DeviceAddress {
        self.device
    }

    /// The app through which it asks.
    pub(crate) fn app(&self) -> &str {
        self.asker.app()
    }

    /// Whether something waits for a link with room.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.is_some()
    }

    /// Puts an item behind those that wait. Gives its answer where no replica takes it.
    pub(crate) fn put(&mut self, item: impl FnOnce(&Asker) -> Item) -> Option<Event> {
        let item = item(&self.asker);
        if self.waiting.is_some() {
            self.backlog.push_back(item);
            return None;
        }
        self.put_now(item)
    }

    /// Returns once the item that waits has found room, or its link is lost; never where
    /// none waits. May be dropped while it waits. The result is for [`Self::go_on`].
    pub(crate) async fn room(&mut self) -> Result<(), Box<Item>> {
        match &mut self.waiting {
            Some(waiting) => waiting.await,
            None => pending().await,
        }
    }

    /// Puts what waited behind the one that has found room. Gives the answers of those
    /// that no replica takes.
    pub(crate) fn go_on(&mut self, sent: Result<(), Box<Item>>) -> Vec<Event> {
        self.waiting = None;
        let mut failed: Vec<_> = sent.err().and_then(|item| self.fail(&item)).into_iter().collect();
        while self.waiting.is_none()
            && let Some(item) = self.backlog.pop_front()
        {
            failed.extend(self.put_now(item));
        }
        failed
    }

    fn put_now(&mut self, item: Item) -> Option<Event> {
        let Some(link) = self.links.route(self.device) else {
            return self.fail(&item);
        };
        match link.try_send(item) {
            Ok(()) => None,
            Err(TrySendError::Lost(item)) => self.fail(&item),
            Err(TrySendError::Full(item)) => {
                self.meters.waits.increment(1);
                self.waiting = Some(Box::pin(async move { link.send(item).await }));
                None
            }
        }
    }

    /// The answer to an item that no replica took.
    fn fail(&self, item: &Item) -> Option<Event> {
        let frame = match item {
            Item::Submit(submit) => submit.frame,
            Item::Retract(retract) => retract.frame,
            Item::Pull(_) => return Some(Event::Page(Page::failed())),
            // What it names is delivered once more.
            Item::Acknowledge(_) => return None,
        };
        self.meters.unavailable.increment(1);
        Some(Event::Outcome { frame, result: unavailable() })
    }
}
