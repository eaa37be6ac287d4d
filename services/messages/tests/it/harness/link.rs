use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sotto_proto::{
    messages::{
        Acknowledge, AttachGateway, Delivery, GatewayBatch, MessagesBatch, Outcome, Page, Pull,
        StoredEnvelope, Uplink, downlink, messages_service_client::MessagesServiceClient, outcome,
        uplink::Item,
    },
    socket::{DeviceMismatch, Envelope, Error},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::{Device, Letter, Replica, letter::device_ref};

const PATIENCE: Duration = Duration::from_secs(15);

/// A gateway's stream to one replica.
pub(crate) struct Link {
    pub(crate) credit: u32,
    /// `None` once the gateway has left.
    up: Option<mpsc::Sender<GatewayBatch>>,
    down: Streaming<MessagesBatch>,
    /// What has come down and nobody has asked for yet.
    arrived: Vec<downlink::Item>,
    frames: u64,
}

/// What a send is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Accepted,
    /// The queues of these devices are full.
    AcceptedWithout(Vec<u32>),
    Retracted,
    Mismatch(DeviceMismatch),
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
}

impl Link {
    pub(crate) async fn attach(replica: &Replica, gateway: &str) -> Self {
        Self::open(replica, attaching(gateway)).await.unwrap()
    }

    /// Opens the stream with any first batch.
    pub(crate) async fn open(replica: &Replica, first: GatewayBatch) -> Result<Self, Status> {
        let channel = sotto_kit::grpc::channel(&replica.url).unwrap();
        let (up, batches) = mpsc::channel(64);
        up.send(first).await.unwrap();
        let mut down = MessagesServiceClient::new(channel)
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

    /// Retracts a letter for some of its devices, as `sender`.
    pub(crate) async fn retract(
        &mut self,
        letter: &Letter,
        sender: Device,
        devices: &[Device],
    ) -> Answer {
        self.frames += 1;
        let frame = self.frames;
        self.push(vec![Item::Retract(letter.retraction(sender, devices, 1, frame))]).await;
        self.answer(frame).await
    }

    /// Sends whatever the test has made up, in one batch.
    pub(crate) async fn push_items(&mut self, items: Vec<Item>) {
        self.push(items).await;
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

    /// The next delivery, whichever socket it is for.
    pub(crate) async fn delivery(&mut self) -> (u64, StoredEnvelope) {
        let delivery = self.any_delivery(false).await;
        (delivery.connection, delivery.envelope.unwrap())
    }

    /// The next envelope that is not stored.
    pub(crate) async fn ephemeral(&mut self) -> (u64, Envelope) {
        let delivery = self.any_delivery(true).await;
        let envelope = delivery.envelope.unwrap();
        (delivery.connection, Envelope::decode(envelope.encoded).unwrap())
    }

    async fn any_delivery(&mut self, ephemeral: bool) -> Delivery {
        self.next(|item| match item {
            downlink::Item::Delivery(delivery) if delivery.ephemeral == ephemeral => Ok(delivery),
            other => Err(other),
        })
        .await
    }

    /// Whether a delivery has come that nobody has asked for.
    pub(crate) fn has_delivery(&self) -> bool {
        self.arrived.iter().any(|item| matches!(item, downlink::Item::Delivery(_)))
    }

    /// How many deliveries have come that nobody has asked for. They are forgotten.
    pub(crate) fn take_deliveries(&mut self) -> usize {
        let before = self.arrived.len();
        self.arrived.retain(|item| !matches!(item, downlink::Item::Delivery(_)));
        before - self.arrived.len()
    }

    pub(crate) async fn acknowledge(&mut self, device: Device, ids: &[Uuid]) {
        self.push(vec![Item::Acknowledge(Acknowledge {
            device: Some(device_ref(device)),
            envelope_ids: ids.iter().map(bytes).collect(),
        })])
        .await;
    }

    /// The page of a pull with this connection, however it was asked for.
    pub(crate) async fn page(&mut self, connection: u64) -> Page {
        self.next(|item| match item {
            downlink::Item::Page(page) if page.connection == connection => Ok(page),
            other => Err(other),
        })
        .await
    }

    pub(crate) async fn pull(&mut self, device: Device, in_flight: &[Uuid], limit: u32) -> Page {
        self.frames += 1;
        let connection = self.frames;
        self.push(vec![Item::Pull(Pull {
            connection,
            device: Some(device_ref(device)),
            in_flight: in_flight.iter().map(bytes).collect(),
            limit,
        })])
        .await;
        self.page(connection).await
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

    /// Ends the gateway's side of the stream.
    pub(crate) fn leave(&mut self) {
        self.up = None;
    }

    /// How many outcomes have come that nobody has asked for.
    pub(crate) fn answers(&self) -> usize {
        self.arrived.iter().filter(|item| matches!(item, downlink::Item::Outcome(_))).count()
    }

    async fn push(&mut self, items: Vec<Item>) {
        let items = items.into_iter().map(|item| Uplink { item: Some(item) }).collect();
        let batch = GatewayBatch { attach: None, items };
        self.up.as_ref().unwrap().send(batch).await.unwrap();
    }

    async fn next<T>(
        &mut self,
        mut wanted: impl FnMut(downlink::Item) -> Result<T, downlink::Item>,
    ) -> T {
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

pub(crate) fn id_of(envelope: &StoredEnvelope) -> Uuid {
    Uuid::from_slice(&envelope.id).unwrap()
}

fn bytes(id: &Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn answer(outcome: Outcome) -> Answer {
    match outcome.result.unwrap() {
        outcome::Result::Accepted(accepted) if accepted.full.is_empty() => Answer::Accepted,
        outcome::Result::Accepted(accepted) => Answer::AcceptedWithout(accepted.full),
        outcome::Result::DeviceMismatch(mismatch) => Answer::Mismatch(mismatch),
        outcome::Result::Error(error) => Answer::Refused(error),
        outcome::Result::Retracted(_) => Answer::Retracted,
    }
}
