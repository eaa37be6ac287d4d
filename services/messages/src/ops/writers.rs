use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use sotto_ids::{DeviceAddress, EnvelopeId};
use tokio::sync::mpsc;

use crate::{
    config::CommitConfig,
    domain::{Class, Refusal, Row},
    gateways::Ticket,
};

/// What a writer is to do.
#[derive(Debug)]
pub(super) enum Work {
    Store(Accepted),
    Retract(Retracting),
}

/// A send that passed every check, and is not durable yet.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) ticket: Ticket,
    pub(super) server_time_ms: u64,
    pub(super) class: Class,
    pub(super) app: String,
    pub(super) rows: Vec<Row>,
}

/// A retraction that passed every check.
#[derive(Debug)]
pub(super) struct Retracting {
    pub(super) ticket: Ticket,
    pub(super) copies: Vec<(DeviceAddress, EnvelopeId)>,
}

impl Work {
    fn refuse(self, refusal: Refusal) {
        match self {
            Self::Store(accepted) => accepted.ticket.refused(refusal),
            Self::Retract(retracting) => retracting.ticket.refused(refusal),
        }
    }
}

/// The ways to the writers.
#[derive(Debug)]
pub(super) struct Writers(Vec<mpsc::Sender<Work>>);

/// The way to one writer.
#[derive(Debug)]
pub(super) struct WriterInbox<'w>(Option<&'w mpsc::Sender<Work>>);

impl Writers {
    pub(super) fn new(config: &CommitConfig) -> (Self, Vec<mpsc::Receiver<Work>>) {
        let (senders, inboxes) = (0..config.writers).map(|_| mpsc::channel(config.waiting)).unzip();
        (Self(senders), inboxes)
    }

    /// The writer of a sending device, always the same: so what one device wants is done
    /// in its order.
    pub(super) fn of(&self, sender: DeviceAddress) -> WriterInbox<'_> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(sender);
        let index =
            hash.checked_rem(self.0.len() as u64).and_then(|rest| usize::try_from(rest).ok());
        WriterInbox(index.and_then(|index| self.0.get(index)))
    }
}

impl WriterInbox<'_> {
    /// Hands work over. Waits while the writer is behind.
    pub(super) async fn hand_over(self, work: Work) {
        let refused = match self.0 {
            Some(inbox) => inbox.send(work).await.err().map(|returned| returned.0),
            None => Some(work),
        };
        // The writer has ended with the process.
        if let Some(work) = refused {
            work.refuse(Refusal::Unavailable);
        }
    }
}
