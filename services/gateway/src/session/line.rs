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
    links::{Link, Links, TrySendError},
    metrics::Meters,
};

/// An item on its way to a link that has no room; it comes back where the link is lost.
type Waiting = Pin<Box<dyn Future<Output = Result<(), Box<Item>>>>>;

/// See the module.
pub(crate) struct Line {
    device: DeviceAddress,
    asker: Asker,
    links: Arc<Links>,
    /// The one that it took last. It stays with that for as long as it is attached: what
    /// is asked through two replicas at once may be done in either order.
    link: Option<Arc<Link>>,
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
        let (link, waiting, backlog) = (None, None, VecDeque::new());
        let asker = Asker::new(connection, identity);
        Self { device: identity.device, asker, links, link, meters, waiting, backlog }
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
        let attached = self.link.take().filter(|link| !link.is_lost());
        let Some(link) = attached.or_else(|| self.links.route(self.device)) else {
            return self.fail(&item);
        };
        self.link = Some(Arc::clone(&link));
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

#[cfg(test)]
mod tests {
    use sotto_ids::{AccountId, DeviceId};
    use sotto_proto::socket::Retract;
    use tokio::sync::mpsc;

    use super::*;

    /// Caught with the link chosen anew for each item: of sixteen replicas that attach,
    /// some are nearer to the device.
    #[tokio::test]
    async fn a_device_stays_with_its_replica_until_that_is_lost() {
        let links = Arc::new(Links::default());
        let (first, mut received) = Link::new(0, 100, 100);
        links.add(&first);
        let identity = Identity {
            device: DeviceAddress::new(AccountId::new([7; 32]).uuid(), DeviceId::FIRST),
            app: "socialink".to_owned(),
            token_expires_at_ms: 0,
        };
        let mut line = Line::new(ConnectionId(1), &identity, links.clone(), Meters::new());
        let retract = |line: &mut Line| line.put(|asker| asker.retract(1, Retract::default()));
        assert!(retract(&mut line).is_none());

        let others: Vec<(Arc<Link>, mpsc::Receiver<Item>)> =
            (1..=16).map(|key| Link::new(key, 100, 100)).collect();
        for (link, _) in &others {
            links.add(link);
        }
        assert!(retract(&mut line).is_none());
        assert!(received.recv().await.is_some() && received.recv().await.is_some());

        drop(received);
        links.remove(&first);
        assert!(retract(&mut line).is_none(), "another replica takes it");
    }
}
