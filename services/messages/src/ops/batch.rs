use std::collections::HashSet;

use sotto_ids::EnvelopeId;

use super::writers::{Accepted, Retracting, Work};
use crate::domain::Class;

/// What a writer makes durable at once: first all that is to be stored, then all that
/// is to be deleted.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) stores: Vec<Accepted>,
    pub(super) retractions: Vec<Retracting>,
    retracted: HashSet<EnvelopeId>,
    rows: usize,
    urgent: bool,
}

impl Batch {
    /// Adds work. Gives back what must come later: a send that was retracted before in
    /// this batch, and has come again.
    pub(super) fn add(&mut self, work: Work) -> Option<Work> {
        match work {
            Work::Store(accepted) => {
                if accepted.rows.iter().any(|row| self.retracted.contains(&row.id)) {
                    return Some(Work::Store(accepted));
                }
                self.rows += accepted.rows.len();
                self.urgent |= accepted.class == Class::Urgent;
                self.stores.push(accepted);
            }
            Work::Retract(retracting) => {
                self.rows += retracting.copies.len();
                self.retracted.extend(retracting.copies.iter().map(|(_, id)| *id));
                self.retractions.push(retracting);
            }
        }
        None
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.stores.is_empty() && self.retractions.is_empty()
    }

    /// Rows that it stores or deletes.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Something in it is not to wait for more.
    pub(super) const fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Whether this envelope is stored and deleted again.
    pub(super) fn retracts(&self, id: EnvelopeId) -> bool {
        self.retracted.contains(&id)
    }
}
