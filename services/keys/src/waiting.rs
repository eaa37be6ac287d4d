//! Who waits for a message in a mailbox, in this process.
//!
//! A process listens to Redis once, however many wait: word of a message wakes those who
//! wait for that mailbox and nobody else.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::Notified};

use crate::domain::mailbox::LinkId;

/// The requests that wait.
pub(crate) struct Waiting {
    most: usize,
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    by_link: HashMap<LinkId, Room>,
    /// In all rooms together.
    waiting: usize,
}

struct Room {
    bell: Arc<Notify>,
    waiting: usize,
}

/// A request's place among those that wait. Dropping it gives it up.
pub(crate) struct Seat {
    link: LinkId,
    bell: Arc<Notify>,
    waiting: Arc<Waiting>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Waiting {
    /// Room for `most` requests.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, rooms: Mutex::default() })
    }

    /// A seat before this mailbox. `None` where all are taken.
    pub(crate) fn sit_down(self: &Arc<Self>, link: LinkId) -> Option<Seat> {
        let mut rooms = self.rooms();
        if rooms.waiting >= self.most {
            return None;
        }
        rooms.waiting += 1;
        let room =
            rooms.by_link.entry(link).or_insert_with(|| Room { bell: Arc::default(), waiting: 0 });
        room.waiting += 1;
        let bell = Arc::clone(&room.bell);
        drop(rooms);
        Some(Seat { link, bell, waiting: Arc::clone(self) })
    }

    /// Wakes those who wait for this mailbox.
    pub(crate) fn wake(&self, link: LinkId) {
        if let Some(room) = self.rooms().by_link.get(&link) {
            room.bell.notify_waiters();
        }
    }

    /// Wakes everybody: word may have been missed.
    pub(crate) fn wake_all(&self) {
        for room in self.rooms().by_link.values() {
            room.bell.notify_waiters();
        }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Ends when this mailbox is spoken of after the call, polled or not.
    pub(crate) fn woken(&self) -> Notified<'_> {
        self.bell.notified()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rooms = self.waiting.rooms();
        rooms.waiting = rooms.waiting.saturating_sub(1);
        if let Some(room) = rooms.by_link.get_mut(&self.link) {
            room.waiting = room.waiting.saturating_sub(1);
            if room.waiting == 0 {
                rooms.by_link.remove(&self.link);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const ONE: LinkId = LinkId::new([1; 24]);
    const OTHER: LinkId = LinkId::new([2; 24]);

    #[test]
    fn only_those_who_wait_for_the_mailbox_are_woken() {
        let waiting = Waiting::new(10);
        let (one, other) = (waiting.sit_down(ONE).unwrap(), waiting.sit_down(OTHER).unwrap());
        let (mine, theirs) = (one.woken(), other.woken());

        waiting.wake(ONE);

        assert!(mine.now_or_never().is_some(), "woken before it was polled");
        assert!(theirs.now_or_never().is_none());
    }

    #[test]
    fn seats_are_bounded_and_given_up() {
        let waiting = Waiting::new(2);
        let seats = [waiting.sit_down(ONE).unwrap(), waiting.sit_down(ONE).unwrap()];
        assert!(waiting.sit_down(OTHER).is_none());

        drop(seats);

        assert!(waiting.sit_down(OTHER).is_some());
        assert!(waiting.rooms().by_link.is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn everybody_is_woken_where_word_may_have_been_missed() {
        let waiting = Waiting::new(2);
        let (one, other) = (waiting.sit_down(ONE).unwrap(), waiting.sit_down(OTHER).unwrap());
        let both = (one.woken(), other.woken());

        waiting.wake_all();

        assert!(both.0.now_or_never().is_some() && both.1.now_or_never().is_some());
    }
}
