use sotto_ids::GroupId;
use sqlx::PgExecutor;

use super::{bigint, from_bigint, generation};
use crate::domain::{Epoch, Head};

/// Where a group stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    pub(crate) head: Head,
    /// Of the first entry that the log holds.
    pub(crate) kept_from_seq: u64,
    /// Of the entry with which the generation began.
    pub(crate) began_seq: u64,
    /// The SHA-256 of the GroupInfo with which the generation began.
    pub(crate) began_with: [u8; 32],
}

struct Row {
    generation: i64,
    epoch: i64,
    seq: i64,
    kept_from_seq: i64,
    began_seq: i64,
    began_with: [u8; 32],
}

impl Row {
    fn into_group(self, group: GroupId) -> Group {
        let Self { generation: number, epoch, seq, kept_from_seq, began_seq, began_with } = self;
        Group {
            head: Head {
                group,
                at: Epoch { generation: generation(number), epoch: from_bigint(epoch) },
                seq: from_bigint(seq),
            },
            kept_from_seq: from_bigint(kept_from_seq),
            began_seq: from_bigint(began_seq),
            began_with,
        }
    }
}

/// Adds a group in generation 0, whose log has one entry. Says whether there was none.
pub(crate) async fn insert(
    group: GroupId,
    began_with: &[u8; 32],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO groups.groups (group_id, began_with) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        group.as_uuid(),
        began_with,
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The group, if there is one.
pub(crate) async fn find(group: GroupId, db: impl PgExecutor<'_>) -> sqlx::Result<Option<Group>> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT generation, epoch, seq, kept_from_seq, began_seq,
               began_with AS "began_with: [u8; 32]"
        FROM groups.groups
        WHERE group_id = $1
        "#,
        group.as_uuid(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| row.into_group(group)))
}

/// Where those of the groups stand that there are, in no order.
pub(crate) async fn list_heads(
    groups: &[GroupId],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Head>> {
    let groups: Vec<_> = groups.iter().map(GroupId::as_uuid).collect();
    let rows = sqlx::query!(
        "SELECT group_id, generation, epoch, seq FROM groups.groups WHERE group_id = ANY ($1)",
        &groups,
    )
    .fetch_all(db)
    .await?;
    let heads = rows.into_iter().map(|row| Head {
        group: GroupId::from_stored(row.group_id),
        at: Epoch { generation: generation(row.generation), epoch: from_bigint(row.epoch) },
        seq: from_bigint(row.seq),
    });
    Ok(heads.collect())
}

/// Ends the epoch `at` with `entries` entries of the log: the compare-and-set on which the
/// order of commits rests (I-4). The last `seq` of the entries, or `None` where the group is
/// in another epoch; nothing has changed then.
pub(crate) async fn advance(
    group: GroupId,
    at: Epoch,
    entries: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<u64>> {
    let seq = sqlx::query_scalar!(
        r#"
        UPDATE groups.groups
        SET epoch = epoch + 1, seq = seq + $4
        WHERE group_id = $1 AND generation = $2 AND epoch = $3
        RETURNING seq
        "#,
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
        bigint(entries),
    )
    .fetch_optional(db)
    .await?;
    Ok(seq.map(from_bigint))
}

/// Takes places for entries that end no epoch. The last `seq` of them, or `None` where the
/// group is in another epoch than `at`; nothing has changed then.
pub(crate) async fn take_seqs(
    group: GroupId,
    at: Epoch,
    entries: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<u64>> {
    let seq = sqlx::query_scalar!(
        r#"
        UPDATE groups.groups
        SET seq = seq + $4
        WHERE group_id = $1 AND generation = $2 AND epoch = $3
        RETURNING seq
        "#,
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
        bigint(entries),
    )
    .fetch_optional(db)
    .await?;
    Ok(seq.map(from_bigint))
}

/// Begins the generation after that of `at` with one entry. Its `seq`, or `None` where the
/// group is in another epoch; nothing has changed then.
pub(crate) async fn begin_generation(
    group: GroupId,
    at: Epoch,
    began_with: &[u8; 32],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<u64>> {
    let seq = sqlx::query_scalar!(
        r#"
        UPDATE groups.groups
        SET generation = generation + 1, epoch = 0, seq = seq + 1, began_seq = seq + 1,
            began_with = $4
        WHERE group_id = $1 AND generation = $2 AND epoch = $3
        RETURNING seq
        "#,
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
        began_with,
    )
    .fetch_optional(db)
    .await?;
    Ok(seq.map(from_bigint))
}
