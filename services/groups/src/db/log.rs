use bytes::Bytes;
use sotto_ids::GroupId;
use sotto_proto::socket::{GroupEntry, GroupEntryKind};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{bigint, from_bigint, generation};
use crate::domain::Epoch;

pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) kind: i16,
    pub(super) generation: i64,
    pub(super) epoch: i64,
    pub(super) message: Vec<u8>,
    pub(super) client_msg_id: Option<Uuid>,
    pub(super) server_time_ms: i64,
    pub(super) sealed_metadata: Option<Vec<u8>>,
}

impl From<Row> for GroupEntry {
    fn from(row: Row) -> Self {
        Self {
            seq: from_bigint(row.seq),
            kind: row.kind.into(),
            generation: generation(row.generation),
            epoch: from_bigint(row.epoch),
            message: row.message.into(),
            client_msg_id: row
                .client_msg_id
                .map(|id| Bytes::copy_from_slice(id.as_bytes()))
                .unwrap_or_default(),
            server_time_ms: from_bigint(row.server_time_ms),
            sealed_metadata: row.sealed_metadata.unwrap_or_default().into(),
        }
    }
}

/// Adds entries, whose places were taken from the group in the same transaction.
pub(crate) async fn insert(
    group: GroupId,
    entries: &[GroupEntry],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let (mut seqs, mut kinds, mut generations, mut epochs) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut messages, mut ids, mut times, mut metadata) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        seqs.push(bigint(entry.seq));
        kinds.push(i16::try_from(entry.kind).unwrap_or_default());
        generations.push(i64::from(entry.generation));
        epochs.push(bigint(entry.epoch));
        messages.push(entry.message.as_ref());
        ids.push(Uuid::from_slice(&entry.client_msg_id).ok());
        times.push(bigint(entry.server_time_ms));
        let sealed = &entry.sealed_metadata;
        metadata.push((!sealed.is_empty()).then_some(sealed.as_ref()));
    }
    sqlx::query!(
        r#"
        INSERT INTO groups.log (group_id, seq, kind, generation, epoch, message, client_msg_id,
                                server_time_ms, sealed_metadata)
        SELECT $1, * FROM unnest($2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[],
                                 $6::bytea[], $7::uuid[], $8::bigint[], $9::bytea[])
        "#,
        group.as_uuid(),
        &seqs,
        &kinds,
        &generations,
        &epochs,
        &messages as &[&[u8]],
        &ids as &[Option<Uuid>],
        &times,
        &metadata as &[Option<&[u8]>],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The entries that are no message and were made in `from` or later, up to and including
/// the entry `until`, oldest first: what a device needs that is in that epoch.
pub(crate) async fn list_handshakes(
    group: GroupId,
    from: Epoch,
    until: u64,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<GroupEntry>> {
    // The order of `seq` is that of epochs; the newest come first from the index, so that a
    // long log is not read from its beginning.
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT seq, kind, generation, epoch, message, client_msg_id, server_time_ms,
               sealed_metadata
        FROM groups.log
        WHERE group_id = $1 AND kind <> 1 AND seq <= $4
          AND seq >= coalesce(
              (SELECT seq + 1 FROM groups.log
               WHERE group_id = $1 AND kind <> 1 AND (generation, epoch) < ($2, $3)
               ORDER BY seq DESC LIMIT 1),
              0)
        ORDER BY seq
        LIMIT $5
        "#,
        group.as_uuid(),
        i64::from(from.generation),
        bigint(from.epoch),
        bigint(until),
        i64::from(limit),
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(GroupEntry::from).collect())
}

/// The proposals that were made in an epoch, oldest first.
pub(crate) async fn list_proposals(
    group: GroupId,
    at: Epoch,
    after: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<GroupEntry>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT seq, kind, generation, epoch, message, client_msg_id, server_time_ms,
               sealed_metadata
        FROM groups.log
        WHERE group_id = $1 AND kind <> 1 AND kind = $2 AND generation = $3 AND epoch = $4
          AND seq > $5
        ORDER BY seq
        "#,
        group.as_uuid(),
        GroupEntryKind::Proposal as i16,
        i64::from(at.generation),
        bigint(at.epoch),
        bigint(after),
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(GroupEntry::from).collect())
}
