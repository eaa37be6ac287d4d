use std::{sync::Arc, time::Duration};

use sotto_proto::messages::{
    self as pb, Delivery, MessagesBatch, Outcome, Page, Welcome, downlink::Item,
};
use tokio::{sync::mpsc, time::Instant};
use tonic::Status;

use super::gateway::Flow;
use crate::{config::MessagesConfig, metrics};

/// Gathers what is ready for one gateway into batches.
///
/// Waking the other side costs far more than an item does. So a batch takes all that
/// is ready, and a small one is followed by a short pause, in which the next gathers.
/// The first item after a quiet time leaves at once.
#[derive(Debug)]
pub(crate) struct Downlink {
    welcome: Option<Welcome>,
    outcomes: mpsc::Receiver<Outcome>,
    pages: mpsc::Receiver<Page>,
    deliveries: mpsc::Receiver<Delivery>,
    flow: Arc<Flow>,
    max_items: usize,
    max_bytes: usize,
    pause: Duration,
    not_before: Instant,
    over: bool,
}

#[derive(Debug, Default)]
struct Batch {
    items: Vec<pb::Downlink>,
    bytes: usize,
}

/// What an item without an envelope takes, roughly.
const ITEM_BYTES: usize = 32;

impl Downlink {
    pub(super) fn new(
        config: &MessagesConfig,
        flow: Arc<Flow>,
        outcomes: mpsc::Receiver<Outcome>,
        pages: mpsc::Receiver<Page>,
        deliveries: mpsc::Receiver<Delivery>,
    ) -> Self {
        Self {
            welcome: Some(Welcome { credit: config.credit }),
            outcomes,
            pages,
            deliveries,
            flow,
            max_items: config.downlink.items,
            max_bytes: config.downlink.bytes.0,
            pause: config.downlink.pause,
            not_before: Instant::now(),
            over: false,
        }
    }

    /// The next batch; the first one welcomes. `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Result<MessagesBatch, Status>> {
        if let Some(welcome) = self.welcome.take() {
            return Some(Ok(MessagesBatch { welcome: Some(welcome), items: Vec::new() }));
        }
        if self.over {
            return None;
        }
        let mut batch = Batch::default();
        self.first(&mut batch).await;
        match self.flow.has_ended() {
            Some(Err(error)) => {
                self.over = true;
                return Some(Err(error.into()));
            }
            Some(Ok(())) => {}
            None => tokio::time::sleep_until(self.not_before).await,
        }
        self.fill(&mut batch);
        if batch.items.is_empty() {
            self.over = true;
            return None;
        }
        if batch.items.len() < self.max_items / 2 {
            self.not_before = Instant::now() + self.pause;
        }
        metrics::batch("down", batch.items.len());
        Some(Ok(MessagesBatch { welcome: None, items: batch.items }))
    }

    /// Waits for an item or for the end.
    async fn first(&mut self, batch: &mut Batch) {
        tokio::select! {
            biased;
            () = self.flow.ended() => {}
            Some(outcome) = self.outcomes.recv() => batch.outcome(outcome, &self.flow),
            Some(page) = self.pages.recv() => batch.page(page),
            Some(delivery) = self.deliveries.recv() => batch.delivery(delivery, &self.flow),
            else => {}
        }
    }

    /// Takes what else is ready, one of each kind in turn, so that no kind waits for
    /// the end of another.
    fn fill(&mut self, batch: &mut Batch) {
        let mut before = usize::MAX;
        while batch.items.len() != before {
            before = batch.items.len();
            if self.has_room(batch)
                && let Ok(outcome) = self.outcomes.try_recv()
            {
                batch.outcome(outcome, &self.flow);
            }
            if self.has_room(batch)
                && let Ok(page) = self.pages.try_recv()
            {
                batch.page(page);
            }
            if self.has_room(batch)
                && let Ok(delivery) = self.deliveries.try_recv()
            {
                batch.delivery(delivery, &self.flow);
            }
        }
    }

    const fn has_room(&self, batch: &Batch) -> bool {
        batch.items.len() < self.max_items && batch.bytes < self.max_bytes
    }
}

impl Batch {
    fn outcome(&mut self, outcome: Outcome, flow: &Flow) {
        flow.answered();
        self.push(Item::Outcome(outcome), 0);
    }

    fn page(&mut self, page: Page) {
        let bytes = page.envelopes.iter().map(|envelope| envelope.encoded.len()).sum();
        self.push(Item::Page(page), bytes);
    }

    fn delivery(&mut self, delivery: Delivery, flow: &Flow) {
        let bytes = delivery.envelope.as_ref().map_or(0, |envelope| envelope.encoded.len());
        flow.delivered(bytes);
        self.push(Item::Delivery(delivery), bytes);
    }

    fn push(&mut self, item: Item, bytes: usize) {
        self.bytes += ITEM_BYTES + bytes;
        self.items.push(pb::Downlink { item: Some(item) });
    }
}
