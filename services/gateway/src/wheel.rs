//! One wheel of timers for all sockets, instead of a timer for each.
//!
//! A slot is a tenth of a second and holds the connections whose time comes in it.
//! Nothing is taken out early: a tick for a socket that is gone, or that has nothing
//! to do, is passed over.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sotto_ids::ConnectionId;
use sotto_kit::clock::SharedClock;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{registry::Registry, session::io::Event};

/// How exact the wheel is, in milliseconds.
pub(crate) const SLOT_MS: u64 = 100;

const SLOTS: u64 = 512;

/// How far ahead a tick can be arranged, in milliseconds: about 51 seconds.
pub(crate) const HORIZON_MS: u64 = (SLOTS - 2) * SLOT_MS;

/// See the module.
#[derive(Debug)]
pub(crate) struct Wheel {
    clock: SharedClock,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The slot that comes next, counted from the beginning of time.
    next: u64,
    slots: Vec<Vec<ConnectionId>>,
}

impl Wheel {
    pub(crate) fn new(clock: SharedClock) -> Self {
        let next = clock.now_ms() / SLOT_MS;
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { clock, inner: Mutex::new(Inner { next, slots }) }
    }

    /// Arranges a tick for a connection at a time, or a slot after it; at the horizon
    /// where the time is beyond it.
    pub(crate) fn wake_at(&self, connection: ConnectionId, at_ms: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (at_ms / SLOT_MS + 1).clamp(inner.next, inner.next + SLOTS - 1);
        if let Some(slot) = inner.slot(slot) {
            slot.push(connection);
        }
    }

    /// Turns until `stopped`, and posts a tick to each connection whose time comes.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>, stopped: CancellationToken) {
        let mut interval = tokio::time::interval(Duration::from_millis(SLOT_MS));
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stopped.run_until_cancelled(interval.tick()).await.is_some() {
            for connection in self.turn() {
                registry.post(connection, Event::Tick);
            }
        }
    }

    /// Takes out those whose time has come.
    fn turn(&self) -> Vec<ConnectionId> {
        let now = self.clock.now_ms() / SLOT_MS;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if now + SLOTS < inner.next {
            // The clock was set back, by far: begin anew from where it is.
            inner.next = now;
        }
        let mut due = Vec::new();
        let turns = (now + 1).saturating_sub(inner.next).min(SLOTS);
        for slot in inner.next..inner.next + turns {
            if let Some(slot) = inner.slot(slot) {
                due.append(slot);
            }
        }
        inner.next = inner.next.max(now + 1);
        due
    }
}

impl Inner {
    fn slot(&mut self, number: u64) -> Option<&mut Vec<ConnectionId>> {
        usize::try_from(number % SLOTS).ok().and_then(|slot| self.slots.get_mut(slot))
    }
}

#[cfg(test)]
mod tests {
    use sotto_kit::clock::{Clock as _, TestClock};

    use super::*;

    const START_MS: u64 = 1_700_000_000_050;

    fn wheel() -> (Arc<TestClock>, Wheel) {
        let clock = Arc::new(TestClock::new(START_MS));
        (clock.clone(), Wheel::new(clock))
    }

    fn connection(number: u64) -> ConnectionId {
        ConnectionId(number)
    }

    #[test]
    fn a_tick_comes_at_its_time_and_once() {
        let (clock, wheel) = wheel();
        wheel.wake_at(connection(1), START_MS + 5_000);

        clock.advance(Duration::from_millis(4_900));
        assert!(wheel.turn().is_empty());
        clock.advance(Duration::from_millis(200));
        assert_eq!(wheel.turn(), [connection(1)]);
        clock.advance(Duration::from_secs(100));
        assert!(wheel.turn().is_empty());
    }

    #[test]
    fn no_tick_comes_early() {
        let (clock, wheel) = wheel();
        for ms in 0..1_000 {
            wheel.wake_at(connection(START_MS + ms), START_MS + ms);
        }
        for _ in 0..12 {
            clock.advance(Duration::from_millis(100));
            assert!(wheel.turn().iter().all(|due| due.0 <= clock.now_ms()));
        }
    }

    #[test]
    fn what_is_overdue_comes_with_the_next_turn() {
        let (clock, wheel) = wheel();
        wheel.wake_at(connection(1), 0);

        clock.advance(Duration::from_millis(SLOT_MS));

        assert_eq!(wheel.turn(), [connection(1)]);
    }

    #[test]
    fn what_is_beyond_the_horizon_gets_a_tick_there() {
        let (clock, wheel) = wheel();
        wheel.wake_at(connection(1), START_MS + 600_000);

        clock.advance(Duration::from_millis(HORIZON_MS - 2 * SLOT_MS));
        assert!(wheel.turn().is_empty());
        clock.advance(Duration::from_millis(4 * SLOT_MS));

        assert_eq!(wheel.turn(), [connection(1)]);
    }

    #[test]
    fn a_wheel_that_was_held_up_gives_out_all_that_came_due() {
        let (clock, wheel) = wheel();
        for number in 0..300 {
            wheel.wake_at(connection(number), START_MS + number * 100);
        }

        clock.advance(Duration::from_secs(3_600));

        assert_eq!(wheel.turn().len(), 300);
    }
}
