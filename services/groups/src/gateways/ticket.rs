use std::sync::Arc;

use sotto_kit::fault::Fault as _;
use sotto_proto::{
    groups::{Outcome, outcome},
    socket::{GroupAccepted, GroupEntry, GroupStale},
};
use tokio::sync::oneshot;

use super::Gateway;
use crate::{
    domain::{Epoch, Refusal},
    metrics,
};

/// What became of a message.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// It stands in the log.
    Accepted {
        seq: u64,
        server_time_ms: u64,
    },
    /// The group has moved on.
    Stale(Stale),
    Refused(Refusal),
}

/// The group is in another epoch than the message, and what its sender missed.
#[derive(Debug, Clone)]
pub(crate) struct Stale {
    /// Where the group is.
    pub(crate) now: Epoch,
    /// What changed the epoch since that of the message, oldest first.
    pub(crate) entries: Vec<GroupEntry>,
    /// There is more of it in the log.
    pub(crate) more: bool,
}

/// The right and the duty to answer one message.
#[derive(Debug)]
pub(crate) struct Ticket(To);

#[derive(Debug)]
enum To {
    Gateway { gateway: Arc<Gateway>, connection: u64, frame: u64 },
    Caller(oneshot::Sender<Answer>),
}

impl Ticket {
    /// For a frame that a gateway has passed on, and that counts against its credit.
    pub(crate) const fn new(gateway: Arc<Gateway>, connection: u64, frame: u64) -> Self {
        Self(To::Gateway { gateway, connection, frame })
    }

    /// For somebody who waits.
    pub(crate) fn of_caller() -> (Self, oneshot::Receiver<Answer>) {
        let (sender, answer) = oneshot::channel();
        (Self(To::Caller(sender)), answer)
    }

    pub(crate) fn refused(self, refusal: Refusal) {
        metrics::refused(refusal.reason());
        self.answer(Answer::Refused(refusal));
    }

    pub(crate) fn answer(self, answer: Answer) {
        match self.0 {
            To::Gateway { gateway, connection, frame } => {
                let result = Some(outcome(answer, &gateway));
                gateway.answer(Outcome { connection, frame, result });
            }
            // Where nobody waits any more, nobody is told: who sends again finds out.
            To::Caller(caller) => drop(caller.send(answer)),
        }
    }
}

/// Missed entries are left out where too much of that is on its way to the gateway already:
/// the device reads the log instead.
fn outcome(answer: Answer, gateway: &Gateway) -> outcome::Result {
    match answer {
        Answer::Accepted { seq, server_time_ms } => {
            outcome::Result::Accepted(GroupAccepted { seq, server_time_ms })
        }
        Answer::Stale(Stale { now, mut entries, mut more }) => {
            if !gateway.has_room_for_stale(entry_bytes(&entries)) {
                entries.clear();
                more = true;
            }
            let (generation, epoch) = (now.generation, now.epoch);
            outcome::Result::Stale(GroupStale { generation, epoch, entries, more })
        }
        Answer::Refused(refusal) => outcome::Result::Error((&refusal).into()),
    }
}

/// The bytes of entries, but for what is the same small size in each.
pub(crate) fn entry_bytes(entries: &[GroupEntry]) -> usize {
    entries.iter().map(|entry| entry.message.len() + entry.sealed_metadata.len()).sum()
}
