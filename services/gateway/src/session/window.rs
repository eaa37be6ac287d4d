//! Which envelopes are on their way to a device.

use std::collections::VecDeque;

use sotto_ids::EnvelopeId;

/// How long the id of an acknowledged envelope is remembered.
///
/// Acknowledgements become deletes a little later, in batches. A page that is read
/// in between would bring the same envelopes again.
const SETTLING_MS: u64 = 2_000;

/// How many of them are remembered.
const MAX_SETTLING: usize = 256;

/// A capacity that is worth keeping while nothing is in flight.
const SMALL: usize = 16;

/// Envelopes that were written and not acknowledged, and those whose acknowledgement
/// may not have reached the queue yet.
///
/// Both are short lists, searched from end to end: quicker than a set at these sizes,
/// and nothing at all for a socket that is idle.
#[derive(Debug, Default)]
pub(crate) struct Window {
    in_flight: Vec<EnvelopeId>,
    settling: VecDeque<(EnvelopeId, u64)>,
}

impl Window {
    /// Envelopes without an Ack.
    pub(crate) fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether an envelope was written a short time ago.
    pub(crate) fn contains(&self, id: EnvelopeId) -> bool {
        self.in_flight.contains(&id) || self.settling.iter().any(|&(settling, _)| settling == id)
    }

    /// Remembers an envelope that is being written.
    pub(crate) fn insert(&mut self, id: EnvelopeId) {
        self.in_flight.push(id);
    }

    /// Takes an acknowledgement. Says whether its envelope was in flight.
    pub(crate) fn acknowledge(&mut self, id: EnvelopeId, now_ms: u64) -> bool {
        let Some(position) = self.in_flight.iter().position(|&other| other == id) else {
            return false;
        };
        self.in_flight.swap_remove(position);
        if self.in_flight.is_empty() && self.in_flight.capacity() > SMALL {
            self.in_flight = Vec::new();
        }
        self.forget_settled(now_ms);
        if self.settling.len() == MAX_SETTLING {
            self.settling.pop_front();
        }
        self.settling.push_back((id, now_ms));
        true
    }

    /// What a page must leave out.
    pub(crate) fn exclusions(&mut self, now_ms: u64) -> Vec<EnvelopeId> {
        self.forget_settled(now_ms);
        let settling = self.settling.iter().map(|&(id, _)| id);
        self.in_flight.iter().copied().chain(settling).collect()
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
