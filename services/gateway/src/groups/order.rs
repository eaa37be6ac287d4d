//! How far the entries of one log have come through here.

use std::time::Duration;

use tokio::time::Instant;

/// Pieces of a log that are kept in mind while the one before them is missing.
const MAX_PIECES: usize = 16;

/// See the module. Entries come as pieces that may overtake each other, since each replica
/// publishes what it stored itself.
#[derive(Debug)]
pub(super) struct Order {
    /// All up to here have come, or were given up.
    passed: u64,
    /// Where the log ends, as far as is known.
    end: u64,
    /// What has come beyond the first that is missing: first and last.
    pieces: Vec<(u64, u64)>,
    /// Since when the first that is missing is.
    missing_since: Option<Instant>,
}

impl Order {
    /// Of a log that ends here, and of which nothing before counts.
    pub(super) const fn new(end: u64) -> Self {
        Self { passed: end, end, pieces: Vec::new(), missing_since: None }
    }

    /// Where the log ends, as far as is known.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// A piece has come.
    pub(super) fn take(&mut self, first: u64, last: u64, now: Instant) {
        self.end = self.end.max(last);
        // One that there is no room for counts as missing.
        if self.pieces.len() < MAX_PIECES {
            self.pieces.push((first, last));
        }
        let before = self.passed;
        while let Some(next) = self.pieces.iter().position(|&(first, _)| first <= self.passed + 1) {
            let (_, last) = self.pieces.swap_remove(next);
            self.passed = self.passed.max(last);
        }
        if self.passed != before {
            // What is missing now is another.
            self.missing_since = None;
        }
        self.look(now);
    }

    /// The log was seen to end here.
    pub(super) fn expect(&mut self, end: u64, now: Instant) {
        self.end = self.end.max(end);
        self.look(now);
    }

    /// Whether something is missing.
    pub(super) const fn is_behind(&self) -> bool {
        self.passed < self.end
    }

    /// Whether something has been missing for so long. If so it is given up: whoever wants
    /// it reads the log.
    pub(super) fn give_up(&mut self, patience: Duration, now: Instant) -> bool {
        let overdue = self
            .missing_since
            .is_some_and(|since| now.saturating_duration_since(since) >= patience);
        if overdue {
            self.passed = self.end;
            self.pieces = Vec::new();
            self.missing_since = None;
        }
        overdue
    }

    fn look(&mut self, now: Instant) {
        if self.is_behind() {
            self.missing_since.get_or_insert(now);
        } else {
            self.missing_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    #[tokio::test]
    async fn entries_that_follow_one_another_leave_nothing_missing() {
        let (now, mut order) = (Instant::now(), Order::new(7));

        order.take(8, 8, now);
        order.take(9, 12, now);
        order.expect(12, now);

        assert!(!order.is_behind());
        assert!(!order.give_up(PATIENCE, now + PATIENCE));
    }

    #[tokio::test]
    async fn pieces_that_overtake_each_other_leave_nothing_missing() {
        let (now, mut order) = (Instant::now(), Order::new(0));

        order.take(4, 5, now);
        order.take(2, 3, now);
        assert!(order.is_behind());
        order.take(1, 1, now);

        assert!(!order.is_behind());
        assert_eq!(order.end(), 5);
    }

    #[tokio::test]
    async fn what_stays_missing_is_given_up_once() {
        let (now, mut order) = (Instant::now(), Order::new(0));

        order.take(2, 2, now);
        assert!(!order.give_up(PATIENCE, now + PATIENCE / 2), "it may be on its way");
        assert!(order.give_up(PATIENCE, now + PATIENCE));

        assert!(!order.is_behind());
        assert!(!order.give_up(PATIENCE, now + 2 * PATIENCE));
        order.take(3, 3, now);
        assert!(!order.is_behind());
    }

    #[tokio::test]
    async fn an_end_that_was_seen_and_never_comes_is_given_up_too() {
        let (now, mut order) = (Instant::now(), Order::new(5));

        order.expect(6, now);

        assert!(order.give_up(PATIENCE, now + PATIENCE));
        assert_eq!(order.end(), 6);
    }

    #[tokio::test]
    async fn each_that_is_missing_has_the_whole_time() {
        let (now, mut order) = (Instant::now(), Order::new(0));
        order.take(2, 2, now);
        order.take(4, 4, now);

        order.take(1, 1, now + PATIENCE / 2);

        assert!(!order.give_up(PATIENCE, now + PATIENCE), "three is missing since a moment");
        assert!(order.give_up(PATIENCE, now + 2 * PATIENCE));
    }

    /// I-6. Caught with the bound of the pieces taken out.
    #[tokio::test]
    async fn pieces_without_end_cost_bounded_memory_and_are_given_up() {
        let (now, mut order) = (Instant::now(), Order::new(0));
        for number in 1..10_000 {
            order.take(2 * number, 2 * number, now);
        }

        assert!(order.pieces.len() <= MAX_PIECES);
        assert!(order.give_up(PATIENCE, now + PATIENCE));
    }
}
