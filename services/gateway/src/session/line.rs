//! The way from one device to the messages service. It needs no socket.
//!
//! What the device asks for goes up the link that it is routed to, in order.

use std::sync::Arc;

use sotto_ids::{ConnectionId, DeviceAddress};
use sotto_proto::messages::uplink::Item;

use super::{
    io::{Event, Identity, Page},
    lane::{Lane, Way},
    replies::unavailable,
    uplink::Asker,
};
use crate::{
    links::{Link, Links},
    metrics::Meters,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Line {
    asker: Asker,
    lane: Lane<ToMessages>,
}

#[derive(Debug)]
struct ToMessages {
    device: DeviceAddress,
    links: Arc<Links<Item>>,
    /// The one that it took last. It stays with that for as long as it is attached: what
    /// is asked through two replicas at once may be done in either order.
    link: Option<Arc<Link<Item>>>,
}

impl Line {
    pub(crate) fn new(
        connection: ConnectionId,
        identity: &Identity,
        links: Arc<Links<Item>>,
        meters: Meters,
    ) -> Self {
        let way = ToMessages { device: identity.device, links, link: None };
        Self { asker: Asker::new(connection, identity), lane: Lane::new(way, meters) }
    }

    /// Who asks.
    pub(crate) const fn device(&self) -> DeviceAddress {
        self.asker.address()
    }

    /// The app through which it asks.
    pub(crate) fn app(&self) -> &str {
        self.asker.app()
    }

    /// Whether something waits for a link with room.
    pub(crate) fn is_full(&self) -> bool {
        self.lane.is_full()
    }

    /// Puts an item behind those that wait. Gives its answer where no replica takes it.
    pub(crate) fn put(&mut self, item: impl FnOnce(&Asker) -> Item) -> Option<Event> {
        self.lane.put(item(&self.asker))
    }

    /// See [`Lane::room`].
    pub(crate) async fn room(&mut self) -> Result<(), Box<Item>> {
        self.lane.room().await
    }

    /// See [`Lane::go_on`].
    pub(crate) fn go_on(&mut self, sent: Result<(), Box<Item>>) -> Vec<Event> {
        self.lane.go_on(sent)
    }
}

impl Way for ToMessages {
    type Item = Item;

    fn link(&mut self, _: &Item) -> Option<Arc<Link<Item>>> {
        let attached = self.link.take().filter(|link| !link.is_lost());
        self.link = attached.or_else(|| self.links.route(self.device));
        self.link.clone()
    }

    fn unavailable(&self, item: &Item) -> Option<Event> {
        let frame = match item {
            Item::Submit(submit) => submit.frame,
            Item::Retract(retract) => retract.frame,
            Item::Pull(_) => return Some(Event::Page(Page::failed())),
            // What it names is delivered once more.
            Item::Acknowledge(_) => return None,
        };
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

        let others: Vec<(Arc<Link<Item>>, mpsc::Receiver<Item>)> =
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
