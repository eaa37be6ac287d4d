use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use sotto_ids::EnvelopeId;
use sotto_kit::fault::Fault as _;
use sotto_proto::{
    messages::{Delivery, Outcome, Page, StoredEnvelope, outcome},
    socket,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::Downlink;
use crate::{
    config::MessagesConfig,
    domain::{Mismatch, Refusal},
    error::MessagesError,
    metrics::{self, Hint},
};

/// One attached gateway, as those see it who have something for it.
///
/// Three queues lead down to it, each bounded in its own way. Outcomes never find
/// theirs full, because it has room for as many as there is credit. A page takes its
/// room before it is read. Deliveries are hints, and one without room is dropped.
///
/// Once a hint is lost, nobody can tell which socket waits for it. So the stream ends
/// as it does when the replica ends; the gateway attaches again, and then has every
/// socket read its queue.
#[derive(Debug)]
pub(crate) struct Gateway {
    name: String,
    outcomes: mpsc::Sender<Outcome>,
    pages: mpsc::Sender<Page>,
    deliveries: mpsc::Sender<Delivery>,
    flow: Arc<Flow>,
    lost_hints: CancellationToken,
    renew_from: Instant,
}

/// What both ends of the queues look at.
#[derive(Debug)]
pub(super) struct Flow {
    credit: usize,
    unanswered: AtomicUsize,
    all_answered: Notify,
    delivery_room: usize,
    delivery_bytes: AtomicUsize,
    end: OnceLock<Result<(), MessagesError>>,
    ended: CancellationToken,
}

impl Gateway {
    pub(super) fn new(name: String, config: &MessagesConfig) -> (Self, Downlink) {
        let credit = usize::try_from(config.credit).unwrap_or(usize::MAX);
        let flow = Arc::new(Flow {
            credit,
            unanswered: AtomicUsize::new(0),
            all_answered: Notify::new(),
            delivery_room: config.downlink.delivery_bytes.0,
            delivery_bytes: AtomicUsize::new(0),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
        });
        let (outcomes, outcomes_down) = mpsc::channel(credit);
        let (pages, pages_down) = mpsc::channel(config.pages.ready);
        let (deliveries, deliveries_down) = mpsc::channel(config.downlink.deliveries);
        let downlink =
            Downlink::new(config, Arc::clone(&flow), outcomes_down, pages_down, deliveries_down);
        let gateway = Self {
            name,
            outcomes,
            pages,
            deliveries,
            flow,
            lost_hints: CancellationToken::new(),
            renew_from: Instant::now() + config.downlink.renew_every,
        };
        (gateway, downlink)
    }

    /// Random for each start of a gateway, so that it may stand in logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Counts submits and retractions that have arrived. Each must be answered through its ticket.
    pub(crate) fn take_credit(&self, submits: usize) -> Result<(), MessagesError> {
        let before = self.flow.unanswered.fetch_add(submits, Ordering::Relaxed);
        if before + submits > self.flow.credit {
            return Err(MessagesError::CreditExceeded);
        }
        Ok(())
    }

    /// Announces an envelope that has just become durable.
    pub(crate) fn deliver(&self, connection: u64, id: EnvelopeId, encoded: Bytes) -> Hint {
        let size = encoded.len();
        let before = self.flow.delivery_bytes.fetch_add(size, Ordering::Relaxed);
        let envelope = stored(id, encoded);
        if before + size <= self.flow.delivery_room
            && self
                .deliveries
                .try_send(Delivery { connection, envelope: Some(envelope), ephemeral: false })
                .is_ok()
        {
            return Hint::Sent;
        }
        self.flow.delivery_bytes.fetch_sub(size, Ordering::Relaxed);
        self.loses_hints();
        Hint::Crowded
    }

    /// Passes on an envelope that is stored nowhere. It takes half of the room at most,
    /// so that no announcement is lost for it, and nobody misses it where there is none.
    pub(crate) fn pass_on(&self, connection: u64, id: EnvelopeId, encoded: Bytes) -> Hint {
        if self.deliveries.capacity() <= self.deliveries.max_capacity() / 2 {
            return Hint::Crowded;
        }
        let size = encoded.len();
        let before = self.flow.delivery_bytes.fetch_add(size, Ordering::Relaxed);
        let envelope = Some(stored(id, encoded));
        if before + size <= self.flow.delivery_room / 2
            && self.deliveries.try_send(Delivery { connection, envelope, ephemeral: true }).is_ok()
        {
            return Hint::Sent;
        }
        self.flow.delivery_bytes.fetch_sub(size, Ordering::Relaxed);
        Hint::Crowded
    }

    /// Notes that it may not have been told of an envelope.
    pub(crate) fn loses_hints(&self) {
        self.lost_hints.cancel();
    }

    /// Whether hints were lost, and the stream is old enough to be renewed.
    pub(crate) fn is_due(&self) -> bool {
        self.lost_hints.is_cancelled() && Instant::now() >= self.renew_from
    }

    /// Resolves when the stream is to be renewed.
    pub(crate) async fn due(&self) {
        self.lost_hints.cancelled().await;
        tokio::time::sleep_until(self.renew_from).await;
    }

    /// Room for one more page, where there is any now.
    pub(crate) fn free_page_slot(&self) -> Option<PageSlot> {
        self.pages.clone().try_reserve_owned().ok().map(PageSlot)
    }

    /// Waits for room for one page. `None` when the gateway is gone.
    pub(crate) async fn page_slot(&self) -> Option<PageSlot> {
        self.pages.clone().reserve_owned().await.ok().map(PageSlot)
    }

    /// Ends the stream: with what is still queued, or at once with an error.
    pub(crate) fn end(&self, how: Result<(), MessagesError>) {
        // The first word counts.
        let _ = self.flow.end.set(how);
        self.flow.ended.cancel();
    }

    /// Resolves when `end` has been called.
    pub(crate) async fn ended(&self) {
        self.flow.ended.cancelled().await;
    }

    /// Resolves when the gateway hears nothing any more.
    pub(crate) async fn gone(&self) {
        self.outcomes.closed().await;
    }

    /// Resolves when each submit that has arrived has its outcome on the way.
    pub(crate) async fn all_answered(&self) {
        while self.flow.unanswered.load(Ordering::Acquire) > 0 {
            self.flow.all_answered.notified().await;
        }
    }
}

impl Flow {
    /// An outcome has left for the gateway.
    pub(super) fn answered(&self) {
        if self.unanswered.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all_answered.notify_one();
        }
    }

    /// A delivery has left for the gateway.
    pub(super) fn delivered(&self, bytes: usize) {
        self.delivery_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) -> Option<Result<(), MessagesError>> {
        self.end.get().copied()
    }

    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// Room for one page on its way to a gateway.
#[derive(Debug)]
pub(crate) struct PageSlot(mpsc::OwnedPermit<Page>);

impl PageSlot {
    pub(crate) fn fill(self, page: Page) {
        self.0.send(page);
    }
}

/// The right and the duty to answer one submit or retraction.
#[derive(Debug)]
pub(crate) struct Ticket {
    gateway: Arc<Gateway>,
    connection: u64,
    frame: u64,
}

impl Ticket {
    pub(crate) const fn new(gateway: Arc<Gateway>, connection: u64, frame: u64) -> Self {
        Self { gateway, connection, frame }
    }

    /// `full`: the devices that it was not stored for, since their queues are full.
    pub(crate) fn accepted(self, server_time_ms: u64, full: Vec<u32>) {
        self.answer(outcome::Result::Accepted(socket::Accepted { server_time_ms, full }));
    }

    pub(crate) fn retracted(self) {
        self.answer(outcome::Result::Retracted(socket::Retracted {}));
    }

    pub(crate) fn mismatch(self, mismatch: Mismatch) {
        metrics::refused("device_mismatch");
        self.answer(outcome::Result::DeviceMismatch(mismatch.into()));
    }

    pub(crate) fn refused(self, refusal: Refusal) {
        metrics::refused(refusal.reason());
        self.answer(outcome::Result::Error(refusal.into()));
    }

    fn answer(self, result: outcome::Result) {
        let outcome =
            Outcome { connection: self.connection, frame: self.frame, result: Some(result) };
        // It fails only when the gateway is gone, and then there is nobody to tell:
        // the device sends again.
        drop(self.gateway.outcomes.try_send(outcome));
    }
}

pub(crate) fn stored(id: EnvelopeId, encoded: Bytes) -> StoredEnvelope {
    StoredEnvelope { id: Bytes::copy_from_slice(id.as_bytes()), encoded }
}
