//! A groups replica that lives in memory: logs without content, who is in which group, and
//! what gateways watch, by the rules of the contract.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use futures_util::Stream;
use prost::Message as _;
use sotto_ids::{DeviceAddress, GroupId};
use sotto_proto::{
    groups::{
        Acknowledge, DeviceRef, Downlink, GatewayBatch, GroupsBatch, Heads, Memberships, Outcome,
        Publication, Submit, Welcome, downlink,
        groups_service_server::{GroupsService, GroupsServiceServer},
        outcome, uplink,
    },
    socket::{GroupAccepted, GroupDeliver, GroupEntry, GroupEntryKind, GroupHead},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{keys::START_MS, wait_for};

type Device = (Vec<u8>, u32);

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct GroupsReplica {
    /// What replicas share: the database.
    logs: Arc<Mutex<BTreeMap<GroupId, Log>>>,
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

#[derive(Debug, Default)]
struct Log {
    seq: u64,
    members: HashSet<Device>,
}

#[derive(Debug)]
struct State {
    served: CancellationToken,
    streams: HashMap<usize, Gateway>,
    attachments: usize,
    /// Whether sends are answered.
    decides: bool,
    /// With what, where not with `GroupAccepted`.
    answer: Option<outcome::Result>,
    undecided: Vec<Submit>,
    submits: Vec<Submit>,
    acknowledged: Vec<Acknowledge>,
    /// Stores an entry that nobody hears of before the next watch begins.
    stores_before_watch: bool,
    lists: HashMap<Device, usize>,
    failing_lists: HashMap<Device, usize>,
    heads_read: usize,
    watches: usize,
}

#[derive(Debug)]
struct Gateway {
    batches: mpsc::UnboundedSender<Result<GroupsBatch, Status>>,
    watched: HashSet<GroupId>,
}

impl GroupsReplica {
    pub(crate) async fn start() -> Self {
        Self::start_with(Arc::default()).await
    }

    /// Another replica of the same database.
    pub(crate) async fn beside(&self) -> Self {
        Self::start_with(self.logs.clone()).await
    }

    async fn start_with(logs: Arc<Mutex<BTreeMap<GroupId, Log>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            served: CancellationToken::new(),
            streams: HashMap::new(),
            attachments: 0,
            decides: true,
            answer: None,
            undecided: Vec::new(),
            submits: Vec::new(),
            acknowledged: Vec::new(),
            stores_before_watch: false,
            lists: HashMap::new(),
            failing_lists: HashMap::new(),
            heads_read: 0,
            watches: 0,
        };
        let address = listener.local_addr().unwrap();
        let replica = Self { logs, state: Arc::new(Mutex::new(state)), address };
        replica.serve(listener);
        replica
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Dies: every stream breaks, nobody answers.
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
        let service = GroupsServiceServer::new(self.clone());
        let served = self.state().served.clone();
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { served.run_until_cancelled(server).await });
    }

    /// Puts a device into a group.
    pub(crate) fn join(&self, group: GroupId, device: DeviceAddress) {
        self.logs().entry(group).or_default().members.insert(key_of(device));
    }

    /// Takes it out again.
    pub(crate) fn leave(&self, group: GroupId, device: DeviceAddress) {
        self.logs().entry(group).or_default().members.remove(&key_of(device));
    }

    /// Stores entries and publishes them together. Gives the last.
    pub(crate) fn store(&self, group: GroupId, count: u64, bytes: usize) -> u64 {
        let last = self.store_silently(group, count);
        self.publish(group, last + 1 - count, last, bytes);
        last
    }

    /// Stores entries that nobody hears of. Gives the last.
    pub(crate) fn store_silently(&self, group: GroupId, count: u64) -> u64 {
        let mut logs = self.logs();
        let log = logs.entry(group).or_default();
        log.seq += count;
        log.seq
    }

    /// Publishes entries to those who watch.
    pub(crate) fn publish(&self, group: GroupId, first_seq: u64, last_seq: u64, bytes: usize) {
        let entries = (first_seq..=last_seq).map(|seq| GroupEntry {
            seq,
            kind: GroupEntryKind::Message.into(),
            message: vec![7; bytes].into(),
            server_time_ms: START_MS,
            ..GroupEntry::default()
        });
        let deliver = GroupDeliver { group: bytes_of(group), entries: entries.collect() };
        let publication = Publication {
            group: bytes_of(group),
            first_seq,
            last_seq,
            encoded: deliver.encode_to_vec().into(),
            members_changed: false,
        };
        let item = downlink::Item::Publication(publication);
        let state = self.state();
        for gateway in state.streams.values().filter(|each| each.watched.contains(&group)) {
            gateway.say(item.clone());
        }
    }

    /// Sends are taken and not answered, from now on.
    pub(crate) fn stop_deciding(&self) {
        self.state().decides = false;
    }

    /// All sends are answered, those that wait first.
    pub(crate) fn decide(&self) {
        let undecided = {
            let mut state = self.state();
            state.decides = true;
            std::mem::take(&mut state.undecided)
        };
        for submit in undecided {
            self.decide_one(&submit);
        }
    }

    /// Every send is answered with this, from now on.
    pub(crate) fn answer(&self, result: outcome::Result) {
        self.state().answer = Some(result);
    }

    /// So many questions for the groups of a device fail.
    pub(crate) fn fail_lists(&self, device: DeviceAddress, count: usize) {
        self.state().failing_lists.insert(key_of(device), count);
    }

    /// Stores an entry that nobody hears of before the next watch begins.
    pub(crate) fn store_before_watch(&self) {
        self.state().stores_before_watch = true;
    }

    /// How many gateways are attached.
    pub(crate) fn attached(&self) -> usize {
        let mut state = self.state();
        state.streams.retain(|_, gateway| !gateway.batches.is_closed());
        state.streams.len()
    }

    /// How many gateways watch a group.
    pub(crate) fn watchers(&self, group: GroupId) -> usize {
        self.state().streams.values().filter(|gateway| gateway.watched.contains(&group)).count()
    }

    /// How many groups it was asked to watch, each time counted.
    pub(crate) fn watches(&self) -> usize {
        self.state().watches
    }

    /// How often it was asked for the groups of a device.
    pub(crate) fn lists(&self, device: DeviceAddress) -> usize {
        self.state().lists.get(&key_of(device)).copied().unwrap_or_default()
    }

    /// How many ends of logs were read.
    pub(crate) fn heads_read(&self) -> usize {
        self.state().heads_read
    }

    /// The sends that came, in their order.
    pub(crate) fn submits(&self) -> Vec<Submit> {
        self.state().submits.clone()
    }

    /// The acknowledgements that came.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledge> {
        self.state().acknowledged.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn logs(&self) -> MutexGuard<'_, BTreeMap<GroupId, Log>> {
        self.logs.lock().unwrap()
    }

    fn heads(&self, wanted: impl Fn(&GroupId, &Log) -> bool) -> Vec<GroupHead> {
        let logs = self.logs();
        let wanted = logs.iter().filter(|(group, log)| wanted(group, log));
        let head = |(group, log): (&GroupId, &Log)| GroupHead {
            group: bytes_of(*group),
            seq: log.seq,
            ..GroupHead::default()
        };
        wanted.map(head).collect()
    }

    fn take(&self, stream: usize, item: uplink::Item) {
        match item {
            uplink::Item::Submit(submit) => {
                let decides = {
                    let mut state = self.state();
                    state.submits.push(submit.clone());
                    if !state.decides {
                        state.undecided.push(submit.clone());
                    }
                    state.decides
                };
                if decides {
                    self.decide_one(&submit);
                }
            }
            uplink::Item::Acknowledge(acknowledge) => self.state().acknowledged.push(acknowledge),
            uplink::Item::ListGroups(list) => {
                let device = key(&list.device.unwrap());
                let heads = self.heads(|_, log| log.members.contains(&device));
                let mut state = self.state();
                *state.lists.entry(device.clone()).or_default() += 1;
                let failing = state.failing_lists.entry(device).or_default();
                let failed = *failing > 0;
                *failing = failing.saturating_sub(1);
                let heads = if failed { vec![] } else { heads };
                let item = Memberships { connection: list.connection, heads, failed };
                state.say(stream, downlink::Item::Memberships(item));
            }
            uplink::Item::Watch(watch) => {
                let groups = ids(&watch.groups);
                if std::mem::take(&mut self.state().stores_before_watch) {
                    for group in &groups {
                        self.store_silently(*group, 1);
                    }
                }
                let mut state = self.state();
                state.watches += groups.len();
                if let Some(gateway) = state.streams.get_mut(&stream) {
                    gateway.watched.extend(groups);
                }
            }
            uplink::Item::Unwatch(unwatch) => {
                let groups = ids(&unwatch.groups);
                if let Some(gateway) = self.state().streams.get_mut(&stream) {
                    gateway.watched.retain(|group| !groups.contains(group));
                }
            }
            uplink::Item::ReadHeads(read) => {
                let groups = ids(&read.groups);
                let heads = self.heads(|group, _| groups.contains(group));
                let mut state = self.state();
                state.heads_read += groups.len();
                let item = Heads { request: read.request, heads, failed: false };
                state.say(stream, downlink::Item::Heads(item));
            }
        }
    }

    fn decide_one(&self, submit: &Submit) {
        let answer = self.state().answer.clone();
        let result = answer.unwrap_or_else(|| {
            let group = GroupId::try_from(submit.send.as_ref().unwrap().group.as_ref()).unwrap();
            let seq = self.store(group, 1, 10);
            outcome::Result::Accepted(GroupAccepted { seq, server_time_ms: START_MS })
        });
        let Submit { connection, frame, .. } = *submit;
        let item = downlink::Item::Outcome(Outcome { connection, frame, result: Some(result) });
        // Tells every gateway: only one knows the connection.
        for gateway in self.state().streams.values() {
            gateway.say(item.clone());
        }
    }
}

impl State {
    fn say(&self, stream: usize, item: downlink::Item) {
        if let Some(gateway) = self.streams.get(&stream) {
            gateway.say(item);
        }
    }
}

impl Gateway {
    fn say(&self, item: downlink::Item) {
        let items = vec![Downlink { item: Some(item) }];
        drop(self.batches.send(Ok(GroupsBatch { welcome: None, items })));
    }
}

fn key(device: &DeviceRef) -> Device {
    (device.account.to_vec(), device.device)
}

fn key_of(device: DeviceAddress) -> Device {
    (device.account.as_bytes().to_vec(), device.device.into())
}

fn bytes_of(group: GroupId) -> Bytes {
    Bytes::copy_from_slice(group.as_bytes())
}

fn ids(groups: &[Bytes]) -> HashSet<GroupId> {
    groups.iter().map(|group| GroupId::try_from(group.as_ref()).unwrap()).collect()
}

#[tonic::async_trait]
impl GroupsService for GroupsReplica {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<GroupsBatch, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut uplink = request.into_inner();
        let first = uplink.message().await?.unwrap();
        assert!(first.attach.is_some(), "attach comes first");
        let (batches, sent) = mpsc::unbounded_channel();
        let (served, stream) = {
            let mut state = self.state();
            let welcome = Some(Welcome { credit: 1024 });
            batches.send(Ok(GroupsBatch { welcome, items: vec![] })).unwrap();
            state.attachments += 1;
            let stream = state.attachments;
            state.streams.insert(stream, Gateway { batches, watched: HashSet::new() });
            (state.served.clone(), stream)
        };
        let replica = self.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with its stream")]
        tokio::spawn(async move {
            while let Some(Ok(Some(batch))) = served.run_until_cancelled(uplink.message()).await {
                for item in batch.items.into_iter().filter_map(|uplink| uplink.item) {
                    replica.take(stream, item);
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(sent))))
    }
}
