//! The days of `messages.queue`. The migration's functions do it, since the role of
//! the service may neither create nor drop a table.

use sqlx::PgExecutor;

/// Makes the days from `from_ms` to `until_ms` that do not exist; at most 61.
/// Returns how many.
pub(crate) async fn create(
    from_ms: u64,
    until_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        r#"SELECT messages.create_queue_partitions($1, $2) AS "made!""#,
        i64::try_from(from_ms).unwrap_or(i64::MAX),
        i64::try_from(until_ms).unwrap_or(i64::MAX),
    )
    .fetch_one(db)
    .await
}

/// Drops the days that ended before `before_ms`, with what is in them. Returns how
/// many.
///
/// It does not wait long for readers and writers to step aside: Postgres' error
/// `55P03` says that this was not the moment.
pub(crate) async fn drop_before(before_ms: u64, db: impl PgExecutor<'_>) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        r#"SELECT messages.drop_queue_partitions($1) AS "dropped!""#,
        i64::try_from(before_ms).unwrap_or(i64::MAX),
    )
    .fetch_one(db)
    .await
}
