use bytes::Bytes;
use sotto_ids::GroupId;
use sqlx::PgExecutor;

use super::{bigint, from_bigint, generation};
use crate::domain::{Epoch, Head};

/// What a group is, in one epoch.
#[derive(Debug)]
pub(crate) struct State<'a> {
    pub(crate) at: Epoch,
    /// What openmls stores of it, encoded.
    pub(crate) state: &'a [u8],
    pub(crate) group_info: &'a [u8],
    pub(crate) sealed_metadata: &'a [u8],
}

/// Sets the state of a group.
pub(crate) async fn set(
    group: GroupId,
    state: &State<'_>,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO groups.states (group_id, generation, epoch, state, group_info, metadata_epoch,
                                   sealed_metadata)
        VALUES ($1, $2, $3, $4, $5, $3, $6)
        ON CONFLICT (group_id) DO UPDATE
        SET generation = excluded.generation,
            epoch = excluded.epoch,
            state = excluded.state,
            group_info = excluded.group_info,
            metadata_epoch = excluded.metadata_epoch,
            sealed_metadata = excluded.sealed_metadata
        "#,
        group.as_uuid(),
        i64::from(state.at.generation),
        bigint(state.at.epoch),
        state.state,
        state.group_info,
        state.sealed_metadata,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Sets the state of a group after a commit by which the metadata were not sealed again: who
/// joins from outside does not have them.
pub(crate) async fn set_keeping_metadata(
    group: GroupId,
    state: &State<'_>,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE groups.states
        SET generation = $2, epoch = $3, state = $4, group_info = $5
        WHERE group_id = $1
        "#,
        group.as_uuid(),
        i64::from(state.at.generation),
        bigint(state.at.epoch),
        state.state,
        state.group_info,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What openmls stored of a group in an epoch. `None` where it is in another.
pub(crate) async fn find(
    group: GroupId,
    at: Epoch,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        "SELECT state FROM groups.states WHERE group_id = $1 AND generation = $2 AND epoch = $3",
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
    )
    .fetch_optional(db)
    .await
}

/// What somebody needs who joins from outside, but for the tree.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) head: Head,
    pub(crate) group_info: Bytes,
    pub(crate) sealed_metadata: Bytes,
    /// The epoch under whose key the metadata are sealed.
    pub(crate) metadata_epoch: u64,
}

/// The GroupInfo and the metadata, with the head that they belong to.
pub(crate) async fn find_info(
    group: GroupId,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Info>> {
    let row = sqlx::query!(
        r#"
        SELECT groups.generation, groups.epoch, seq, group_info, sealed_metadata, metadata_epoch
        FROM groups.groups
        JOIN groups.states USING (group_id)
        WHERE group_id = $1
        "#,
        group.as_uuid(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Info {
        head: Head {
            group,
            at: Epoch { generation: generation(row.generation), epoch: from_bigint(row.epoch) },
            seq: from_bigint(row.seq),
        },
        group_info: row.group_info.into(),
        sealed_metadata: row.sealed_metadata.into(),
        metadata_epoch: from_bigint(row.metadata_epoch),
    }))
}

/// Sets metadata that were sealed again for the epoch `at`. Says whether those that there
/// were are of an earlier epoch.
pub(crate) async fn set_metadata(
    group: GroupId,
    at: Epoch,
    sealed: &[u8],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        r#"
        UPDATE groups.states
        SET metadata_epoch = $3, sealed_metadata = $4
        WHERE group_id = $1 AND generation = $2 AND epoch = $3 AND metadata_epoch < $3
        "#,
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
        sealed,
    )
    .execute(db)
    .await?;
    Ok(updated.rows_affected() == 1)
}
