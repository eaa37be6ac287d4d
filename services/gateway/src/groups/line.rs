//! The way from one device to the groups service.
//!
//! What is sent to a group takes the replica that is nearest to the group, so that most of
//! what is stored in a group is stored by one. While a send is undecided, later ones to the
//! same group follow it to the same replica: so they are stored in their order.

use std::{collections::VecDeque, sync::Arc};

use sotto_ids::{ConnectionId, DeviceAddress, GroupId};
use sotto_proto::{
    groups::{Acknowledge, Submit, uplink::Item},
    socket::{GroupCursor, GroupSend},
};

use super::listing::reference;
use crate::{
    links::{Link, Links},
    metrics::Meters,
    session::{
        io::Event,
        lane::{Lane, Way},
        replies::group_unavailable,
    },
};

/// See the module.
#[derive(Debug)]
pub(crate) struct GroupLine {
    connection: ConnectionId,
    device: DeviceAddress,
    lane: Lane<ToGroups>,
}

#[derive(Debug)]
struct ToGroups {
    device: DeviceAddress,
    links: Arc<Links<Item>>,
    /// The sends that are undecided, oldest first: as many as a socket may have.
    undecided: VecDeque<Undecided>,
}

#[derive(Debug)]
struct Undecided {
    frame: u64,
    group: GroupId,
    link: Arc<Link<Item>>,
}

impl GroupLine {
    pub(crate) fn new(
        connection: ConnectionId,
        device: DeviceAddress,
        links: Arc<Links<Item>>,
        meters: Meters,
    ) -> Self {
        let way = ToGroups { device, links, undecided: VecDeque::new() };
        Self { connection, device, lane: Lane::new(way, meters) }
    }

    /// Whether something waits for a link with room.
    pub(crate) fn is_full(&self) -> bool {
        self.lane.is_full()
    }

    /// Puts a send behind what waits. Gives its answer where no replica takes it.
    pub(crate) fn submit(&mut self, frame: u64, send: GroupSend) -> Option<Event> {
        self.lane.put(Item::Submit(Submit {
            connection: self.connection.0,
            frame,
            sender: Some(reference(self.device)),
            send: Some(send),
        }))
    }

    /// Puts an acknowledgement behind what waits. Where no replica takes it, a later one
    /// says the same and more.
    pub(crate) fn acknowledge(&mut self, cursors: Vec<GroupCursor>) {
        let device = Some(reference(self.device));
        self.lane.put(Item::Acknowledge(Acknowledge { device, cursors }));
    }

    /// A send was decided.
    pub(crate) fn decided(&mut self, frame: u64) {
        let undecided = &mut self.lane.way().undecided;
        if let Some(oldest) = undecided.iter().position(|send| send.frame == frame) {
            undecided.remove(oldest);
        }
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

impl Way for ToGroups {
    type Item = Item;

    fn link(&mut self, item: &Item) -> Option<Arc<Link<Item>>> {
        let Item::Submit(Submit { frame, send: Some(send), .. }) = item else {
            return self.links.route(self.device);
        };
        let group = GroupId::try_from(send.group.as_ref()).ok()?;
        let before = self.undecided.iter().rev().find(|send| send.group == group);
        let taken = before.map(|send| send.link.clone()).filter(|link| !link.is_lost());
        let link = taken.or_else(|| self.links.route(group))?;
        self.undecided.push_back(Undecided { frame: *frame, group, link: link.clone() });
        Some(link)
    }

    fn unavailable(&self, item: &Item) -> Option<Event> {
        let Item::Submit(submit) = item else {
            return None;
        };
        Some(Event::GroupOutcome { frame: submit.frame, result: group_unavailable() })
    }
}

#[cfg(test)]
mod tests {
    use sotto_ids::{AccountId, DeviceId};
    use tokio::sync::mpsc;

    use super::*;

    fn send(group: u8) -> GroupSend {
        let group = GroupId::new([group; 16]);
        GroupSend { group: group.as_bytes().to_vec().into(), ..GroupSend::default() }
    }

    fn line(links: &Arc<Links<Item>>) -> GroupLine {
        let device = DeviceAddress::new(AccountId::new([7; 32]).uuid(), DeviceId::FIRST);
        GroupLine::new(ConnectionId(1), device, links.clone(), Meters::new())
    }

    fn links(keys: std::ops::Range<u64>) -> Vec<(Arc<Link<Item>>, mpsc::Receiver<Item>)> {
        keys.map(|key| Link::new(key, 100, 100)).collect()
    }

    #[tokio::test]
    async fn devices_agree_on_the_replica_of_a_group() {
        let links_of_all = Arc::new(Links::default());
        let mut replicas = links(0..4);
        for (link, _) in &replicas {
            links_of_all.add(link);
        }

        for group in 0..50 {
            for _ in 0..3 {
                assert!(line(&links_of_all).submit(1, send(group)).is_none());
            }
        }

        let counts: Vec<_> = replicas.iter_mut().map(|(_, received)| received.len()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 150);
        assert!(counts.iter().all(|count| *count > 0 && count % 3 == 0), "{counts:?}");
    }

    /// Caught with the link chosen anew for each item: of sixteen replicas that attach, some
    /// are nearer to the group.
    #[tokio::test]
    async fn sends_to_a_group_stay_with_their_replica_while_one_is_undecided() {
        let links_of_all = Arc::new(Links::default());
        let (first, mut received) = Link::new(100, 100, 100);
        links_of_all.add(&first);
        let mut line = line(&links_of_all);
        line.submit(1, send(1));
        line.submit(2, send(2));
        let others = links(0..16);
        for (link, _) in &others {
            links_of_all.add(link);
        }

        line.submit(3, send(1));
        assert_eq!(received.len(), 3);
        for frame in 1..=3 {
            line.decided(frame);
        }
        assert!(line.lane.way().undecided.is_empty());

        for frame in 4..24 {
            line.submit(frame, send(1));
            line.decided(frame);
        }
        assert_eq!(received.len(), 3, "nothing holds it there any more");
        assert!(received.recv().await.is_some());
    }

    #[test]
    fn without_a_replica_a_send_is_answered_and_an_acknowledgement_is_not() {
        let mut line = line(&Arc::default());

        let answer = line.submit(7, send(1));

        assert!(matches!(answer, Some(Event::GroupOutcome { frame: 7, .. })), "{answer:?}");
        line.acknowledge(Vec::new());
    }
}
