use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use super::{Interim, Letter, Shown};

/// Everything that the oracle was told.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lanes: HashMap<(u32, u32), Lane>,
    /// Offered and neither shown nor refused, by the order in which they were offered.
    open: BTreeMap<u64, Instant>,
    offered: u64,
    accepted: u64,
    shown: u64,
    pub(super) unknown: u64,
    twice: u64,
    disordered: Vec<Letter>,
}

/// What one device wrote to another.
#[derive(Debug, Default)]
struct Lane {
    entries: BTreeMap<u64, Entry>,
    /// The highest number that was shown.
    newest_shown: Option<u64>,
}

/// What became of one message.
#[derive(Debug)]
pub(super) struct Entry {
    ordinal: u64,
    intended: Instant,
    pub(super) accepted: bool,
    pub(super) refused: bool,
    pub(super) expires: Option<Instant>,
    pub(super) shown: u32,
}

impl Ledger {
    pub(super) fn offered(&mut self, letter: Letter, intended: Instant) {
        let ordinal = self.offered;
        self.offered += 1;
        self.open.insert(ordinal, intended);
        let entry =
            Entry { ordinal, intended, accepted: false, refused: false, expires: None, shown: 0 };
        self.lanes
            .entry((letter.from, letter.to))
            .or_default()
            .entries
            .insert(letter.number, entry);
    }

    pub(super) fn accepted(&mut self, letter: Letter, expires: Option<Instant>) {
        if let Some(entry) = self.entry(letter)
            && !entry.accepted
        {
            entry.accepted = true;
            entry.expires = expires;
            self.accepted += 1;
        }
    }

    pub(super) fn refused(&mut self, letter: Letter) {
        if let Some(entry) = self.entry(letter) {
            entry.refused = true;
            let ordinal = entry.ordinal;
            self.open.remove(&ordinal);
        }
    }

    pub(super) fn shown(&mut self, letter: Letter, now: Instant) -> Shown {
        let Some(lane) = self.lanes.get_mut(&(letter.from, letter.to)) else {
            self.unknown += 1;
            return Shown::Unknown;
        };
        let Some(entry) = lane.entries.get_mut(&letter.number) else {
            self.unknown += 1;
            return Shown::Unknown;
        };
        entry.shown += 1;
        if entry.shown > 1 {
            self.twice += 1;
            return Shown::Again;
        }
        let took = now.saturating_duration_since(entry.intended);
        if lane.newest_shown.is_some_and(|newest| newest > letter.number) {
            self.disordered.push(letter);
        } else {
            lane.newest_shown = Some(letter.number);
        }
        self.open.remove(&entry.ordinal);
        self.shown += 1;
        Shown::First(took)
    }

    pub(super) fn interim(&self, now: Instant) -> Interim {
        Interim {
            offered: self.offered,
            accepted: self.accepted,
            shown: self.shown,
            open: self.open.len() as u64,
            twice: self.twice,
            disordered: self.disordered.len() as u64,
            oldest_open: self
                .open
                .values()
                .next()
                .map(|intended| now.saturating_duration_since(*intended)),
        }
    }

    pub(super) fn next_ordinal(&self) -> u64 {
        self.offered
    }

    pub(super) fn oldest_open(&self) -> Option<u64> {
        self.open.keys().next().copied()
    }

    pub(super) fn disordered(&self) -> &[Letter] {
        &self.disordered
    }

    /// Every message, those of one pair of devices together and in their order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Letter, &Entry)> {
        let mut lanes: Vec<_> = self.lanes.iter().collect();
        lanes.sort_unstable_by_key(|(devices, _)| **devices);
        lanes.into_iter().flat_map(|(&(from, to), lane)| {
            lane.entries.iter().map(move |(&number, entry)| (Letter { from, to, number }, entry))
        })
    }

    fn entry(&mut self, letter: Letter) -> Option<&mut Entry> {
        self.lanes.get_mut(&(letter.from, letter.to))?.entries.get_mut(&letter.number)
    }
}
