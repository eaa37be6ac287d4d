//! Which envelopes are on their way to a device.

use std::collections::VecDeque;

use sotto_ids::EnvelopeId;

use super::io::Stored;

/// How long the id of an acknowledged envelope is remembered.
///
/// Acknowledgements become deletes a little later, in batches. A page that is read
/// in between would bring the same envelopes again.
const SETTLING_MS: u64 = 2_000;

/// How many of them are remembered.
const MAX_SETTLING: usize = 256;

/// A capacity that is worth keeping while nothing is in flight.
const SMALL: usize = 16;

/// One envelope without an Ack.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    id: EnvelopeId,
    /// Since when the device has had reason to acknowledge it.
    since_ms: u64,
    /// How often it was written.
    written: u32,
    /// The page on its way may bring it once more.
    asked_again: bool,
}

/// Envelopes that were written and not acknowledged, and those whose acknowledgement
/// may not have reached the queue yet.
///
/// Both are short lists, searched from end to end: quicker than a set at these sizes,
/// and nothing at all for a socket that is idle. Those in flight stand in the order in
/// which they were written.
#[derive(Debug, Default)]
pub(crate) struct Window {
    in_flight: Vec<InFlight>,
    settling: VecDeque<(EnvelopeId, u64)>,
}

/// What a page leaves out, and how much of what is in flight it does not.
#[derive(Debug)]
pub(crate) struct Exclusions {
    pub(crate) ids: Vec<EnvelopeId>,
    pub(crate) asked_again: usize,
}

impl Window {
    /// Envelopes without an Ack.
    pub(crate) fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether an envelope was written a short time ago.
    pub(crate) fn contains(&self, id: EnvelopeId) -> bool {
        self.in_flight.iter().any(|other| other.id == id)
            || self.settling.iter().any(|&(settling, _)| settling == id)
    }

    /// Remembers an envelope that is being written.
    pub(crate) fn insert(&mut self, id: EnvelopeId, now_ms: u64) {
        self.in_flight.push(InFlight { id, since_ms: now_ms, written: 1, asked_again: false });
    }

    /// Takes an acknowledgement. Says whether its envelope was in flight.
    ///
    /// A device that acknowledges one is working on those that were written after it:
    /// their time begins anew. Those before it were passed over, and theirs goes on.
    pub(crate) fn acknowledge(&mut self, id: EnvelopeId, now_ms: u64) -> bool {
        let Some(position) = self.in_flight.iter().position(|other| other.id == id) else {
            return false;
        };
        self.in_flight.remove(position);
        for later in self.in_flight.iter_mut().skip(position) {
            later.since_ms = now_ms;
        }
        self.give_back();
        self.forget_settled(now_ms);
        if self.settling.len() == MAX_SETTLING {
            self.settling.pop_front();
        }
        self.settling.push_back((id, now_ms));
        true
    }

    /// What a page must leave out: all but those that the device has had for
    /// `redeliver_ms` and longer.
    pub(crate) fn exclusions(&mut self, redeliver_ms: u64, now_ms: u64) -> Exclusions {
        self.forget_settled(now_ms);
        let mut ids = Vec::with_capacity(self.in_flight.len() + self.settling.len());
        for in_flight in &mut self.in_flight {
            in_flight.asked_again = in_flight.since_ms + redeliver_ms <= now_ms;
            if !in_flight.asked_again {
                ids.push(in_flight.id);
            }
        }
        let asked_again = self.in_flight.len() - ids.len();
        ids.extend(self.settling.iter().map(|&(id, _)| id));
        Exclusions { ids, asked_again }
    }

    /// Whether the envelope is one that the page was to bring once more. If so it is
    /// being written again.
    pub(crate) fn write_again(&mut self, id: EnvelopeId, now_ms: u64) -> bool {
        let asked = |other: &InFlight| other.id == id && other.asked_again;
        let Some(position) = self.in_flight.iter().position(asked) else {
            return false;
        };
        let before = self.in_flight.remove(position);
        let (written, asked_again) = (before.written + 1, false);
        self.in_flight.push(InFlight { since_ms: now_ms, written, asked_again, ..before });
        true
    }

    /// Forgets what the page was to bring once more and did not: it is in the queue no
    /// longer. Only for a page that holds all that waits.
    pub(crate) fn forget_gone(&mut self, page: &[Stored]) {
        self.in_flight.retain(|in_flight| {
            !in_flight.asked_again || page.iter().any(|stored| stored.id == in_flight.id)
        });
        self.give_back();
    }

    /// When the first of them will have been with the device for `redeliver_ms`.
    pub(crate) fn overdue_ms(&self, redeliver_ms: u64) -> Option<u64> {
        self.in_flight.iter().map(|in_flight| in_flight.since_ms + redeliver_ms).min()
    }

    /// Whether one was written so many times, and the device has had time for it since.
    pub(crate) fn has_given_up(&self, times: u32, redeliver_ms: u64, now_ms: u64) -> bool {
        self.in_flight.iter().any(|in_flight| {
            in_flight.written >= times && in_flight.since_ms + redeliver_ms <= now_ms
        })
    }

    fn give_back(&mut self) {
        if self.in_flight.is_empty() && self.in_flight.capacity() > SMALL {
            self.in_flight = Vec::new();
        }
    }

    fn forget_settled(&mut self, now_ms: u64) {
        while self.settling.front().is_some_and(|&(_, since)| since + SETTLING_MS <= now_ms) {
            self.settling.pop_front();
        }
        if self.settling.is_empty() && self.settling.capacity() > SMALL {
            self.settling = VecDeque::new();
        }
    }
}
