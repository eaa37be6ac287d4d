//! The schema `messages`: SQL, one file a table, one statement a function.

pub(crate) mod overflows;
pub(crate) mod partitions;
pub(crate) mod queue;

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

/// Whether the database answers. A connection that lies ready in the pool proves
/// nothing: it has to be used.
pub(crate) async fn answers(db: &PgPool) -> bool {
    sqlx::query("SELECT 1").execute(db).await.is_ok()
}

/// A time of ours as Postgres has it; the last that it knows for what lies beyond.
fn timestamp(unix_ms: u64) -> OffsetDateTime {
    let since_epoch = Duration::milliseconds(i64::try_from(unix_ms).unwrap_or(i64::MAX));
    OffsetDateTime::UNIX_EPOCH
        .checked_add(since_epoch)
        .unwrap_or(OffsetDateTime::new_utc(time::Date::MAX, time::Time::MIDNIGHT))
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;

    #[sqlx::test(migrations = false)]
    async fn a_connection_that_broke_in_the_pool_is_no_answer(db: PgPool) {
        // As the pool of the process is.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_with(db.connect_options().as_ref().clone())
            .await
            .unwrap();
        assert!(answers(&pool).await);

        let backend: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap();
        // Giving it back to the pool is a task of its own, which would notice.
        while pool.num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 5000)")
            .bind(backend)
            .fetch_one(&db)
            .await
            .unwrap();

        assert!(ended);
        assert!(!answers(&pool).await);
        assert!(answers(&pool).await, "the next connection is new");
        pool.close().await;
    }
}
