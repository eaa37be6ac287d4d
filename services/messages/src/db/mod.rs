//! The schema `messages`: SQL, one file a table, one statement a function.

pub(crate) mod partitions;
pub(crate) mod queue;

use time::{Duration, OffsetDateTime};

/// A time of ours as Postgres has it; the last that it knows for what lies beyond.
fn timestamp(unix_ms: u64) -> OffsetDateTime {
    let since_epoch = Duration::milliseconds(i64::try_from(unix_ms).unwrap_or(i64::MAX));
    OffsetDateTime::UNIX_EPOCH
        .checked_add(since_epoch)
        .unwrap_or(OffsetDateTime::new_utc(time::Date::MAX, time::Time::MIDNIGHT))
}
