//! The schema `groups`: SQL, one file a table, one statement a function.

pub(crate) mod append;
pub(crate) mod cursors;
pub(crate) mod expiry;
pub(crate) mod groups;
pub(crate) mod log;
pub(crate) mod members;
pub(crate) mod read;
pub(crate) mod states;
pub(crate) mod sweep;
pub(crate) mod trees;
pub(crate) mod welcomes;

use sqlx::PgPool;

/// Whether the database answers. A connection that lies ready in the pool proves
/// nothing: it has to be used.
pub(crate) async fn answers(db: &PgPool) -> bool {
    sqlx::query("SELECT 1").execute(db).await.is_ok()
}

/// A number of ours as a Postgres `bigint`: none comes near its end.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A `bigint` of ours, of which none is negative.
pub(crate) fn from_bigint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A generation as it stands in a row, where a constraint keeps it within its 32 bits.
pub(crate) fn generation(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
