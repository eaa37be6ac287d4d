//! How messages get into logs, those of many groups in one transaction: `groups.groups` and
//! `groups.log` together.

use std::collections::HashMap;

use sotto_ids::{AccountUuid, ClientMsgId, DeviceAddress, DeviceId, GroupId};
use sotto_proto::socket::GroupEntry;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{bigint, from_bigint, generation};
use crate::domain::{Epoch, Head};

/// Takes hold of those of these groups that there are, until the transaction ends: nobody
/// else writes to their logs meanwhile, and none of them changes its epoch.
///
/// Everybody takes hold of groups in the order of their ids, so that no two wait for each
/// other in a circle.
pub(crate) async fn lock(groups: &[GroupId], db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Head>> {
    let groups: Vec<Uuid> = groups.iter().map(GroupId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"
        SELECT group_id, generation, epoch, seq
        FROM groups.groups
        WHERE group_id = ANY ($1)
        ORDER BY group_id
        FOR NO KEY UPDATE
        "#,
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

/// Where a message stands that was stored before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) seq: u64,
    pub(crate) server_time_ms: u64,
}

/// Which of these messages stand in the logs of their groups already.
pub(crate) async fn find_repeated(
    messages: &[(GroupId, ClientMsgId)],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<HashMap<(GroupId, Uuid), Standing>> {
    let groups: Vec<Uuid> = messages.iter().map(|(group, _)| group.as_uuid()).collect();
    let ids: Vec<Uuid> = messages.iter().map(|(_, id)| id.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT log.group_id, log.client_msg_id AS "client_msg_id!", log.seq, log.server_time_ms
        FROM unnest($1::uuid[], $2::uuid[]) AS asked (group_id, client_msg_id)
        JOIN groups.log USING (group_id, client_msg_id)
        "#,
        &groups,
        &ids,
    )
    .fetch_all(db)
    .await?;
    let found = rows.into_iter().map(|row| {
        let standing =
            Standing { seq: from_bigint(row.seq), server_time_ms: from_bigint(row.server_time_ms) };
        ((GroupId::from_stored(row.group_id), row.client_msg_id), standing)
    });
    Ok(found.collect())
}

/// The devices that are in these groups.
pub(crate) async fn list_rosters(
    groups: &[GroupId],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<HashMap<GroupId, Vec<DeviceAddress>>> {
    let ids: Vec<Uuid> = groups.iter().map(GroupId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"
        SELECT group_id, account, device
        FROM groups.members
        WHERE group_id = ANY ($1) AND removed_seq IS NULL
        "#,
        &ids,
    )
    .fetch_all(db)
    .await?;
    let mut rosters: HashMap<GroupId, Vec<DeviceAddress>> =
        groups.iter().map(|group| (*group, Vec::new())).collect();
    for row in rows {
        let Ok(device) = DeviceId::try_from(row.device) else { continue };
        let address = DeviceAddress::new(AccountUuid::from_stored(row.account), device);
        rosters.entry(GroupId::from_stored(row.group_id)).or_default().push(address);
    }
    Ok(rosters)
}

/// The entries with which these devices came into their groups.
pub(crate) async fn list_joined(
    devices: &[(GroupId, DeviceAddress)],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<HashMap<(GroupId, DeviceAddress), u64>> {
    let groups: Vec<Uuid> = devices.iter().map(|(group, _)| group.as_uuid()).collect();
    let accounts: Vec<Uuid> = devices.iter().map(|(_, is)| is.account.as_uuid()).collect();
    let numbers: Vec<i16> = devices.iter().map(|(_, is)| is.device.as_i16()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT members.group_id, members.account, members.device, members.joined_seq
        FROM unnest($1::uuid[], $2::uuid[], $3::smallint[]) AS asked (group_id, account, device)
        JOIN groups.members USING (group_id, account, device)
        "#,
        &groups,
        &accounts,
        &numbers,
    )
    .fetch_all(db)
    .await?;
    let joined = rows.into_iter().filter_map(|row| {
        let device = DeviceId::try_from(row.device).ok()?;
        let address = DeviceAddress::new(AccountUuid::from_stored(row.account), device);
        Some(((GroupId::from_stored(row.group_id), address), from_bigint(row.joined_seq)))
    });
    Ok(joined.collect())
}

/// Adds messages to the logs of groups that the transaction holds, and moves the ends of
/// these logs. `ends`: the last `seq` of each group.
pub(crate) async fn insert_messages(
    messages: &[(GroupId, GroupEntry)],
    ends: &[(GroupId, u64)],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let (mut groups, mut seqs, mut generations, mut epochs) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut ids, mut kinds, mut bodies) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (group, entry) in messages {
        groups.push(group.as_uuid());
        seqs.push(bigint(entry.seq));
        generations.push(i64::from(entry.generation));
        epochs.push(bigint(entry.epoch));
        times.push(bigint(entry.server_time_ms));
        ids.push(Uuid::from_slice(&entry.client_msg_id).ok());
        kinds.push(i16::try_from(entry.kind).unwrap_or_default());
        bodies.push(entry.message.as_ref());
    }
    let ended: Vec<Uuid> = ends.iter().map(|(group, _)| group.as_uuid()).collect();
    let lasts: Vec<i64> = ends.iter().map(|(_, seq)| bigint(*seq)).collect();
    sqlx::query!(
        r#"
        WITH added AS (
            INSERT INTO groups.log (group_id, seq, generation, epoch, server_time_ms,
                                    client_msg_id, kind, message)
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[],
                                 $5::bigint[], $6::uuid[], $7::smallint[], $8::bytea[])
        )
        UPDATE groups.groups
        SET seq = ended.seq
        FROM unnest($9::uuid[], $10::bigint[]) AS ended (group_id, seq)
        WHERE groups.group_id = ended.group_id
        "#,
        &groups,
        &seqs,
        &generations,
        &epochs,
        &times,
        &ids as &[Option<Uuid>],
        &kinds,
        &bodies as &[&[u8]],
        &ended,
        &lasts,
    )
    .execute(db)
    .await?;
    Ok(())
}
