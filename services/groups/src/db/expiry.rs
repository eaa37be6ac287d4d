//! What is over goes: entries, those who could still read them, Welcomes, trees, and groups
//! that nobody is in.

use sotto_ids::GroupId;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::bigint;

/// Groups with an entry from before `before_ms` at the beginning of their log: the first
/// `limit` after `after`, in the order of their ids.
pub(crate) async fn list_groups(
    before_ms: u64,
    after: Option<GroupId>,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<GroupId>> {
    let groups = sqlx::query_scalar!(
        r#"
        SELECT groups.group_id
        FROM groups.groups
        JOIN groups.log ON log.group_id = groups.group_id AND log.seq = groups.kept_from_seq
        WHERE ($1::uuid IS NULL OR groups.group_id > $1) AND log.server_time_ms < $2
        ORDER BY groups.group_id
        LIMIT $3
        "#,
        after.map(|group| group.as_uuid()) as Option<Uuid>,
        bigint(before_ms),
        i64::from(limit),
    )
    .fetch_all(db)
    .await?;
    Ok(groups.into_iter().map(GroupId::from_stored).collect())
}

/// Moves the beginning of a log to its first entry from `before_ms` or later, by at most
/// `rows` entries. Where it begins now, if it has moved.
///
/// Only what lies before that goes, so that the rest has no gaps, however the clocks of
/// replicas differed.
pub(crate) async fn cut(
    group: GroupId,
    before_ms: u64,
    rows: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        r#"
        WITH oldest AS (
            SELECT seq, server_time_ms
            FROM groups.log
            WHERE group_id = $1
            ORDER BY seq
            LIMIT $3
        ), cut AS (
            SELECT coalesce(min(seq) FILTER (WHERE server_time_ms >= $2), max(seq) + 1) AS seq
            FROM oldest
        )
        UPDATE groups.groups
        SET kept_from_seq = cut.seq
        FROM cut
        WHERE group_id = $1 AND kept_from_seq < cut.seq
        RETURNING kept_from_seq
        "#,
        group.as_uuid(),
        bigint(before_ms),
        i64::from(rows),
    )
    .fetch_optional(db)
    .await
}

/// Deletes the entries before the beginning of the log. Returns how many there were.
pub(crate) async fn delete_before(
    group: GroupId,
    kept_from_seq: i64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    sqlx::query!(
        "DELETE FROM groups.log WHERE group_id = $1 AND seq < $2",
        group.as_uuid(),
        kept_from_seq,
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}

/// Forgets devices that are gone and have nothing left to read. Returns how many.
pub(crate) async fn forget_gone(
    group: GroupId,
    kept_from_seq: i64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    sqlx::query!(
        "DELETE FROM groups.members WHERE group_id = $1 AND removed_seq < $2",
        group.as_uuid(),
        kept_from_seq,
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}

/// Deletes Welcomes from before `before_ms` that nobody has fetched, at most `limit`.
pub(crate) async fn delete_welcomes(
    before_ms: u64,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    sqlx::query!(
        r#"
        DELETE FROM groups.welcomes
        WHERE (account, device, group_id, generation, epoch) IN (
            SELECT account, device, group_id, generation, epoch
            FROM groups.welcomes
            WHERE made_at_ms < $1
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        "#,
        bigint(before_ms),
        i64::from(limit),
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}

/// Deletes trees of past epochs that no Welcome waits for any more, at most `limit`.
pub(crate) async fn delete_trees(limit: u32, db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    sqlx::query!(
        r#"
        DELETE FROM groups.trees
        WHERE (group_id, generation, epoch) IN (
            SELECT trees.group_id, trees.generation, trees.epoch
            FROM groups.trees
            JOIN groups.groups USING (group_id)
            WHERE (groups.generation, groups.epoch) <> (trees.generation, trees.epoch)
              AND NOT EXISTS (
                  SELECT FROM groups.welcomes
                  WHERE welcomes.group_id = trees.group_id
                    AND welcomes.generation = trees.generation
                    AND welcomes.epoch = trees.epoch
              )
            LIMIT $1
        )
        "#,
        i64::from(limit),
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}

/// Deletes groups that nobody is in and of whose log nothing is kept, at most `limit`: with
/// them goes what little is left of them.
pub(crate) async fn delete_groups(limit: u32, db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    sqlx::query!(
        r#"
        DELETE FROM groups.groups
        WHERE kept_from_seq > seq
          AND group_id IN (
              SELECT group_id
              FROM groups.groups
              WHERE kept_from_seq > seq
                AND NOT EXISTS (
                    SELECT FROM groups.members
                    WHERE members.group_id = groups.group_id AND removed_seq IS NULL
                )
              LIMIT $1
          )
        "#,
        i64::from(limit),
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}
