//! What one replica owes an answer to.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sotto_ids::ConnectionId;
use sotto_proto::messages::uplink::Item;
use tokio::time::Instant;

/// See the module. Held by the stream alone: its lock is never contended.
#[derive(Debug, Default)]
pub(super) struct Outstanding(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    submits: HashMap<(u64, u64), Asked>,
    pulls: HashMap<u64, Instant>,
}

/// When the sends of one socket under one number were sent. A device may use the same
/// number for all of them: then an answer is taken to be that of the oldest.
#[derive(Debug)]
struct Asked {
    oldest: Instant,
    /// Empty, and without memory of its own, for a device that counts its frames.
    later: VecDeque<Instant>,
}

impl Inner {
    fn ask(&mut self, key: (u64, u64), now: Instant) {
        let asked = self.submits.entry(key);
        asked
            .and_modify(|asked| asked.later.push_back(now))
            .or_insert_with(|| Asked { oldest: now, later: VecDeque::new() });
    }
}

/// A question that will never be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unanswered {
    /// A submit, or a retract: what an outcome answers.
    Submit {
        connection: ConnectionId,
        frame: u64,
    },
    Pull {
        connection: ConnectionId,
    },
}

impl Unanswered {
    /// What stays unanswered where this item gets no answer.
    pub(super) fn of(item: &Item) -> Option<Self> {
        match item {
            Item::Submit(submit) => Some(Self::Submit {
                connection: ConnectionId(submit.connection),
                frame: submit.frame,
            }),
            Item::Retract(retract) => Some(Self::Submit {
                connection: ConnectionId(retract.connection),
                frame: retract.frame,
            }),
            Item::Pull(pull) => Some(Self::Pull { connection: ConnectionId(pull.connection) }),
            Item::Acknowledge(_) => None,
        }
    }
}

impl Outstanding {
    /// Remembers items that are about to be sent.
    pub(super) fn note(&self, items: &[Item], now: Instant) {
        let mut inner = self.lock();
        for item in items {
            match item {
                Item::Submit(submit) => inner.ask((submit.connection, submit.frame), now),
                Item::Retract(retract) => inner.ask((retract.connection, retract.frame), now),
                Item::Pull(pull) => {
                    inner.pulls.insert(pull.connection, now);
                }
                Item::Acknowledge(_) => {}
            }
        }
    }

    /// Takes an outcome. Says whether it was owed.
    pub(super) fn settle_submit(&self, connection: u64, frame: u64) -> bool {
        let mut inner = self.lock();
        let Some(asked) = inner.submits.get_mut(&(connection, frame)) else {
            return false;
        };
        match asked.later.pop_front() {
            Some(next) => asked.oldest = next,
            None => {
                inner.submits.remove(&(connection, frame));
            }
        }
        true
    }

    /// Takes a page. Says whether it was owed.
    pub(super) fn settle_pull(&self, connection: u64) -> bool {
        self.lock().pulls.remove(&connection).is_some()
    }

    /// Whether something has been owed for longer than `patience`.
    pub(super) fn is_overdue(&self, patience: Duration, now: Instant) -> bool {
        let inner = self.lock();
        let mut since =
            inner.submits.values().map(|asked| &asked.oldest).chain(inner.pulls.values());
        since.any(|&since| now.saturating_duration_since(since) > patience)
    }

    /// Takes out all that is owed.
    pub(super) fn give_up(&self) -> Vec<Unanswered> {
        let Inner { submits, pulls } = std::mem::take(&mut *self.lock());
        let submits = submits.into_iter().flat_map(|((connection, frame), asked)| {
            let connection = ConnectionId(connection);
            (0..=asked.later.len()).map(move |_| Unanswered::Submit { connection, frame })
        });
        let pulls = pulls
            .into_keys()
            .map(|connection| Unanswered::Pull { connection: ConnectionId(connection) });
        submits.chain(pulls).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sotto_proto::messages::{Acknowledge, Pull, Submit};

    use super::*;

    fn submit(connection: u64, frame: u64) -> Item {
        Item::Submit(Submit { connection, frame, ..Submit::default() })
    }

    fn pull(connection: u64) -> Item {
        Item::Pull(Pull { connection, ..Pull::default() })
    }

    #[tokio::test]
    async fn what_was_not_answered_is_given_up_as_often_as_it_was_asked() {
        let outstanding = Outstanding::default();
        let items = [
            submit(1, 7),
            submit(1, 7),
            submit(2, 7),
            pull(1),
            Item::Acknowledge(Acknowledge::default()),
        ];
        outstanding.note(&items, Instant::now());

        assert!(outstanding.settle_submit(2, 7));
        assert!(!outstanding.settle_submit(2, 7), "an answer that is not owed");
        assert!(outstanding.settle_submit(1, 7));

        let connection = ConnectionId(1);
        let mut given_up = outstanding.give_up();
        given_up.sort();
        assert_eq!(
            given_up,
            [Unanswered::Submit { connection, frame: 7 }, Unanswered::Pull { connection }]
        );
        assert!(outstanding.give_up().is_empty());
    }

    #[tokio::test]
    async fn an_answer_can_be_overdue() {
        let (patience, now) = (Duration::from_secs(15), Instant::now());
        let outstanding = Outstanding::default();
        outstanding.note(&[pull(1)], now);

        assert!(!outstanding.is_overdue(patience, now + patience));
        assert!(outstanding.is_overdue(patience, now + patience + Duration::from_secs(1)));

        outstanding.settle_pull(1);
        assert!(!outstanding.is_overdue(patience, now + 2 * patience));
    }

    #[tokio::test]
    async fn a_device_that_never_stops_sending_under_one_number_makes_no_answer_overdue() {
        let (patience, start) = (Duration::from_secs(15), Instant::now());
        let outstanding = Outstanding::default();
        outstanding.note(&[submit(1, 0)], start);
        let mut now = start;
        for _ in 0..100 {
            now += Duration::from_secs(1);
            outstanding.note(&[submit(1, 0)], now);
            assert!(outstanding.settle_submit(1, 0));
            assert!(!outstanding.is_overdue(patience, now), "each is answered after a second");
        }

        assert!(outstanding.is_overdue(patience, now + 2 * patience), "the last is not");
        assert!(outstanding.settle_submit(1, 0));
        assert!(!outstanding.settle_submit(1, 0));
    }
}
