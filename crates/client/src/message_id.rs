//! Names of messages and of sends.

use rand::{CryptoRng, RngCore as _};
use sotto_ids::ClientMsgId;
use uuid::Builder;

use crate::{
    ClientError, MessageId,
    vault::{Tx, counters},
};

/// How far the names of sends may run ahead of the clock. A queue sorts by
/// milliseconds, so each send gets one of its own while that is possible.
const MAX_AHEAD_MS: u64 = 2_000;

/// Sends that one millisecond has room for, by the twelve bits after the time.
const PER_MS: u64 = 1 << 12;

/// A fresh name for a message.
pub(crate) fn message_id(now_ms: u64, rng: &mut impl CryptoRng) -> MessageId {
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    MessageId(Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
}

/// A name for a send that sorts after all that this device made before.
/// `server_now_ms` is the server's clock as far as it is known here.
pub(crate) fn client_msg_id(
    tx: &mut Tx<'_>,
    server_now_ms: u64,
) -> Result<ClientMsgId, ClientError> {
    let last = Stamp {
        ms: counters::value(tx.db, counters::SEND_MS)?,
        in_ms: counters::value(tx.db, counters::SEND_IN_MS)?,
    };
    let next = last.next(server_now_ms);
    counters::set(tx.db, counters::SEND_MS, next.ms)?;
    counters::set(tx.db, counters::SEND_IN_MS, next.in_ms)?;
    let mut random = [0; 10];
    tx.rng.fill_bytes(&mut random);
    Ok(next.id(random))
}

/// Forgets the newest name, as the clock that it was made by was wrong.
pub(crate) fn forget_clock(tx: &Tx<'_>) -> Result<(), ClientError> {
    Ok(counters::set(tx.db, counters::SEND_MS, 0)?)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Stamp {
    ms: u64,
    in_ms: u64,
}

impl Stamp {
    fn next(self, now_ms: u64) -> Self {
        if now_ms > self.ms {
            Self { ms: now_ms, in_ms: 0 }
        } else if self.ms < now_ms.saturating_add(MAX_AHEAD_MS) || self.in_ms + 1 >= PER_MS {
            Self { ms: self.ms + 1, in_ms: 0 }
        } else {
            Self { ms: self.ms, in_ms: self.in_ms + 1 }
        }
    }

    fn id(self, mut random: [u8; 10]) -> ClientMsgId {
        let [.., high, low] = self.in_ms.to_be_bytes();
        let [first, second, ..] = &mut random;
        (*first, *second) = (high, low);
        ClientMsgId::new(self.ms, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(start_ms: u64, count: usize, pace: impl Fn(usize) -> u64) -> Vec<Stamp> {
        let mut last = Stamp { ms: 0, in_ms: 0 };
        (0..count)
            .map(|index| {
                last = last.next(start_ms + pace(index));
                last
            })
            .collect()
    }

    #[test]
    fn each_name_sorts_after_the_one_before() {
        let stamps = series(1_700_000_000_000, 20_000, |index| index as u64 / 1_000);

        let ids: Vec<_> = stamps.iter().map(|stamp| stamp.id([0xFF; 10])).collect();

        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_burst_stays_close_to_the_clock() {
        let stamps = series(1_700_000_000_000, 20_000, |_| 0);

        let last = stamps.last().unwrap();

        assert!(last.ms <= 1_700_000_000_000 + MAX_AHEAD_MS + 5, "{last:?}");
    }

    #[test]
    fn a_clock_that_goes_back_does_not_take_the_names_with_it() {
        let first = Stamp { ms: 5_000, in_ms: 7 };

        assert!(first.next(3_000) > first);
        assert!(first.next(5_000) > first);
    }

    #[test]
    fn the_time_bits_are_the_clock() {
        let id = Stamp { ms: 1_700_000_000_123, in_ms: 4_095 }.id([1; 10]);
        assert_eq!(id.unix_ms(), 1_700_000_000_123);
    }
}
