//! `groups.members.cursor`: how far devices have stored the logs of their groups.

use sotto_ids::{DeviceAddress, GroupId};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::bigint;

/// Moves cursors forward, never back, and never past what their device may read. Returns how
/// many have moved.
///
/// The rows are taken in one order everywhere. Who removes members takes them in another, so
/// the caller bounds how long it waits for one.
pub(crate) async fn advance_many(
    acked: &[(GroupId, DeviceAddress, u64)],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    let groups: Vec<Uuid> = acked.iter().map(|(group, _, _)| group.as_uuid()).collect();
    let accounts: Vec<Uuid> = acked.iter().map(|(_, to, _)| to.account.as_uuid()).collect();
    let devices: Vec<i16> = acked.iter().map(|(_, to, _)| to.device.as_i16()).collect();
    let seqs: Vec<i64> = acked.iter().map(|(_, _, seq)| bigint(*seq)).collect();
    sqlx::query!(
        r#"
        WITH held AS MATERIALIZED (
            SELECT members.group_id, members.account, members.device,
                   least(acked.seq, coalesce(members.removed_seq, groups.seq)) AS seq
            FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[])
                AS acked (group_id, account, device, seq)
            JOIN groups.members USING (group_id, account, device)
            JOIN groups.groups USING (group_id)
            WHERE members.cursor < acked.seq
            ORDER BY members.group_id, members.account, members.device
            FOR NO KEY UPDATE OF members
        )
        UPDATE groups.members
        SET cursor = held.seq
        FROM held
        WHERE members.group_id = held.group_id
          AND members.account = held.account
          AND members.device = held.device
          AND members.cursor < held.seq
        "#,
        &groups,
        &accounts,
        &devices,
        &seqs,
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}
