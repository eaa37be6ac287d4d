//! What devices read of their groups: `groups.members`, `groups.groups` and `groups.log`
//! together.

use std::collections::HashMap;

use sotto_ids::{AccountUuid, DeviceAddress, DeviceId, GroupId};
use sotto_proto::socket::GroupEntry;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{bigint, from_bigint, generation, log};
use crate::domain::{Epoch, Head};

/// A group of a device, as the device may see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    /// Of a device that is gone, `seq` is that of its going.
    pub(crate) head: Head,
    pub(crate) cursor: u64,
    pub(crate) joined_seq: u64,
    pub(crate) removed_seq: Option<u64>,
}

/// Where the groups stand that devices are in, at most `limit` of each device.
pub(crate) async fn list_heads_of(
    devices: &[DeviceAddress],
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<HashMap<DeviceAddress, Vec<Head>>> {
    let accounts: Vec<Uuid> = devices.iter().map(|device| device.account.as_uuid()).collect();
    let numbers: Vec<i16> = devices.iter().map(|device| device.device.as_i16()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT asked.account AS "account!", asked.device AS "device!", head.group_id,
               head.generation, head.epoch, head.seq
        FROM unnest($1::uuid[], $2::smallint[]) AS asked (account, device)
        CROSS JOIN LATERAL (
            SELECT groups.group_id, groups.generation, groups.epoch, groups.seq
            FROM groups.members
            JOIN groups.groups USING (group_id)
            WHERE members.account = asked.account
              AND members.device = asked.device
              AND members.removed_seq IS NULL
            LIMIT $3
        ) AS head
        "#,
        &accounts,
        &numbers,
        i64::from(limit),
    )
    .fetch_all(db)
    .await?;
    let mut heads: HashMap<DeviceAddress, Vec<Head>> = HashMap::new();
    for row in rows {
        let Ok(device) = DeviceId::try_from(row.device) else { continue };
        let address = DeviceAddress::new(AccountUuid::from_stored(row.account), device);
        heads.entry(address).or_default().push(Head {
            group: GroupId::from_stored(row.group_id),
            at: Epoch { generation: generation(row.generation), epoch: from_bigint(row.epoch) },
            seq: from_bigint(row.seq),
        });
    }
    Ok(heads)
}

/// The groups that a device is, or was, in: those that it is in first, at most `limit`.
pub(crate) async fn list_memberships(
    device: DeviceAddress,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Membership>> {
    let rows = sqlx::query!(
        r#"
        SELECT group_id, generation, epoch, least(seq, coalesce(removed_seq, seq)) AS "seq!",
               cursor, joined_seq, removed_seq
        FROM groups.members
        JOIN groups.groups USING (group_id)
        WHERE account = $1 AND device = $2
        ORDER BY removed_seq IS NOT NULL
        LIMIT $3
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        i64::from(limit),
    )
    .fetch_all(db)
    .await?;
    let memberships = rows.into_iter().map(|row| Membership {
        head: Head {
            group: GroupId::from_stored(row.group_id),
            at: Epoch { generation: generation(row.generation), epoch: from_bigint(row.epoch) },
            seq: from_bigint(row.seq),
        },
        cursor: from_bigint(row.cursor),
        joined_seq: from_bigint(row.joined_seq),
        removed_seq: row.removed_seq.map(from_bigint),
    });
    Ok(memberships.collect())
}

/// What a page of a log may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageBounds {
    pub(crate) entries: u32,
    /// The entry that reaches them is the last of the page.
    pub(crate) bytes: usize,
}

/// The entries after `after` up to and including `until`, oldest first.
pub(crate) async fn page(
    group: GroupId,
    after: u64,
    until: u64,
    bounds: PageBounds,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<GroupEntry>> {
    let rows = sqlx::query_as!(
        log::Row,
        r#"
        SELECT seq AS "seq!", kind AS "kind!", generation AS "generation!", epoch AS "epoch!",
               message AS "message!", client_msg_id, server_time_ms AS "server_time_ms!",
               sealed_metadata
        FROM (
            SELECT
                *,
                sum(size) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) - size AS bytes_before
            FROM (
                SELECT *, octet_length(message) + coalesce(octet_length(sealed_metadata), 0) AS size
                FROM groups.log
                WHERE group_id = $1 AND seq > $2 AND seq <= $3
                ORDER BY seq
                LIMIT $4
            ) AS next
        ) AS measured
        WHERE bytes_before < $5
        ORDER BY seq
        "#,
        group.as_uuid(),
        bigint(after),
        bigint(until),
        i64::from(bounds.entries),
        i64::try_from(bounds.bytes).unwrap_or(i64::MAX),
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(GroupEntry::from).collect())
}
