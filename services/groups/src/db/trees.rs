use sotto_ids::GroupId;
use sqlx::PgExecutor;

use super::bigint;
use crate::domain::Epoch;

/// Keeps the tree of an epoch for those who are welcomed into it.
pub(crate) async fn insert(
    group: GroupId,
    at: Epoch,
    tree: &[u8],
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO groups.trees (group_id, generation, epoch, made_at_ms, tree)
        VALUES ($1, $2, $3, $4, $5)
        "#,
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
        bigint(now_ms),
        tree,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The tree of an epoch, compressed, while it is kept.
pub(crate) async fn find(
    group: GroupId,
    at: Epoch,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        "SELECT tree FROM groups.trees WHERE group_id = $1 AND generation = $2 AND epoch = $3",
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
    )
    .fetch_optional(db)
    .await
}

/// Deletes the tree of an epoch if no Welcome into it waits any more.
pub(crate) async fn delete_unneeded(
    group: GroupId,
    at: Epoch,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        DELETE FROM groups.trees
        WHERE group_id = $1 AND generation = $2 AND epoch = $3
          AND NOT EXISTS (
              SELECT FROM groups.welcomes
              WHERE welcomes.group_id = $1 AND welcomes.generation = $2 AND welcomes.epoch = $3
          )
        "#,
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes all trees of a group.
pub(crate) async fn delete_all(group: GroupId, db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM groups.trees WHERE group_id = $1", group.as_uuid())
        .execute(db)
        .await?;
    Ok(())
}
