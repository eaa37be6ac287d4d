//! What was promised, compared with what was seen.
//!
//! The oracle is told of each message when a sender decides to write it, when the
//! server accepts it, and when a receiver shows it. In the end everything that was
//! accepted must have been shown exactly once, or still wait in a queue, or have
//! expired; and what one device wrote to another must have been shown in the order
//! in which it was written.
//!
//! It never speaks of loss while something may still be on its way: [`Oracle::interim`]
//! knows only what is open, and [`Oracle::conclude`] wants a [`Drain`], which is made by
//! waiting.
//!
//! Devices are numbers that the run gave them, and messages are numbers within a pair
//! of devices. Neither can be traced to an account.

mod drain;
mod ledger;
mod verdict;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use self::ledger::Ledger;
pub use self::{
    drain::{Drain, Queued},
    verdict::{Finding, Verdict},
};

/// One message for one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Letter {
    /// The device that wrote it.
    pub from: u32,
    /// The device that it is for.
    pub to: u32,
    /// Its place among those of `from` for `to`: rises by one or more.
    pub number: u64,
}

/// What it means that a message was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As it should be. It took this long, from when it was meant to be written.
    First(Duration),
    /// It was shown before.
    Again,
    /// Nobody wrote it.
    Unknown,
}

/// A state in the middle of a run. What is open may be on its way, so nothing here is
/// called lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interim {
    /// Messages that senders decided to write.
    pub offered: u64,
    /// Of those, what the server accepted.
    pub accepted: u64,
    /// What was shown for the first time.
    pub shown: u64,
    /// Neither shown nor refused yet.
    pub open: u64,
    /// Shown again, so far.
    pub twice: u64,
    /// Shown after one that was written later, so far.
    pub disordered: u64,
    /// How long ago the oldest open one was meant to be written.
    pub oldest_open: Option<Duration>,
}

/// A point in the series of all messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// See the module. Shared by all who write and read.
#[derive(Debug, Default)]
pub struct Oracle {
    ledger: Mutex<Ledger>,
}

impl Oracle {
    /// An oracle that has heard of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sender is about to write a message, which it meant to do at `intended`.
    ///
    /// To be called before the message can be accepted or shown.
    pub fn offered(&self, letter: Letter, intended: Instant) {
        self.ledger().offered(letter, intended);
    }

    /// The server has said that it keeps the message; until `expires`, where it has an
    /// end of its own. Hearing it again changes nothing.
    pub fn accepted(&self, letter: Letter, expires: Option<Instant>) {
        self.ledger().accepted(letter, expires);
    }

    /// The server, or the sender's own client, has given the message up.
    pub fn refused(&self, letter: Letter) {
        self.ledger().refused(letter);
    }

    /// The receiver has shown the message. To be called in the order of showing.
    pub fn shown(&self, letter: Letter) -> Shown {
        self.ledger().shown(letter, Instant::now())
    }

    /// How it stands.
    pub fn interim(&self) -> Interim {
        self.ledger().interim(Instant::now())
    }

    /// The messages that were offered so far lie before the mark.
    pub fn mark(&self) -> Mark {
        Mark(self.ledger().next_ordinal())
    }

    /// Whether nothing before a mark is open any more.
    pub fn is_settled(&self, before: Mark) -> bool {
        self.ledger().oldest_open().is_none_or(|ordinal| ordinal >= before.0)
    }

    /// Judges, now that the system has had its time to deliver.
    pub fn conclude(&self, drain: &Drain) -> Verdict {
        Verdict::of(&self.ledger(), drain)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
