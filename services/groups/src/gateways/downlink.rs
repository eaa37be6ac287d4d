use std::{sync::Arc, time::Duration};

use sotto_proto::groups::{
    self as pb, GroupsBatch, Outcome, Publication, Welcome, downlink::Item, outcome,
};
use tokio::{sync::mpsc, time::Instant};
use tonic::Status;

use super::{gateway::Flow, ticket::entry_bytes};
use crate::{config::GatewaysConfig, metrics};

/// Gathers what is ready for one gateway into batches.
///
/// Waking the other side costs far more than an item does. So a batch takes all that
/// is ready, and a small one is followed by a short pause, in which the next gathers.
/// The first item after a quiet time leaves at once.
#[derive(Debug)]
pub(crate) struct Downlink {
    welcome: Option<Welcome>,
    outcomes: mpsc::Receiver<Outcome>,
    answers: mpsc::Receiver<Item>,
    publications: mpsc::Receiver<Publication>,
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

/// What an item takes beside its entries, roughly; and what a head does.
const ITEM_BYTES: usize = 32;

impl Downlink {
    pub(super) fn new(
        config: &GatewaysConfig,
        flow: Arc<Flow>,
        outcomes: mpsc::Receiver<Outcome>,
        answers: mpsc::Receiver<Item>,
        publications: mpsc::Receiver<Publication>,
    ) -> Self {
        Self {
            welcome: Some(Welcome { credit: config.credit }),
            outcomes,
            answers,
            publications,
            flow,
            max_items: config.batch_items,
            max_bytes: config.batch_bytes.0,
            pause: config.pause,
            not_before: Instant::now(),
            over: false,
        }
    }

    /// The next batch; the first one welcomes. `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Result<GroupsBatch, Status>> {
        if let Some(welcome) = self.welcome.take() {
            return Some(Ok(GroupsBatch { welcome: Some(welcome), items: Vec::new() }));
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
        Some(Ok(GroupsBatch { welcome: None, items: batch.items }))
    }

    /// Waits for an item or for the end.
    async fn first(&mut self, batch: &mut Batch) {
        tokio::select! {
            biased;
            () = self.flow.ended() => {}
            Some(outcome) = self.outcomes.recv() => batch.outcome(outcome, &self.flow),
            Some(answer) = self.answers.recv() => batch.answer(answer),
            Some(publication) = self.publications.recv() => {
                batch.publication(publication, &self.flow);
            }
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
                && let Ok(answer) = self.answers.try_recv()
            {
                batch.answer(answer);
            }
            if self.has_room(batch)
                && let Ok(publication) = self.publications.try_recv()
            {
                batch.publication(publication, &self.flow);
            }
        }
    }

    const fn has_room(&self, batch: &Batch) -> bool {
        batch.items.len() < self.max_items && batch.bytes < self.max_bytes
    }
}

impl Batch {
    fn outcome(&mut self, outcome: Outcome, flow: &Flow) {
        let stale_bytes = match &outcome.result {
            Some(outcome::Result::Stale(stale)) => entry_bytes(&stale.entries),
            _ => 0,
        };
        flow.answered(stale_bytes);
        self.push(Item::Outcome(outcome), stale_bytes);
    }

    fn answer(&mut self, answer: Item) {
        let heads = match &answer {
            Item::Memberships(memberships) => memberships.heads.len(),
            Item::Heads(heads) => heads.heads.len(),
            _ => 0,
        };
        self.push(answer, heads * ITEM_BYTES);
    }

    fn publication(&mut self, publication: Publication, flow: &Flow) {
        let bytes = publication.encoded.len();
        flow.published(bytes);
        self.push(Item::Publication(publication), bytes);
    }

    fn push(&mut self, item: Item, bytes: usize) {
        self.bytes += ITEM_BYTES + bytes;
        self.items.push(pb::Downlink { item: Some(item) });
    }
}
