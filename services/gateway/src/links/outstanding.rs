//! What one replica owes an answer to.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// See the module. Held by the stream alone: its lock is never contended.
#[derive(Debug)]
pub(crate) struct Outstanding<Q>(Mutex<HashMap<Q, Asked>>);

/// When the same question was asked. A device may use the same number for all of its sends:
/// then an answer is taken to be that of the oldest.
#[derive(Debug)]
struct Asked {
    oldest: Instant,
    /// Empty, and without memory of its own, for a device that counts its frames.
    later: VecDeque<Instant>,
}

impl<Q> Default for Outstanding<Q> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Q: Copy + Eq + Hash> Outstanding<Q> {
    /// Remembers questions that are about to be sent.
    pub(crate) fn note(&self, questions: impl IntoIterator<Item = Q>, now: Instant) {
        let mut asked = self.lock();
        for question in questions {
            asked
                .entry(question)
                .and_modify(|asked| asked.later.push_back(now))
                .or_insert_with(|| Asked { oldest: now, later: VecDeque::new() });
        }
    }

    /// Takes an answer. Says whether it was owed.
    pub(crate) fn settle(&self, question: &Q) -> bool {
        let mut inner = self.lock();
        let Some(asked) = inner.get_mut(question) else {
            return false;
        };
        match asked.later.pop_front() {
            Some(next) => asked.oldest = next,
            None => {
                inner.remove(question);
            }
        }
        true
    }

    /// Whether something has been owed for longer than `patience`.
    pub(super) fn is_overdue(&self, patience: Duration, now: Instant) -> bool {
        let asked = self.lock();
        asked.values().any(|asked| now.saturating_duration_since(asked.oldest) > patience)
    }

    /// Takes out all that is owed, each as often as it was asked.
    pub(super) fn give_up(&self) -> Vec<Q> {
        let asked = std::mem::take(&mut *self.lock());
        let owed = asked
            .into_iter()
            .flat_map(|(question, asked)| (0..=asked.later.len()).map(move |_| question));
        owed.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Q, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_not_answered_is_given_up_as_often_as_it_was_asked() {
        let outstanding = Outstanding::default();
        outstanding.note(["twice", "twice", "once", "other"], Instant::now());

        assert!(outstanding.settle(&"once"));
        assert!(!outstanding.settle(&"once"), "an answer that is not owed");

        let mut given_up = outstanding.give_up();
        given_up.sort_unstable();
        assert_eq!(given_up, ["other", "twice", "twice"]);
        assert!(outstanding.give_up().is_empty());
    }

    #[tokio::test]
    async fn an_answer_can_be_overdue() {
        let (patience, now) = (Duration::from_secs(15), Instant::now());
        let outstanding = Outstanding::default();
        outstanding.note([1], now);

        assert!(!outstanding.is_overdue(patience, now + patience));
        assert!(outstanding.is_overdue(patience, now + patience + Duration::from_secs(1)));

        outstanding.settle(&1);
        assert!(!outstanding.is_overdue(patience, now + 2 * patience));
    }

    #[tokio::test]
    async fn a_device_that_never_stops_sending_under_one_number_makes_no_answer_overdue() {
        let (patience, start) = (Duration::from_secs(15), Instant::now());
        let outstanding = Outstanding::default();
        outstanding.note([0], start);
        let mut now = start;
        for _ in 0..100 {
            now += Duration::from_secs(1);
            outstanding.note([0], now);
            assert!(outstanding.settle(&0));
            assert!(!outstanding.is_overdue(patience, now), "each is answered after a second");
        }

        assert!(outstanding.is_overdue(patience, now + 2 * patience), "the last is not");
        assert!(outstanding.settle(&0));
        assert!(!outstanding.settle(&0));
    }
}
