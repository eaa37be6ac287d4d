use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use sotto_proto::groups::{Outcome, Publication, downlink::Item};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Downlink, StreamError, watches::Watched};
use crate::{
    config::GatewaysConfig,
    metrics::{self, Published},
};

/// One attached gateway, as those see it who have something for it.
///
/// Three queues lead down to it, each bounded in its own way. Outcomes never find theirs
/// full, because it has room for as many as there is credit. What was asked for takes its
/// room before it is read. Publications are hints: one that is too much goes without its
/// entries, and one for which there is no room at all ends the stream, as it does when the
/// replica ends; the gateway attaches again, and then asks where its groups stand.
#[derive(Debug)]
pub(crate) struct Gateway {
    name: String,
    outcomes: mpsc::Sender<Outcome>,
    answers: mpsc::Sender<Item>,
    publications: mpsc::Sender<Publication>,
    flow: Arc<Flow>,
    lost_hints: CancellationToken,
    renew_from: Instant,
    /// What it watches.
    pub(super) watched: Watched,
}

/// What both ends of the queues look at.
#[derive(Debug)]
pub(super) struct Flow {
    credit: usize,
    unanswered: AtomicUsize,
    all_answered: Notify,
    publication_room: usize,
    publication_bytes: AtomicUsize,
    stale_room: usize,
    stale_bytes: AtomicUsize,
    end: OnceLock<Result<(), StreamError>>,
    ended: CancellationToken,
}

impl Gateway {
    pub(super) fn new(name: String, config: &GatewaysConfig) -> (Self, Downlink) {
        let credit = usize::try_from(config.credit).unwrap_or(usize::MAX);
        let flow = Arc::new(Flow {
            credit,
            unanswered: AtomicUsize::new(0),
            all_answered: Notify::new(),
            publication_room: config.publication_bytes.0,
            publication_bytes: AtomicUsize::new(0),
            stale_room: config.stale_bytes.0,
            stale_bytes: AtomicUsize::new(0),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
        });
        let (outcomes, outcomes_down) = mpsc::channel(credit);
        let (answers, answers_down) = mpsc::channel(config.answers);
        let (publications, publications_down) = mpsc::channel(config.publications);
        let downlink = Downlink::new(
            config,
            Arc::clone(&flow),
            outcomes_down,
            answers_down,
            publications_down,
        );
        let gateway = Self {
            name,
            outcomes,
            answers,
            publications,
            flow,
            lost_hints: CancellationToken::new(),
            renew_from: Instant::now() + config.renew_every,
            watched: Watched::new(config.watches),
        };
        (gateway, downlink)
    }

    /// Random for each start of a gateway, so that it may stand in logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Counts submits that have arrived. Each must be answered through its ticket.
    pub(crate) fn take_credit(&self, submits: usize) -> Result<(), StreamError> {
        let before = self.flow.unanswered.fetch_add(submits, Ordering::Relaxed);
        if before + submits > self.flow.credit {
            return Err(StreamError::CreditExceeded);
        }
        Ok(())
    }

    /// Passes on what has just become durable, without its entries where these would be too
    /// much.
    pub(super) fn publish(&self, mut publication: Publication) {
        let size = publication.encoded.len();
        let before = self.flow.publication_bytes.fetch_add(size, Ordering::Relaxed);
        let mut how = if size == 0 { Published::Hint } else { Published::Sent };
        let counted = if before + size <= self.flow.publication_room {
            size
        } else {
            self.flow.publication_bytes.fetch_sub(size, Ordering::Relaxed);
            publication.encoded = Bytes::new();
            how = Published::Hint;
            0
        };
        if self.publications.try_send(publication).is_err() {
            self.flow.publication_bytes.fetch_sub(counted, Ordering::Relaxed);
            self.lost_hints.cancel();
            how = Published::Crowded;
        }
        metrics::published(how);
    }

    /// Whether this many bytes of missing entries may go down with an outcome.
    pub(super) fn has_room_for_stale(&self, bytes: usize) -> bool {
        let before = self.flow.stale_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= self.flow.stale_room;
        if !fits {
            self.flow.stale_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Answers a submit, whose credit was taken.
    pub(super) fn answer(&self, outcome: Outcome) {
        // It fails only when the gateway is gone, and then there is nobody to tell: the
        // device sends again.
        drop(self.outcomes.try_send(outcome));
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

    /// Waits for room for one answer. `None` when the gateway is gone.
    pub(crate) async fn answer_slot(&self) -> Option<AnswerSlot> {
        self.answers.clone().reserve_owned().await.ok().map(AnswerSlot)
    }

    /// Room for one more answer, where there is any now.
    pub(crate) fn free_answer_slot(&self) -> Option<AnswerSlot> {
        self.answers.clone().try_reserve_owned().ok().map(AnswerSlot)
    }

    /// Ends the stream: with what is still queued, or at once with an error.
    pub(crate) fn end(&self, how: Result<(), StreamError>) {
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
    /// An outcome has left for the gateway, with that many bytes of entries.
    pub(super) fn answered(&self, stale_bytes: usize) {
        self.stale_bytes.fetch_sub(stale_bytes, Ordering::Relaxed);
        if self.unanswered.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all_answered.notify_one();
        }
    }

    /// A publication has left for the gateway.
    pub(super) fn published(&self, bytes: usize) {
        self.publication_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) -> Option<Result<(), StreamError>> {
        self.end.get().copied()
    }

    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// Room for one answer on its way to a gateway.
#[derive(Debug)]
pub(crate) struct AnswerSlot(mpsc::OwnedPermit<Item>);

impl AnswerSlot {
    pub(crate) fn fill(self, answer: Item) {
        self.0.send(answer);
    }
}
