use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    time::Instant,
};

use sotto_ids::DeviceAddress;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{Messages, announce::Announcer};
use crate::{
    config::CommitConfig,
    db,
    domain::{Refusal, Row},
    gateways::Ticket,
    metrics,
};

/// A send that passed every check, and is not durable yet.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) ticket: Ticket,
    pub(super) server_time_ms: u64,
    pub(super) rows: Vec<Row>,
}

/// The ways to the writers.
#[derive(Debug)]
pub(super) struct Writers(Vec<mpsc::Sender<Accepted>>);

/// The way to one writer.
#[derive(Debug)]
pub(super) struct WriterInbox<'w>(Option<&'w mpsc::Sender<Accepted>>);

impl Writers {
    pub(super) fn new(config: &CommitConfig) -> (Self, Vec<mpsc::Receiver<Accepted>>) {
        let (senders, inboxes) = (0..config.writers).map(|_| mpsc::channel(config.waiting)).unzip();
        (Self(senders), inboxes)
    }

    /// The writer of a sending device, always the same.
    pub(super) fn of(&self, sender: DeviceAddress) -> WriterInbox<'_> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(sender);
        let index =
            hash.checked_rem(self.0.len() as u64).and_then(|rest| usize::try_from(rest).ok());
        WriterInbox(index.and_then(|index| self.0.get(index)))
    }
}

impl WriterInbox<'_> {
    /// Hands a send over. Waits while the writer is behind.
    pub(super) async fn store(self, accepted: Accepted) {
        let refused = match self.0 {
            Some(inbox) => inbox.send(accepted).await.err().map(|returned| returned.0),
            None => Some(accepted),
        };
        // The writer has ended with the process.
        if let Some(accepted) = refused {
            accepted.ticket.refused(Refusal::Unavailable);
        }
    }
}

/// Makes sends durable, many in one insert.
///
/// A commit costs about the same for one row and for hundreds, so a writer collects
/// for a few milliseconds before each. While a commit runs, the next batch gathers.
#[derive(Debug)]
pub(super) struct Writer {
    messages: Messages,
    inbox: mpsc::Receiver<Accepted>,
    announcer: Announcer,
}

impl Writer {
    pub(super) const fn new(
        messages: Messages,
        inbox: mpsc::Receiver<Accepted>,
        announcer: Announcer,
    ) -> Self {
        Self { messages, inbox, announcer }
    }

    pub(super) async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            self.collect(&mut batch).await;
            if batch.is_empty() {
                return;
            }
            self.commit(std::mem::take(&mut batch)).await;
        }
    }

    /// Waits for sends. Comes back with none only when the service ends and all that
    /// waited has been taken.
    async fn collect(&mut self, batch: &mut Vec<Accepted>) {
        let config = &self.messages.config.commit;
        let first = tokio::select! {
            biased;
            first = self.inbox.recv() => first,
            () = self.messages.finishing.cancelled() => {
                self.inbox.close();
                self.inbox.recv().await
            }
        };
        let Some(first) = first else { return };
        let mut rows = first.rows.len();
        batch.push(first);

        let time_is_up = tokio::time::sleep(config.collect);
        tokio::pin!(time_is_up);
        // A send is never split: the one that reaches the bound is the last.
        while rows < config.rows {
            tokio::select! {
                biased;
                next = self.inbox.recv() => {
                    let Some(next) = next else { return };
                    rows += next.rows.len();
                    batch.push(next);
                }
                () = &mut time_is_up => return,
            }
        }
    }

    /// Inserts, and only then answers and announces.
    async fn commit(&self, batch: Vec<Accepted>) {
        let mut rows: Vec<&Row> = batch.iter().flat_map(|accepted| &accepted.rows).collect();
        rows.sort_unstable_by_key(|row| (row.recipient, row.id));
        let count = rows.len();
        let span = tracing::info_span!("messages.commit", sends = batch.len(), rows = count);
        let started = Instant::now();
        let insert = db::queue::insert_many(&rows, &self.messages.db);
        match self.messages.in_time(insert).instrument(span).await {
            Ok(new) => {
                metrics::committed(count, new, started.elapsed());
                let mut durable = Vec::with_capacity(count);
                for accepted in batch {
                    accepted.ticket.accepted(accepted.server_time_ms);
                    durable.extend(accepted.rows);
                }
                self.announcer.announce(durable);
            }
            Err(_logged) => {
                metrics::commit_failed();
                // Whether it was stored is not known if the answer was lost. The
                // same send again finds its own rows.
                for accepted in batch {
                    accepted.ticket.refused(Refusal::Unavailable);
                }
            }
        }
    }
}
