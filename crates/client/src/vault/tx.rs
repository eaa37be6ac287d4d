use rand::rngs::StdRng;
use rusqlite::Connection;

use super::chains::ChainCache;
use crate::{ClientError, Event, Tuning, groups::GroupCache};

/// What a job works in: the open transaction, and what comes in through the door.
pub(crate) struct Tx<'c> {
    pub(crate) db: &'c Connection,
    pub(crate) chains: &'c ChainCache,
    pub(crate) groups: &'c GroupCache,
    pub(crate) rng: &'c mut StdRng,
    pub(crate) tuning: &'c Tuning,
    pub(crate) now_ms: u64,
    pub(super) effects: Effects,
}

/// What is to be told once the transaction is committed.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) events: Vec<Event>,
    pub(super) outbox_changed: bool,
    pub(super) holds_changed: bool,
    pub(super) chores_changed: bool,
}

impl Tx<'_> {
    /// Tells the app, once this is committed.
    pub(crate) fn tell(&mut self, event: Event) {
        self.effects.events.push(event);
    }

    /// Rows were added to the outbox or taken off it.
    pub(crate) fn outbox_changed(&mut self) {
        self.effects.outbox_changed = true;
    }

    /// Messages are held back, or no longer.
    pub(crate) fn holds_changed(&mut self) {
        self.effects.holds_changed = true;
    }

    /// There is something to do at another time than before.
    pub(crate) fn chores_changed(&mut self) {
        self.effects.chores_changed = true;
    }

    /// Does all of `work` or, if it fails, nothing of it.
    pub(crate) fn atomically<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let events_before = self.effects.events.len();
        self.db.prepare_cached("SAVEPOINT step")?.execute([])?;
        let outcome = work(self);
        if outcome.is_err() {
            self.db.prepare_cached("ROLLBACK TO step")?.execute([])?;
            self.effects.events.truncate(events_before);
        }
        self.db.prepare_cached("RELEASE step")?.execute([])?;
        outcome
    }
}
