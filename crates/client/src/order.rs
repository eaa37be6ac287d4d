//! In which order the messages of one sending device are shown.
//!
//! Each carries a counter, without gaps. What comes ahead of a hole is held back
//! until the hole is filled, its time is up, or too much waits behind it. What
//! comes after its hole was given up is shown late, rather than not at all.

use std::collections::BTreeMap;

/// Where one sending device's messages stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lane {
    /// The counter that is expected next.
    pub(crate) next: u64,
    /// Counters that wait, each with the time that it waits until.
    pub(crate) waiting: BTreeMap<u64, u64>,
}

/// What to do with a message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Show it, and then those that waited for it, in this order.
    Show { then: Vec<u64> },
    /// Hold it back.
    Hold,
}

impl Lane {
    /// Takes in the message with this counter.
    pub(crate) fn arrive(&mut self, counter: u64, until_ms: u64) -> Arrival {
        if counter > self.next {
            // Two messages with one counter are a fault of the sender's; the second
            // is shown at once, rather than lost.
            return match self.waiting.insert(counter, until_ms) {
                None => Arrival::Hold,
                Some(before) => {
                    self.waiting.insert(counter, before);
                    Arrival::Show { then: Vec::new() }
                }
            };
        }
        if counter == self.next {
            self.next = counter.saturating_add(1);
        }
        Arrival::Show { then: self.take_run() }
    }

    /// The messages that are shown although something before them is missing:
    /// those whose time is up, and what was sent before or right after them.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Vec<u64> {
        let due = self.waiting.iter().rev().find(|(_, until_ms)| **until_ms <= now_ms);
        match due {
            Some((&last, _)) => self.pass_up_to(last),
            None => Vec::new(),
        }
    }

    /// The messages that are shown since more than `most` wait: the oldest run.
    pub(crate) fn shed(&mut self, most: usize) -> Vec<u64> {
        let mut shown = Vec::new();
        while self.waiting.len() > most {
            let Some((&first, _)) = self.waiting.first_key_value() else {
                break;
            };
            shown.extend(self.pass_up_to(first));
        }
        shown
    }

    fn pass_up_to(&mut self, last: u64) -> Vec<u64> {
        let later = self.waiting.split_off(&last.saturating_add(1));
        let mut shown: Vec<u64> = std::mem::replace(&mut self.waiting, later).into_keys().collect();
        self.next = last.saturating_add(1);
        shown.extend(self.take_run());
        shown
    }

    /// Those that follow on without a hole.
    fn take_run(&mut self) -> Vec<u64> {
        let mut run = Vec::new();
        while self.waiting.remove(&self.next).is_some() {
            run.push(self.next);
            self.next = self.next.saturating_add(1);
        }
        run
    }
}

/// The counter that a sender's first message to us has, as far as its ratchet
/// tells: the one that came, less those that were encrypted for us before it.
///
/// A device that joined later would otherwise wait for messages that were never
/// meant for it.
pub(crate) fn first_counter(counter: u64, before_it: u32) -> u64 {
    counter.saturating_sub(before_it.into()).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOLD_MS: u64 = 5_000;

    /// A receiver with a clock of its own, and what it has shown.
    struct Receiver {
        lane: Lane,
        now_ms: u64,
        shown: Vec<u64>,
    }

    impl Receiver {
        fn new() -> Self {
            Self { lane: Lane { next: 1, waiting: BTreeMap::new() }, now_ms: 0, shown: Vec::new() }
        }

        fn receive(&mut self, counters: &[u64]) -> &[u64] {
            for &counter in counters {
                if let Arrival::Show { then } = self.lane.arrive(counter, self.now_ms + HOLD_MS) {
                    self.shown.push(counter);
                    self.shown.extend(then);
                }
            }
            &self.shown
        }

        fn after(&mut self, ms: u64) -> &[u64] {
            self.now_ms += ms;
            let shown = self.lane.expire(self.now_ms);
            self.shown.extend(shown);
            &self.shown
        }
    }

    #[test]
    fn messages_in_order_are_shown_at_once() {
        assert_eq!(Receiver::new().receive(&[1, 2, 3]), [1, 2, 3]);
    }

    /// I-3. Caught: a message ahead of a hole that is shown at once.
    #[test]
    fn a_message_ahead_of_a_hole_waits_for_it() {
        let mut receiver = Receiver::new();

        assert_eq!(receiver.receive(&[1, 3, 4]), [1]);
        assert_eq!(receiver.receive(&[2]), [1, 2, 3, 4]);
    }

    /// I-3. Caught: a message ahead of a hole that is shown at once.
    #[test]
    fn a_hole_that_stays_is_given_up_after_its_time() {
        let mut receiver = Receiver::new();
        receiver.receive(&[1, 3]);

        assert_eq!(receiver.after(HOLD_MS - 1), [1]);
        assert_eq!(receiver.after(1), [1, 3]);
    }

    #[test]
    fn what_comes_after_its_hole_was_given_up_is_shown_late() {
        let mut receiver = Receiver::new();
        receiver.receive(&[1, 3]);
        receiver.after(HOLD_MS);

        assert_eq!(receiver.receive(&[4, 2, 5]), [1, 3, 4, 2, 5]);
    }

    #[test]
    fn a_second_hole_has_a_time_of_its_own() {
        let mut receiver = Receiver::new();
        receiver.receive(&[2]);
        receiver.after(3_000);
        receiver.receive(&[4]);

        assert_eq!(receiver.after(2_000), [2], "the hole before 4 is three seconds younger");
        assert_eq!(receiver.after(3_000), [2, 4]);
    }

    #[test]
    fn too_many_that_wait_are_shown_from_the_oldest_on() {
        let mut receiver = Receiver::new();
        receiver.receive(&[2, 4, 5, 7]);

        assert_eq!(receiver.lane.shed(3), [2]);
        assert_eq!(receiver.lane.shed(2), [4, 5], "5 waited for nothing but 4");
        assert_eq!(receiver.lane.shed(2), [0; 0]);
    }

    #[test]
    fn a_counter_that_comes_twice_loses_nothing() {
        let mut receiver = Receiver::new();

        assert_eq!(receiver.receive(&[3, 3]), [3], "the second is shown at once");
        assert_eq!(receiver.receive(&[1, 2]), [3, 1, 2, 3]);
    }

    #[test]
    fn the_largest_counter_does_not_overflow() {
        let mut receiver = Receiver::new();

        receiver.receive(&[u64::MAX, u64::MAX - 1]);

        assert_eq!(receiver.after(HOLD_MS), [u64::MAX - 1, u64::MAX]);
        assert_eq!(receiver.receive(&[1]).len(), 3);
    }

    #[test]
    fn a_device_that_joins_late_does_not_wait_for_what_was_before() {
        assert_eq!(first_counter(57, 0), 57);
        assert_eq!(first_counter(58, 1), 57, "57 is on its way");
        assert_eq!(first_counter(3, 9), 1, "some were encrypted more than once");
    }

    proptest! {
        /// Whatever the order of arrival, everything is shown exactly once, and in
        /// the order sent wherever nothing had to be given up.
        #[test]
        fn any_order_of_arrival_shows_all_of_it_in_order(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut receiver = Receiver::new();
            receiver.receive(&order);
            prop_assert_eq!(receiver.shown, (1..=40).collect::<Vec<_>>());
        }

        /// With losses and time passing, nothing is shown twice and nothing that
        /// came stays hidden.
        #[test]
        fn losses_hide_nothing_that_came(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            lost in proptest::collection::btree_set(1..=40_u64, 0..10),
            pauses in proptest::collection::vec(0..4_000_u64, 40),
        ) {
            let mut receiver = Receiver::new();
            for (counter, pause) in order.into_iter().zip(pauses) {
                if !lost.contains(&counter) {
                    receiver.receive(&[counter]);
                }
                receiver.after(pause);
            }
            receiver.after(HOLD_MS);

            let mut shown = receiver.shown.clone();
            shown.sort_unstable();
            let came: Vec<_> = (1..=40).filter(|counter| !lost.contains(counter)).collect();
            prop_assert_eq!(shown, came);
        }
    }
}
