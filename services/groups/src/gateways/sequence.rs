use std::collections::{BTreeMap, HashMap};

use sotto_ids::GroupId;

/// Puts what was written to a log into the order of its numbers again.
///
/// Transactions that write to one group take their places one after another, but those who
/// ran them come back from their commits in any order. So each notes its place while it
/// still holds the row of the group, and what it has to say waits for those before it.
#[derive(Debug)]
pub(super) struct Sequence<T> {
    /// By group and first number; `None` while the transaction runs. As large as there are
    /// transactions.
    places: HashMap<GroupId, BTreeMap<u64, Option<T>>>,
}

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Self { places: HashMap::new() }
    }
}

impl<T> Sequence<T> {
    /// Takes a place. To be called before others can write to the group.
    pub(super) fn take(&mut self, group: GroupId, first_seq: u64) {
        self.places.entry(group).or_default().insert(first_seq, None);
    }

    /// What may be said now that this place has its word.
    pub(super) fn fill(&mut self, group: GroupId, first_seq: u64, said: T) -> Vec<T> {
        if let Some(place) = self.places.get_mut(&group).and_then(|of| of.get_mut(&first_seq)) {
            *place = Some(said);
        }
        self.ready(group)
    }

    /// What may be said now that nothing comes of this place.
    pub(super) fn abandon(&mut self, group: GroupId, first_seq: u64) -> Vec<T> {
        if let Some(places) = self.places.get_mut(&group) {
            places.remove(&first_seq);
        }
        self.ready(group)
    }

    fn ready(&mut self, group: GroupId) -> Vec<T> {
        let mut ready = Vec::new();
        let Some(places) = self.places.get_mut(&group) else { return ready };
        while places.first_key_value().is_some_and(|(_, place)| place.is_some()) {
            ready.extend(places.pop_first().and_then(|(_, place)| place));
        }
        if places.is_empty() {
            self.places.remove(&group);
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(seed: u8) -> GroupId {
        GroupId::new([seed; 16])
    }

    #[test]
    fn who_comes_back_early_waits_for_those_before() {
        let mut sequence = Sequence::default();
        sequence.take(group(1), 5);
        sequence.take(group(1), 7);
        sequence.take(group(2), 6);

        assert!(sequence.fill(group(1), 7, "second").is_empty());
        assert_eq!(sequence.fill(group(2), 6, "of another"), ["of another"]);
        assert_eq!(sequence.fill(group(1), 5, "first"), ["first", "second"]);
        assert!(sequence.places.is_empty());
    }

    #[test]
    fn nobody_waits_for_what_was_rolled_back() {
        let mut sequence = Sequence::default();
        sequence.take(group(1), 5);
        sequence.take(group(1), 6);
        assert!(sequence.fill(group(1), 6, "second").is_empty());

        assert_eq!(sequence.abandon(group(1), 5), ["second"]);
        assert!(sequence.places.is_empty());
    }
}
