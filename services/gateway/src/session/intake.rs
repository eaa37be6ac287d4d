//! How the envelopes of a queue get to a socket.
//!
//! One mechanism serves the start of a socket, a socket that fell behind, and hints
//! that were lost: *pulling*. The queue is read page by page, without what is in
//! flight, until a page was the last and nothing was missed since it was asked for.
//! Then hints go straight out: *live*.
//!
//! ```text
//!            start            last page, nothing missed
//!   idle ───────────► pulling ────────────────────────► live
//!                        ▲   window full, hints missed,   │
//!                        └────────────────────────────────┘
//!                            long since the last read
//! ```
//!
//! An envelope that the device leaves unacknowledged for too long is read once more: the
//! page does not leave it out. So nothing is kept here but its id, and one that has
//! expired or was retracted in the meantime is not written again.
//!
//! There is no cursor: rows of two writers do not become visible in the order of
//! their ids, and a cursor would pass over the late one for good.

use std::collections::VecDeque;

use sotto_ids::EnvelopeId;
use sotto_proto::socket::{QueueEmpty, server_frame};

use super::{
    io::{Action, Actions, Page, Stored},
    replies::frame,
    window::{Exclusions, Window},
};

/// What bounds an intake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Envelopes in flight, and ids of others that may be acknowledged between two
    /// pages.
    pub(crate) max_unacked: usize,
    /// Envelopes in one page.
    pub(crate) page: usize,
    /// Hints held back while a page is read.
    pub(crate) held_items: usize,
    /// Their bytes.
    pub(crate) held_bytes: usize,
    /// The wait after a page that failed.
    pub(crate) retry_ms: u64,
    /// The longest time between two reads.
    pub(crate) poll_ms: u64,
    /// How long an envelope may stay without an Ack before it is written again.
    pub(crate) redeliver_ms: u64,
    /// How often it is written again.
    pub(crate) redeliver_times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Pulling,
    Live,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pull {
    /// None is on its way.
    None,
    /// One is on its way.
    Asked,
    /// One failed; not before this time again.
    Failed { again_at_ms: u64 },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Intake {
    limits: Limits,
    phase: Phase,
    pull: Pull,
    /// Something waits, or may wait, that no page on its way will hold.
    more: bool,
    said_empty: bool,
    /// Ids that are not in flight and will still be passed on before the next page.
    others: usize,
    window: Window,
    held: Held,
    poll_at_ms: u64,
    /// What is overdue is not asked for again before this time.
    redeliver_at_ms: u64,
}

impl Intake {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Idle,
            pull: Pull::None,
            more: false,
            said_empty: false,
            others: limits.max_unacked,
            window: Window::default(),
            held: Held::default(),
            poll_at_ms: u64::MAX,
            redeliver_at_ms: 0,
        }
    }

    /// Hints reach the socket from now on, so the queue may be read.
    pub(crate) fn start(&mut self, now_ms: u64, out: &mut Actions) {
        if self.phase == Phase::Idle {
            self.read_again(now_ms, out);
        }
    }

    /// An envelope has become durable.
    pub(crate) fn delivery(&mut self, stored: Stored, now_ms: u64, out: &mut Actions) {
        if self.phase == Phase::Idle || self.window.contains(stored.id) {
            return;
        }
        let full = self.window.len() >= self.limits.max_unacked;
        if self.phase == Phase::Live && !full {
            self.deliver(stored, now_ms, out);
        } else if self.pull == Pull::Asked {
            // The page on its way may hold it or not. Nothing older can be missing
            // once the page is here, so it can follow the page without another read.
            self.more |= !self.held.keep(stored, &self.limits);
        } else {
            self.read_again(now_ms, out);
        }
    }

    /// A page has been read, or could not be.
    pub(crate) fn page(&mut self, page: Page, now_ms: u64, out: &mut Actions) {
        if self.pull != Pull::Asked {
            return;
        }
        if page.failed {
            self.held.clear();
            self.more = true;
            self.pull = Pull::Failed { again_at_ms: now_ms + self.limits.retry_ms };
            return;
        }
        self.pull = Pull::None;
        self.others = self.limits.max_unacked;
        if page.last {
            self.window.forget_gone(&page.envelopes);
        }
        for stored in page.envelopes {
            self.held.remove(stored.id);
            if self.window.write_again(stored.id, now_ms) {
                out.push_back(Action::Deliver(stored.encoded));
            } else if self.window.contains(stored.id) {
                // It came as a hint since the page was asked for.
            } else if self.window.len() < self.limits.max_unacked {
                self.deliver(stored, now_ms, out);
            } else {
                self.more = true;
            }
        }
        if page.last {
            self.release_held(now_ms, out);
        } else {
            self.more = true;
        }
        if let Some(overflow) = page.overflow {
            out.push_back(Action::Send(frame(0, server_frame::Body::QueueOverflow(overflow))));
        }
        if self.more {
            self.pursue(now_ms, out);
            return;
        }
        self.phase = Phase::Live;
        if !self.said_empty {
            self.said_empty = true;
            out.push_back(Action::Send(frame(0, server_frame::Body::QueueEmpty(QueueEmpty {}))));
        }
    }

    /// The device has stored these.
    ///
    /// One that is not in flight may have been delivered by an earlier socket, so it is
    /// passed on, but not without end: a device could make them up. What is passed over
    /// is delivered once more and acknowledged then.
    pub(crate) fn acknowledge(&mut self, mut ids: Vec<EnvelopeId>, now_ms: u64, out: &mut Actions) {
        ids.retain(|&id| {
            if self.window.acknowledge(id, now_ms) {
                return true;
            }
            let passed_on = self.others > 0;
            self.others = self.others.saturating_sub(1);
            passed_on
        });
        if !ids.is_empty() {
            out.push_back(Action::Acknowledge(ids));
        }
        self.pursue(now_ms, out);
    }

    /// Hints may have been lost.
    ///
    /// It cuts the pause after a failed page short: who says so spreads over sockets
    /// when, and most often has just attached the replica that was not there.
    pub(crate) fn missed(&mut self, now_ms: u64, out: &mut Actions) {
        if self.phase == Phase::Idle {
            return;
        }
        if matches!(self.pull, Pull::Failed { .. }) {
            self.pull = Pull::None;
        }
        self.read_again(now_ms, out);
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now_ms: u64, out: &mut Actions) {
        if matches!(self.pull, Pull::Failed { again_at_ms } if again_at_ms <= now_ms) {
            self.pull = Pull::None;
        }
        if self.poll_at_ms <= now_ms {
            self.read_again(now_ms, out);
        }
        if self.pull == Pull::None && self.redelivery_due_ms() <= now_ms {
            // It takes the place of what it is about, so it needs no room in the window.
            self.phase = Phase::Pulling;
            self.ask(now_ms, out);
        }
        self.pursue(now_ms, out);
    }

    /// Whether the device has left an envelope without an Ack however often it came.
    pub(crate) fn is_given_up(&self, now_ms: u64) -> bool {
        let times = self.limits.redeliver_times + 1;
        self.window.has_given_up(times, self.limits.redeliver_ms, now_ms)
    }

    /// When `tick` has something to do.
    pub(crate) fn due_ms(&self) -> u64 {
        match self.pull {
            Pull::Failed { again_at_ms } => again_at_ms.min(self.poll_at_ms),
            Pull::None => self.poll_at_ms.min(self.redelivery_due_ms()),
            Pull::Asked => self.poll_at_ms,
        }
    }

    fn redelivery_due_ms(&self) -> u64 {
        let overdue_ms = self.window.overdue_ms(self.limits.redeliver_ms);
        overdue_ms.map_or(u64::MAX, |overdue_ms| overdue_ms.max(self.redeliver_at_ms))
    }

    fn read_again(&mut self, now_ms: u64, out: &mut Actions) {
        self.phase = Phase::Pulling;
        self.more = true;
        self.poll_at_ms = now_ms + self.limits.poll_ms;
        self.pursue(now_ms, out);
    }

    /// Asks for a page where there is a reason to, none is on its way, and at least
    /// half of the window is free: so pages are worth their read.
    fn pursue(&mut self, now_ms: u64, out: &mut Actions) {
        let room = self.limits.max_unacked.saturating_sub(self.window.len());
        if !self.more || self.pull != Pull::None || room * 2 < self.limits.max_unacked {
            return;
        }
        self.ask(now_ms, out);
    }

    fn ask(&mut self, now_ms: u64, out: &mut Actions) {
        // What was hinted at before this read is in what it finds.
        self.held.clear();
        self.more = false;
        self.pull = Pull::Asked;
        self.poll_at_ms = now_ms + self.limits.poll_ms;
        // One that no page brings, however often it is asked for, costs a read in each of
        // these times.
        self.redeliver_at_ms = now_ms + self.limits.retry_ms;
        let Exclusions { ids, asked_again } =
            self.window.exclusions(self.limits.redeliver_ms, now_ms);
        let room = self.limits.max_unacked.saturating_sub(self.window.len()) + asked_again;
        out.push_back(Action::Pull {
            in_flight: ids,
            limit: u32::try_from(room.min(self.limits.page)).unwrap_or(u32::MAX),
        });
    }

    fn release_held(&mut self, now_ms: u64, out: &mut Actions) {
        while let Some(stored) = self.held.pop() {
            if self.window.len() >= self.limits.max_unacked {
                self.held.clear();
                self.more = true;
            } else if !self.window.contains(stored.id) {
                self.deliver(stored, now_ms, out);
            }
        }
    }

    fn deliver(&mut self, stored: Stored, now_ms: u64, out: &mut Actions) {
        self.window.insert(stored.id, now_ms);
        out.push_back(Action::Deliver(stored.encoded));
    }
}

/// Hints that came while a page was read.
#[derive(Debug, Default)]
struct Held {
    envelopes: VecDeque<Stored>,
    bytes: usize,
}

impl Held {
    /// Says whether there was room.
    fn keep(&mut self, stored: Stored, limits: &Limits) -> bool {
        let bytes = self.bytes + stored.encoded.len();
        let fits = self.envelopes.is_empty()
            || (self.envelopes.len() < limits.held_items && bytes <= limits.held_bytes);
        if fits {
            self.bytes = bytes;
            self.envelopes.push_back(stored);
        }
        fits
    }

    fn remove(&mut self, id: EnvelopeId) {
        if let Some(position) = self.envelopes.iter().position(|held| held.id == id)
            && let Some(held) = self.envelopes.remove(position)
        {
            self.bytes -= held.encoded.len();
        }
    }

    fn pop(&mut self) -> Option<Stored> {
        let stored = self.envelopes.pop_front()?;
        self.bytes -= stored.encoded.len();
        Some(stored)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
