use std::collections::BTreeMap;

use serde::Serialize;

use super::{Drain, Letter, ledger::Ledger};

/// Messages that a finding names; the rest is only counted.
const NAMED: usize = 50;

/// Messages of which something is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How many.
    pub count: u64,
    /// The first fifty.
    pub which: Vec<Letter>,
}

/// What became of all messages of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What senders decided to write.
    pub offered: u64,
    /// What the server accepted.
    pub accepted: u64,
    /// Of what was accepted, what was shown at least once.
    pub shown: u64,
    /// Of what was accepted and not shown, what still waits at the server.
    pub queued: u64,
    /// What waits at the server although everything that was written was shown: its
    /// acknowledgement was lost, and it will be delivered once more and dropped. Or it is
    /// none of ours, such as a receipt.
    pub left_over: u64,
    /// Of what was accepted and not shown, what had a life of its own, which is over.
    pub expired: u64,
    /// Accepted, not shown, not waiting, not expired.
    pub lost: Finding,
    /// Shown more than once.
    pub twice: Finding,
    /// Shown after one that the same device had written later.
    pub disordered: Finding,
    /// Shown, and written by nobody.
    pub unknown: u64,
    /// Given up by the server or the sender's client.
    pub refused: u64,
    /// Never accepted, never refused, never shown.
    pub unsent: Finding,
    /// Shown without the sender having heard that it was accepted: the word was lost,
    /// not the message.
    pub unconfirmed: u64,
}

impl Verdict {
    pub(super) fn of(ledger: &Ledger, drain: &Drain) -> Self {
        let mut verdict = Self { unknown: ledger.unknown, ..Self::default() };
        for letter in ledger.disordered() {
            verdict.disordered.add(*letter);
        }
        // How many of a device's missing messages its queue can account for.
        let mut waiting: BTreeMap<u32, u64> = drain.queued.clone();
        for (letter, entry) in ledger.entries() {
            verdict.offered += 1;
            verdict.refused += u64::from(entry.refused);
            if entry.shown > 1 {
                verdict.twice.add(letter);
            }
            match (entry.accepted, entry.shown > 0) {
                (true, true) => verdict.shown += 1,
                (true, false) => {
                    let waits = waiting.get_mut(&letter.to).filter(|left| **left > 0);
                    if entry.expires.is_some_and(|end| end <= drain.ended) {
                        verdict.expired += 1;
                    } else if let Some(left) = waits {
                        *left -= 1;
                        verdict.queued += 1;
                    } else {
                        verdict.lost.add(letter);
                    }
                }
                (false, true) => verdict.unconfirmed += 1,
                (false, false) if !entry.refused => verdict.unsent.add(letter),
                (false, false) => {}
            }
            verdict.accepted += u64::from(entry.accepted);
        }
        verdict.left_over = waiting.values().sum();
        verdict
    }

    /// Whether nothing was lost, shown twice, or made up. The order is a promise of the
    /// client, and not looked at here.
    pub fn is_conserved(&self) -> bool {
        self.lost.count == 0 && self.twice.count == 0 && self.unknown == 0
    }

    /// Whether what each device wrote to another was shown in its order.
    pub fn is_ordered(&self) -> bool {
        self.disordered.count == 0
    }

    /// Whether nothing is left behind: no message waits for a receiver that is
    /// connected, and none in an outbox that could be emptied.
    pub fn is_settled(&self) -> bool {
        self.queued == 0 && self.unsent.count == 0
    }
}

impl Finding {
    fn add(&mut self, letter: Letter) {
        self.count += 1;
        if self.which.len() < NAMED {
            self.which.push(letter);
        }
    }
}
