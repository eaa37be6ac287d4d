//! A messages replica that lives in memory: queues, pages, outcomes and hints, by the
//! rules of the contract.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use futures_util::Stream;
use prost::Message as _;
use sotto_ids::{AccountId, ClientMsgId, ConnectionId, DeviceAddress, DeviceId, EnvelopeId};
use sotto_proto::{
    messages::{
        Acknowledge, Delivery, DeviceRef, Downlink, GatewayBatch, MessagesBatch, Outcome, Page,
        Pull, Retract, StoredEnvelope, Submit, Welcome, downlink,
        messages_service_server::{MessagesService, MessagesServiceServer},
        outcome, uplink,
    },
    socket::{Accepted, CiphertextType, Envelope, MessageClass, QueueOverflow, Retracted},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{keys::START_MS, wait_for};

type Batches = mpsc::UnboundedSender<Result<MessagesBatch, Status>>;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

#[derive(Debug)]
struct State {
    credit: u32,
    /// Whether sends are answered.
    decides: bool,
    /// Whether pulls are.
    reads: bool,
    unread: Vec<Pull>,
    /// With what, where not with Accepted.
    answer: Option<outcome::Result>,
    queues: BTreeMap<(Vec<u8>, u32), BTreeMap<EnvelopeId, Bytes>>,
    submits: Vec<Submit>,
    undecided: Vec<(u64, u64)>,
    pulls: usize,
    streams: Vec<Batches>,
    served: CancellationToken,
    enqueued: u64,
    retracts: Vec<Retract>,
    acknowledged: usize,
    revoked: HashSet<(Vec<u8>, u32)>,
    overflow: Option<QueueOverflow>,
}

impl Replica {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            credit: 1024,
            decides: true,
            reads: true,
            unread: Vec::new(),
            answer: None,
            queues: BTreeMap::new(),
            submits: Vec::new(),
            undecided: Vec::new(),
            pulls: 0,
            streams: Vec::new(),
            served: CancellationToken::new(),
            enqueued: 0,
            retracts: Vec::new(),
            acknowledged: 0,
            revoked: HashSet::new(),
            overflow: None,
        };
        let address = listener.local_addr().unwrap();
        let replica = Self { state: Arc::new(Mutex::new(state)), address };
        replica.serve(listener);
        replica
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Dies: every stream breaks, nobody answers. What was stored stays stored.
    pub(crate) fn die(&self) {
        let mut state = self.state();
        state.served.cancel();
        state.streams.clear();
        state.undecided.clear();
    }

    /// Comes back at the same address.
    pub(crate) async fn rise(&self) {
        let mut listener = TcpListener::bind(self.address).await;
        wait_for("the address of the replica", async || {
            if listener.is_err() {
                listener = TcpListener::bind(self.address).await;
            }
            listener.is_ok()
        })
        .await;
        self.state().served = CancellationToken::new();
        self.serve(listener.unwrap());
    }

    fn serve(&self, listener: TcpListener) {
        let service = MessagesServiceServer::new(self.clone());
        let served = self.state().served.clone();
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { served.run_until_cancelled(server).await });
    }

    pub(crate) fn set_credit(&self, credit: u32) {
        self.state().credit = credit;
    }

    /// Sends are taken and not answered, from now on.
    pub(crate) fn stop_deciding(&self) {
        self.state().decides = false;
    }

    /// All sends are answered, those that wait first.
    pub(crate) fn decide(&self) {
        let mut state = self.state();
        state.decides = true;
        for (connection, frame) in std::mem::take(&mut state.undecided) {
            state.say(&decided(connection, frame, None));
        }
    }

    /// Every send is answered with this, from now on.
    pub(crate) fn answer(&self, result: outcome::Result) {
        self.state().answer = Some(result);
    }

    /// Pulls are taken and not answered, from now on.
    pub(crate) fn stop_reading(&self) {
        self.state().reads = false;
    }

    /// All pulls are answered, those that wait first.
    pub(crate) fn read(&self) {
        let mut state = self.state();
        state.reads = true;
        for pull in std::mem::take(&mut state.unread) {
            let page = state.page(&pull);
            state.say(&downlink::Item::Page(page));
        }
    }

    /// How many gateways are attached.
    pub(crate) fn attached(&self) -> usize {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.is_closed());
        state.streams.len()
    }

    /// How many pages were asked for.
    pub(crate) fn pulls(&self) -> usize {
        self.state().pulls
    }

    /// The sends that came, in their order.
    pub(crate) fn submits(&self) -> Vec<Submit> {
        self.state().submits.clone()
    }

    /// How many ids were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.state().acknowledged
    }

    /// The retractions that came.
    pub(crate) fn retracts(&self) -> Vec<Retract> {
        self.state().retracts.clone()
    }

    /// The device is none of its account any more.
    pub(crate) fn revoke(&self, device: DeviceAddress) {
        self.state().revoked.insert(key_of(device));
    }

    /// Every page says from now on that messages were turned away.
    pub(crate) fn overflow(&self, turned_away: u64) {
        self.state().overflow = Some(QueueOverflow { since_ms: START_MS, turned_away });
    }

    /// Sends an envelope that is stored nowhere.
    pub(crate) fn pass(&self, connection: ConnectionId, ciphertext: &'static [u8]) -> EnvelopeId {
        let mut state = self.state();
        state.enqueued += 1;
        let send = ClientMsgId::new(START_MS + state.enqueued, [4; 10]);
        let nobody = DeviceAddress::new(AccountId::new([0; 32]).uuid(), DeviceId::FIRST);
        let id = EnvelopeId::derive(nobody, nobody, send);
        let envelope = Envelope {
            id: Bytes::copy_from_slice(id.as_bytes()),
            sender: Bytes::from_static(&[8; 16]),
            sender_device: 1,
            r#type: CiphertextType::Whisper.into(),
            ciphertext: Bytes::from_static(ciphertext),
            class: MessageClass::Ephemeral.into(),
            ..Envelope::default()
        };
        let envelope = Some(stored(id, &envelope.encode_to_vec().into()));
        let delivery = Delivery { connection: connection.0, envelope, ephemeral: true };
        state.say(&downlink::Item::Delivery(delivery));
        id
    }

    /// How many envelopes wait for a device.
    pub(crate) fn waiting(&self, device: DeviceAddress) -> usize {
        self.state().queues.get(&key_of(device)).map_or(0, BTreeMap::len)
    }

    /// Stores envelopes for a device, and tells nobody.
    pub(crate) fn store(
        &self,
        device: DeviceAddress,
        count: usize,
        bytes: usize,
    ) -> Vec<EnvelopeId> {
        let mut state = self.state();
        (0..count)
            .map(|_| {
                state.enqueued += 1;
                let send = ClientMsgId::new(START_MS + state.enqueued, [3; 10]);
                let id = EnvelopeId::derive(device, device, send);
                let envelope = Envelope {
                    id: Bytes::copy_from_slice(id.as_bytes()),
                    sender: Bytes::copy_from_slice(device.account.as_bytes()),
                    sender_device: 1,
                    r#type: CiphertextType::Whisper.into(),
                    ciphertext: vec![5; bytes].into(),
                    server_time_ms: START_MS,
                    class: MessageClass::Unspecified.into(),
                };
                let queue = state.queues.entry(key_of(device)).or_default();
                queue.insert(id, envelope.encode_to_vec().into());
                id
            })
            .collect()
    }

    /// Hints at envelopes that are stored.
    pub(crate) fn hint(&self, connection: ConnectionId, device: DeviceAddress, ids: &[EnvelopeId]) {
        let state = self.state();
        for id in ids {
            let Some(encoded) = state.queues.get(&key_of(device)).and_then(|queue| queue.get(id))
            else {
                continue;
            };
            let envelope = Some(stored(*id, encoded));
            let delivery = Delivery { connection: connection.0, envelope, ephemeral: false };
            state.say(&downlink::Item::Delivery(delivery));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn take(&self, item: uplink::Item) {
        let mut state = self.state();
        match item {
            uplink::Item::Submit(submit) => {
                let (connection, frame) = (submit.connection, submit.frame);
                state.submits.push(submit);
                if state.decides {
                    let answer = state.answer.clone();
                    state.say(&decided(connection, frame, answer));
                } else {
                    state.undecided.push((connection, frame));
                }
            }
            uplink::Item::Acknowledge(Acknowledge { device, envelope_ids }) => {
                state.acknowledged += envelope_ids.len();
                if let Some(queue) = state.queues.get_mut(&key(&device.unwrap())) {
                    queue.retain(|id, _| {
                        !envelope_ids.iter().any(|acked| acked == &id.as_bytes()[..])
                    });
                }
            }
            uplink::Item::Retract(retract) => {
                let Retract { connection, frame, .. } = retract;
                state.retracts.push(retract);
                let result = Some(outcome::Result::Retracted(Retracted {}));
                state.say(&downlink::Item::Outcome(Outcome { connection, frame, result }));
            }
            uplink::Item::Pull(pull) => {
                state.pulls += 1;
                if !state.reads {
                    state.unread.push(pull);
                    return;
                }
                let page = state.page(&pull);
                state.say(&downlink::Item::Page(page));
            }
        }
    }
}

impl State {
    /// Tells every gateway: only one knows the connection.
    fn say(&self, item: &downlink::Item) {
        for stream in &self.streams {
            let items = vec![Downlink { item: Some(item.clone()) }];
            drop(stream.send(Ok(MessagesBatch { welcome: None, items })));
        }
    }

    fn page(&self, pull: &Pull) -> Page {
        let in_flight: HashSet<&[u8]> = pull.in_flight.iter().map(AsRef::as_ref).collect();
        let empty = BTreeMap::new();
        let device = key(pull.device.as_ref().unwrap());
        let queue = self.queues.get(&device).unwrap_or(&empty);
        let mut waiting = queue.iter().filter(|(id, _)| !in_flight.contains(&id.as_bytes()[..]));
        let limit = usize::try_from(pull.limit).unwrap();
        let envelopes =
            waiting.by_ref().take(limit).map(|(id, encoded)| stored(*id, encoded)).collect();
        Page {
            connection: pull.connection,
            envelopes,
            last: waiting.next().is_none(),
            revoked: self.revoked.contains(&device),
            overflow: self.overflow,
            ..Page::default()
        }
    }
}

fn key(device: &DeviceRef) -> (Vec<u8>, u32) {
    (device.account.to_vec(), device.device)
}

fn key_of(device: DeviceAddress) -> (Vec<u8>, u32) {
    (device.account.as_bytes().to_vec(), device.device.into())
}

fn stored(id: EnvelopeId, encoded: &Bytes) -> StoredEnvelope {
    StoredEnvelope { id: Bytes::copy_from_slice(id.as_bytes()), encoded: encoded.clone() }
}

fn decided(connection: u64, frame: u64, answer: Option<outcome::Result>) -> downlink::Item {
    let accepted =
        || outcome::Result::Accepted(Accepted { server_time_ms: START_MS, full: vec![] });
    let result = Some(answer.unwrap_or_else(accepted));
    downlink::Item::Outcome(Outcome { connection, frame, result })
}

#[tonic::async_trait]
impl MessagesService for Replica {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<MessagesBatch, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut uplink = request.into_inner();
        let first = uplink.message().await?.unwrap();
        assert!(first.attach.is_some(), "attach comes first");
        let (batches, sent) = mpsc::unbounded_channel();
        let served = {
            let mut state = self.state();
            let welcome = Some(Welcome { credit: state.credit });
            batches.send(Ok(MessagesBatch { welcome, items: vec![] })).unwrap();
            state.streams.push(batches);
            state.served.clone()
        };
        let replica = self.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with its stream")]
        tokio::spawn(async move {
            while let Some(Ok(Some(batch))) = served.run_until_cancelled(uplink.message()).await {
                for item in batch.items.into_iter().filter_map(|uplink| uplink.item) {
                    replica.take(item);
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(sent))))
    }
}
