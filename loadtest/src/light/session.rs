//! The life of a light device: connect, write, read, acknowledge, come back.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use prost::bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sotto_ids::{ClientMsgId, limits::MAX_ACK_IDS};
use sotto_proto::socket::{
    Accepted, Ack, ClientFrame, Deliver, Error, ServerFrame, client_frame, server_frame,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_tungstenite::tungstenite::Error as WsError;
use url::Url;

use super::{
    content,
    outgoing::{Outgoing, Peer, write},
    pool::{now_ms, ten},
    seen::{Arrival, Seen},
    socket::{Closed, Incoming, Socket},
};
use crate::oracle::{Letter, Shown};

/// The pause before a socket that was lost is opened again, by lot between these.
const RETRY: std::ops::RangeInclusive<u64> = 100..=1_000;

/// The reason of a goodbye from a gateway that ends.
const RESTART: &str = "service_restart";

/// From this close code on there is no use in connecting again (docs/protocol.md, The end).
const FOR_GOOD: u16 = 4_500;

/// Where a device belongs, and what it does.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    /// Its number in the run.
    pub(super) number: u32,
    pub(super) token: String,
    /// The sockets of the gateways, in the order in which it tries them, with their
    /// number.
    pub(super) gateways: Vec<(usize, Url)>,
    /// Whom it writes to.
    pub(super) peers: Vec<Peer>,
    /// Bytes of a ciphertext.
    pub(super) length: usize,
    /// Sends that it has without an answer at most.
    pub(super) window: usize,
}

/// A message that a device is to write.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// To which of its peers, counted round.
    pub peer: usize,
    /// When it is meant to be written.
    pub intended: Instant,
}

/// A device as it runs.
#[derive(Debug)]
pub(super) struct Session {
    seat: Seat,
    seen: Arc<Seen>,
    orders: mpsc::Receiver<Order>,
    rng: StdRng,
    /// The ids of envelopes that it has handled.
    handled: HashSet<Bytes>,
    /// Sends without an answer, in their order.
    pending: BTreeMap<u64, Pending>,
    /// Those that the server put off, by when they are due.
    put_off: BTreeMap<Instant, u64>,
    last_frame: u64,
    last_ms: u64,
    /// How often it has written to each peer.
    numbers: Vec<u64>,
}

#[derive(Debug)]
struct Pending {
    outgoing: Outgoing,
    intended: Instant,
}

/// How a socket ended.
#[derive(Debug, Default)]
struct End {
    code: Option<u16>,
    /// When the gateway said to come back.
    told: Option<Duration>,
}

impl Session {
    /// A device, and where to leave orders for it.
    pub(super) fn new(seat: Seat, orders: usize, seen: Arc<Seen>) -> (mpsc::Sender<Order>, Self) {
        let (sender, orders) = mpsc::channel(orders.max(1));
        let numbers = vec![0; seat.peers.len()];
        let session = Self {
            rng: StdRng::seed_from_u64(seat.number.into()),
            seat,
            seen,
            orders,
            handled: HashSet::new(),
            pending: BTreeMap::new(),
            put_off: BTreeMap::new(),
            last_frame: 0,
            last_ms: 0,
            numbers,
        };
        (sender, session)
    }

    /// Runs until the task is dropped, or the gateway sends the device away for good.
    pub(super) async fn run(mut self) {
        let mut gateways = self.seat.gateways.clone().into_iter().cycle();
        let Some((mut gateway, mut url)) = gateways.next() else { return };
        let mut told = None;
        loop {
            let end = match Socket::open(&url, &self.seat.token).await {
                Ok(socket) => self.stay(socket, gateway, told).await,
                Err(Closed::Busy(after)) => {
                    // It will have room, and the others are as busy.
                    self.seen.trouble("upgrade put off".to_owned());
                    tokio::time::sleep(after.unwrap_or_else(|| self.lot())).await;
                    continue;
                }
                Err(Closed::Away) => End::default(),
                Err(Closed::Token) => End { code: Some(FOR_GOOD), told: None },
            };
            if let Some(code) = end.code.filter(|code| *code >= FOR_GOOD) {
                self.seen.trouble(format!("sent away for good ({code})"));
                return;
            }
            told = end.told;
            tokio::time::sleep(told.unwrap_or_else(|| self.lot())).await;
            if let Some(next) = gateways.next() {
                (gateway, url) = next;
            }
        }
    }

    /// A pause of its own for each device, so that they do not all come at once.
    fn lot(&mut self) -> Duration {
        Duration::from_millis(self.rng.random_range(RETRY))
    }

    /// One socket, from its opening to its end.
    async fn stay(&mut self, mut socket: Socket, gateway: usize, told: Option<Duration>) -> End {
        let mut end = End::default();
        let mut is_welcome = false;
        loop {
            let due = self.put_off.keys().next().copied();
            let may_write = is_welcome && self.pending.len() < self.seat.window;
            let written = tokio::select! {
                incoming = socket.next() => match incoming {
                    Incoming::Frame(frame) => match self.take(*frame, &mut socket, &mut end).await {
                        Ok(Taken::Hello) => {
                            is_welcome = true;
                            let device = self.seat.number;
                            let at = Instant::now();
                            self.seen.arrived(Arrival { device, gateway, at, told });
                            self.send_again(&mut socket).await
                        }
                        Ok(Taken::Other) => Ok(()),
                        Err(error) => Err(error),
                    },
                    Incoming::Beat => socket.flush().await,
                    Incoming::End(code) => {
                        end.code = code;
                        break;
                    }
                },
                Some(order) = self.orders.recv(), if may_write => {
                    self.write(order, &mut socket).await
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)),
                    if is_welcome && due.is_some() =>
                {
                    self.send_due(&mut socket).await
                }
            };
            if written.is_err() {
                break;
            }
        }
        if is_welcome {
            self.seen.left();
        }
        end
    }

    async fn take(
        &mut self,
        frame: ServerFrame,
        socket: &mut Socket,
        end: &mut End,
    ) -> Result<Taken, WsError> {
        match frame.body {
            Some(server_frame::Body::Hello(_)) => return Ok(Taken::Hello),
            Some(server_frame::Body::Deliver(deliver)) => self.read(deliver, socket).await?,
            Some(server_frame::Body::Accepted(accepted)) => {
                self.accepted(frame.in_reply_to, &accepted);
            }
            Some(server_frame::Body::Error(error)) => self.failed(frame.in_reply_to, &error),
            Some(server_frame::Body::DeviceMismatch(_)) => {
                self.give_up(frame.in_reply_to, "device mismatch");
            }
            Some(server_frame::Body::Goodbye(goodbye)) => {
                let after = Duration::from_millis(goodbye.reconnect_after_ms.into());
                // Zero is an answer too, of a gateway that ends.
                let is_told = goodbye.reason == RESTART || !after.is_zero();
                end.told = is_told.then_some(after);
            }
            _ => {}
        }
        Ok(Taken::Other)
    }

    /// Takes in what was delivered, and acknowledges all of it at once.
    async fn read(&mut self, deliver: Deliver, socket: &mut Socket) -> Result<(), WsError> {
        let mut ids = Vec::with_capacity(deliver.envelopes.len());
        for envelope in deliver.envelopes {
            if !self.handled.insert(envelope.id.clone()) {
                self.seen.came_again();
            } else if let Some((from, number)) = content::read(&envelope.ciphertext) {
                let letter = Letter { from, to: self.seat.number, number };
                if let Shown::First(took) = self.seen.oracle.shown(letter) {
                    self.seen.delivery.record(took);
                }
            }
            ids.push(envelope.id);
        }
        for ids in ids.chunks(MAX_ACK_IDS) {
            let ack = Ack { envelope_ids: ids.to_vec() };
            socket.feed(&ClientFrame { id: 0, body: Some(client_frame::Body::Ack(ack)) }).await?;
        }
        socket.flush().await
    }

    /// Writes what was ordered, and whatever else was ordered by now.
    async fn write(&mut self, first: Order, socket: &mut Socket) -> Result<(), WsError> {
        let mut next = Some(first);
        while let Some(order) = next {
            if let Some(id) = self.make(order) {
                self.send(id, socket).await?;
            }
            let has_room = self.pending.len() < self.seat.window;
            next = if has_room { self.orders.try_recv().ok() } else { None };
        }
        socket.flush().await
    }

    fn make(&mut self, order: Order) -> Option<u64> {
        let place = order.peer % self.seat.peers.len().max(1);
        let peer = self.seat.peers.get(place)?;
        let number = self.numbers.get_mut(place)?;
        // Each send has a millisecond of its own, so that queues keep their order.
        self.last_ms = now_ms().max(self.last_ms + 1);
        let id = ClientMsgId::new(self.last_ms, ten(&mut self.rng));
        let outgoing = write(self.seat.number, peer, *number, id, self.seat.length);
        *number += 1;
        for letter in &outgoing.letters {
            self.seen.oracle.offered(*letter, order.intended);
        }
        self.last_frame += 1;
        self.pending.insert(self.last_frame, Pending { outgoing, intended: order.intended });
        Some(self.last_frame)
    }

    async fn send(&self, id: u64, socket: &mut Socket) -> Result<(), WsError> {
        let Some(pending) = self.pending.get(&id) else { return Ok(()) };
        let body = client_frame::Body::Send(pending.outgoing.send.clone());
        socket.feed(&ClientFrame { id, body: Some(body) }).await
    }

    /// What had no answer on the socket before, with the ids it had.
    async fn send_again(&mut self, socket: &mut Socket) -> Result<(), WsError> {
        self.put_off.clear();
        for id in self.pending.keys().copied().collect::<Vec<_>>() {
            self.send(id, socket).await?;
        }
        socket.flush().await
    }

    async fn send_due(&mut self, socket: &mut Socket) -> Result<(), WsError> {
        let later = self.put_off.split_off(&(Instant::now() + Duration::from_millis(1)));
        for id in std::mem::replace(&mut self.put_off, later).into_values() {
            self.send(id, socket).await?;
        }
        socket.flush().await
    }

    fn accepted(&mut self, id: u64, accepted: &Accepted) {
        let Some(Pending { outgoing, intended }) = self.pending.remove(&id) else { return };
        for (letter, message) in outgoing.letters.iter().zip(&outgoing.send.messages) {
            if accepted.full.contains(&message.device_id) {
                self.seen.trouble("queue full".to_owned());
                self.seen.oracle.refused(*letter);
            } else {
                self.seen.oracle.accepted(*letter, None);
            }
        }
        self.seen.accepted(intended.elapsed());
    }

    fn failed(&mut self, id: u64, error: &Error) {
        if error.retry_after_ms == 0 {
            self.give_up(id, &error.reason);
        } else if self.pending.contains_key(&id) {
            self.seen.trouble(format!("send put off: {}", error.reason));
            let mut due = Instant::now() + Duration::from_millis(error.retry_after_ms.into());
            // Two at the same moment would be one.
            while self.put_off.contains_key(&due) {
                due += Duration::from_micros(1);
            }
            self.put_off.insert(due, id);
        }
    }

    fn give_up(&mut self, id: u64, reason: &str) {
        self.seen.trouble(format!("refused: {reason}"));
        for letter in self.pending.remove(&id).into_iter().flat_map(|one| one.outgoing.letters) {
            self.seen.oracle.refused(letter);
        }
    }
}

/// What a frame was, as far as it matters to the socket.
enum Taken {
    Hello,
    Other,
}
