use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sotto_ids::{DeviceAddress, EnvelopeId};
use sotto_kit::clock::millis;

use crate::{config::QueueConfig, db::queue::Fill, domain::Row, halves::Halves};

/// After which part of its bound a queue is looked at again.
const LOOK_EACH: i64 = 40;

/// What a device whose queue was never looked at may get before it is, as a part of
/// that.
const UNSEEN: i64 = 10;

/// Which queues have room, as far as this replica knows.
///
/// Counting rows at each send would cost more than storing them. So a queue is counted
/// once, and then again when this replica has stored a fortieth of the bound there: by
/// then others may have stored as much, and the device may have fetched all of it. One
/// that was full is counted again a little later. The bound can be passed by that
/// fortieth and a batch for each replica.
#[derive(Debug)]
pub(super) struct Rooms {
    envelopes: i64,
    bytes: i64,
    full_for_ms: u64,
    devices: Mutex<Halves<DeviceAddress, Room>>,
}

/// What a queue still takes, and what it takes before it is counted again.
#[derive(Debug, Clone, Copy)]
struct Room {
    counted_at_ms: u64,
    envelopes: i64,
    bytes: i64,
    envelopes_unseen: i64,
    bytes_unseen: i64,
}

impl Room {
    const fn is_full(&self) -> bool {
        self.envelopes <= 0 || self.bytes <= 0
    }
}

impl Rooms {
    pub(super) fn new(config: &QueueConfig) -> Self {
        Self {
            envelopes: config.max_envelopes.into(),
            bytes: i64::try_from(config.max_bytes.0).unwrap_or(i64::MAX),
            full_for_ms: millis(config.full_for),
            devices: Mutex::new(Halves::new(config.watched_devices)),
        }
    }

    /// Which of these devices are to be counted before they are given anything.
    pub(super) fn to_count(
        &self,
        devices: impl Iterator<Item = DeviceAddress>,
        now_ms: u64,
    ) -> Vec<DeviceAddress> {
        let mut rooms = self.rooms();
        let distinct: HashSet<DeviceAddress> = devices.collect();
        let due = distinct.into_iter().filter(|device| match rooms.find(*device) {
            Some(room) if room.is_full() => now_ms >= room.counted_at_ms + self.full_for_ms,
            Some(room) => room.envelopes_unseen <= 0 || room.bytes_unseen <= 0,
            None => {
                let room = Room {
                    counted_at_ms: 0,
                    envelopes: self.envelopes,
                    bytes: self.bytes,
                    envelopes_unseen: self.envelopes / LOOK_EACH / UNSEEN,
                    bytes_unseen: self.bytes / LOOK_EACH / UNSEEN,
                };
                rooms.insert(*device, room);
                room.envelopes_unseen == 0 || room.bytes_unseen == 0
            }
        });
        due.collect()
    }

    /// Remembers how full these queues are.
    pub(super) fn counted(&self, devices: &[DeviceAddress], fills: &[Fill], now_ms: u64) {
        let mut rooms = self.rooms();
        for (device, fill) in devices.iter().zip(fills) {
            let room = Room {
                counted_at_ms: now_ms,
                envelopes: self.envelopes - fill.envelopes,
                bytes: self.bytes - fill.bytes,
                envelopes_unseen: (self.envelopes / LOOK_EACH).max(1),
                bytes_unseen: (self.bytes / LOOK_EACH).max(1),
            };
            rooms.insert(*device, room);
        }
    }

    /// Takes the room of each row, in their order. Returns those that found none.
    pub(super) fn take<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Vec<&'r Row> {
        let mut rooms = self.rooms();
        let mut taken: HashSet<EnvelopeId> = HashSet::new();
        let without = rows.filter(|row| {
            let Some(room) = rooms.find(row.recipient) else { return false };
            // A send that came twice takes one place.
            if taken.contains(&row.id) {
                return false;
            }
            if room.is_full() {
                return true;
            }
            let bytes = i64::try_from(row.envelope.len()).unwrap_or(i64::MAX);
            room.envelopes -= 1;
            room.envelopes_unseen -= 1;
            room.bytes -= bytes;
            room.bytes_unseen -= bytes;
            taken.insert(row.id);
            false
        });
        without.collect()
    }

    fn rooms(&self) -> MutexGuard<'_, Halves<DeviceAddress, Room>> {
        // What a panic left half-changed is an estimate all the same.
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sotto_ids::{AccountId, ClientMsgId, DeviceId};

    use super::*;

    fn rooms(envelopes: i64, bytes: i64) -> Rooms {
        Rooms { envelopes, bytes, full_for_ms: 1_000, devices: Mutex::new(Halves::new(100)) }
    }

    fn device() -> DeviceAddress {
        DeviceAddress::new(AccountId::new([1; 32]).uuid(), DeviceId::FIRST)
    }

    fn row(number: u64) -> Row {
        let id = EnvelopeId::derive(device(), device(), ClientMsgId::new(number, [1; 10]));
        let envelope = Bytes::from_static(&[0; 100]);
        Row { recipient: device(), id, expires_at_ms: 0, short: false, envelope }
    }

    fn take(rooms: &Rooms, numbers: std::ops::Range<u64>) -> usize {
        let rows: Vec<Row> = numbers.map(row).collect();
        rows.len() - rooms.take(rows.iter()).len()
    }

    fn is_to_be_counted(rooms: &Rooms, now_ms: u64) -> bool {
        !rooms.to_count([device(), device()].into_iter(), now_ms).is_empty()
    }

    fn count(rooms: &Rooms, envelopes: i64, now_ms: u64) {
        rooms.counted(&[device()], &[Fill { envelopes, bytes: 100 * envelopes }], now_ms);
    }

    #[test]
    fn a_queue_is_counted_before_its_bound_and_then_after_each_fortieth_of_it() {
        let rooms = rooms(10_000, 1 << 30);
        assert!(!is_to_be_counted(&rooms, 0), "the first few are free");
        take(&rooms, 0..25);
        assert!(is_to_be_counted(&rooms, 0));

        count(&rooms, 9_000, 0);
        take(&rooms, 100..349);
        assert!(!is_to_be_counted(&rooms, 0));
        take(&rooms, 349..350);
        assert!(is_to_be_counted(&rooms, 0));
    }

    #[test]
    fn of_a_batch_only_what_fits_is_taken_and_a_full_queue_is_counted_later() {
        let rooms = rooms(10, 1 << 30);
        assert!(is_to_be_counted(&rooms, 0), "so small a bound is never taken on trust");
        count(&rooms, 7, 0);

        assert_eq!(take(&rooms, 0..20), 3);
        assert!(!is_to_be_counted(&rooms, 999));
        assert!(is_to_be_counted(&rooms, 1_000));
        count(&rooms, 0, 1_000);
        assert_eq!(take(&rooms, 0..20), 10);
    }

    #[test]
    fn bytes_fill_a_queue_as_well() {
        let rooms = rooms(1_000, 1_000);
        rooms.to_count([device()].into_iter(), 0);
        count(&rooms, 5, 0);
        assert_eq!(take(&rooms, 0..20), 5);
    }

    #[test]
    fn a_send_that_came_twice_takes_one_place() {
        let rooms = rooms(10, 1 << 30);
        rooms.to_count([device()].into_iter(), 0);
        count(&rooms, 9, 0);
        let twice = [row(1), row(1), row(2)];

        let without = rooms.take(twice.iter());

        assert_eq!(without.len(), 1);
        assert_eq!(without[0].id, row(2).id);
    }
}
