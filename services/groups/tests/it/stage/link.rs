use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sotto_proto::{
    groups::{
        Acknowledge, AttachGateway, DeviceRef, GatewayBatch, GroupsBatch, Heads, ListGroups,
        Memberships, Outcome, Publication, ReadHeads, Unwatch, Uplink, Watch, downlink,
        groups_service_client::GroupsServiceClient, outcome, uplink::Item,
    },
    socket::{Error, GroupCursor, GroupDeliver, GroupStale},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::{Device, Group, Letter, Replica};

const PATIENCE: Duration = Duration::from_mins(1);

/// A gateway's stream to one replica.
pub(crate) struct Link {
    pub(crate) credit: u32,
    /// `None` once the gateway has left.
    up: Option<mpsc::Sender<GatewayBatch>>,
    down: Streaming<GroupsBatch>,
    /// What has come down and nobody has asked for yet.
    arrived: Vec<downlink::Item>,
    frames: u64,
}

/// What a message is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Accepted { seq: u64, server_time_ms: u64 },
    Stale(GroupStale),
    Refused(Error),
}

impl Answer {
    /// The reason of a refusal.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Refused(error) => &error.reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Where it stands.
    pub(crate) fn seq(&self) -> u64 {
        match self {
            Self::Accepted { seq, .. } => *seq,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(crate) fn stale(self) -> GroupStale {
        match self {
            Self::Stale(stale) => stale,
            other => panic!("not stale: {other:?}"),
        }
    }
}

impl Link {
    pub(crate) async fn attach(replica: &Replica) -> Self {
        Self::open(replica, attaching(&gateway())).await.unwrap()
    }

    /// Opens the stream with any first batch.
    pub(crate) async fn open(replica: &Replica, first: GatewayBatch) -> Result<Self, Status> {
        let channel = sotto_kit::grpc::channel(&replica.grpc).unwrap();
        let (up, batches) = mpsc::channel(64);
        up.send(first).await.unwrap();
        let mut down = GroupsServiceClient::new(channel)
            .max_decoding_message_size(64 << 20)
            .attach(ReceiverStream::new(batches))
            .await?
            .into_inner();
        let welcome = down.message().await?.unwrap().welcome.unwrap();
        Ok(Self { credit: welcome.credit, up: Some(up), down, arrived: Vec::new(), frames: 0 })
    }

    /// Sends, and waits for the answer.
    pub(crate) async fn send(&mut self, letter: &Letter) -> Answer {
        let frames = self.submit(std::slice::from_ref(letter)).await;
        self.answer(frames[0]).await
    }

    /// Sends letters in one batch. Returns the frame of each.
    pub(crate) async fn submit(&mut self, letters: &[Letter]) -> Vec<u64> {
        let mut frames = Vec::new();
        let mut items = Vec::new();
        for letter in letters {
            self.frames += 1;
            frames.push(self.frames);
            items.push(Item::Submit(letter.submit(1, self.frames)));
        }
        self.push(items).await;
        frames
    }

    pub(crate) async fn answer(&mut self, frame: u64) -> Answer {
        let outcome = self
            .next(|item| match item {
                downlink::Item::Outcome(outcome) if outcome.frame == frame => Ok(outcome),
                other => Err(other),
            })
            .await;
        answer(outcome)
    }

    pub(crate) async fn watch(&mut self, groups: &[Group]) {
        let watch = Watch { groups: groups.iter().map(name).collect() };
        self.push(vec![Item::Watch(watch)]).await;
        // What comes after a question is answered was preceded by what was said before it.
        self.heads(&[]).await;
    }

    pub(crate) async fn unwatch(&mut self, groups: &[Group]) {
        let unwatch = Unwatch { groups: groups.iter().map(name).collect() };
        self.push(vec![Item::Unwatch(unwatch)]).await;
        self.heads(&[]).await;
    }

    pub(crate) async fn publication(&mut self) -> Publication {
        self.next(|item| match item {
            downlink::Item::Publication(publication) => Ok(publication),
            other => Err(other),
        })
        .await
    }

    /// The publications that have come and nobody has asked for. They are forgotten.
    pub(crate) fn take_publications(&mut self) -> Vec<Publication> {
        let arrived = std::mem::take(&mut self.arrived);
        let (publications, others) =
            arrived.into_iter().partition(|item| matches!(item, downlink::Item::Publication(_)));
        self.arrived = others;
        let publication = |item: downlink::Item| match item {
            downlink::Item::Publication(publication) => Some(publication),
            _ => None,
        };
        Vec::into_iter(publications).filter_map(publication).collect()
    }

    pub(crate) async fn heads(&mut self, groups: &[Group]) -> Heads {
        self.frames += 1;
        let request = self.frames;
        let groups = groups.iter().map(name).collect();
        self.push(vec![Item::ReadHeads(ReadHeads { request, groups })]).await;
        self.next(|item| match item {
            downlink::Item::Heads(heads) if heads.request == request => Ok(heads),
            other => Err(other),
        })
        .await
    }

    pub(crate) async fn memberships(&mut self, device: Device) -> Memberships {
        self.frames += 1;
        let connection = self.frames;
        let device = Some(device_ref(device));
        self.push(vec![Item::ListGroups(ListGroups { connection, device })]).await;
        self.next(|item| match item {
            downlink::Item::Memberships(memberships) if memberships.connection == connection => {
                Ok(memberships)
            }
            other => Err(other),
        })
        .await
    }

    pub(crate) async fn acknowledge(&mut self, device: Device, cursors: &[(Group, u64)]) {
        let cursor = |(group, seq): &(Group, u64)| GroupCursor { group: name(group), seq: *seq };
        self.push(vec![Item::Acknowledge(Acknowledge {
            device: Some(device_ref(device)),
            cursors: cursors.iter().map(cursor).collect(),
        })])
        .await;
    }

    /// Sends whatever the test has made up, in one batch.
    pub(crate) async fn push(&self, items: Vec<Item>) {
        let items = items.into_iter().map(|item| Uplink { item: Some(item) }).collect();
        let up = self.up.as_ref().expect("the gateway is here");
        up.send(GatewayBatch { attach: None, items }).await.unwrap();
    }

    /// Ends the gateway's side of the stream.
    pub(crate) fn leave(&mut self) {
        self.up = None;
    }

    /// Reads on until the stream ends, and says how.
    pub(crate) async fn ending(&mut self) -> Result<(), Status> {
        let ending = async {
            while let Some(batch) = self.down.message().await? {
                self.arrived.extend(batch.items.into_iter().filter_map(|item| item.item));
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, ending).await.expect("the stream ends")
    }

    /// The outcome of a frame, where it came before the stream ended.
    pub(crate) fn arrived_answer(&self, frame: u64) -> Option<Answer> {
        self.arrived.iter().find_map(|item| match item {
            downlink::Item::Outcome(outcome) if outcome.frame == frame => {
                Some(answer(outcome.clone()))
            }
            _ => None,
        })
    }

    async fn next<T>(&mut self, wanted: impl Fn(downlink::Item) -> Result<T, downlink::Item>) -> T {
        let search = async {
            loop {
                let mut found = None;
                for item in std::mem::take(&mut self.arrived) {
                    if found.is_some() {
                        self.arrived.push(item);
                        continue;
                    }
                    match wanted(item) {
                        Ok(item) => found = Some(item),
                        Err(other) => self.arrived.push(other),
                    }
                }
                if let Some(found) = found {
                    return found;
                }
                let batch = self.down.message().await.unwrap().expect("the stream goes on");
                self.arrived.extend(batch.items.into_iter().filter_map(|item| item.item));
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("it comes in time")
    }
}

/// The first batch of a gateway.
pub(crate) fn attaching(gateway: &str) -> GatewayBatch {
    GatewayBatch { attach: Some(AttachGateway { gateway: gateway.to_owned() }), items: Vec::new() }
}

/// A gateway's name that nobody else has.
pub(crate) fn gateway() -> String {
    Uuid::new_v4().simple().to_string()
}

pub(crate) fn device_ref(device: Device) -> DeviceRef {
    DeviceRef {
        account: Bytes::copy_from_slice(device.address.account.as_bytes()),
        device: device.address.device.into(),
    }
}

/// The entries that a publication carries.
pub(crate) fn delivered(publication: &Publication) -> GroupDeliver {
    GroupDeliver::decode(publication.encoded.clone()).unwrap()
}

fn name(group: &Group) -> Bytes {
    Bytes::copy_from_slice(group.0.as_bytes())
}

fn answer(outcome: Outcome) -> Answer {
    match outcome.result.unwrap() {
        outcome::Result::Accepted(accepted) => {
            Answer::Accepted { seq: accepted.seq, server_time_ms: accepted.server_time_ms }
        }
        outcome::Result::Stale(stale) => Answer::Stale(stale),
        outcome::Result::Error(error) => Answer::Refused(error),
    }
}
