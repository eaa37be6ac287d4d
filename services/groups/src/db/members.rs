use sotto_ids::{AccountUuid, DeviceAddress, DeviceId, GroupId};
use sqlx::{PgExecutor, error::BoxDynError};
use uuid::Uuid;

use super::{bigint, from_bigint};

/// A device that is, or was, in a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) device: DeviceAddress,
    /// The entry with which it came.
    pub(crate) joined_seq: u64,
    /// The entry with which it went, if it did.
    pub(crate) removed_seq: Option<u64>,
    /// The last entry that it has stored.
    pub(crate) cursor: u64,
}

impl Member {
    /// Whether it is in the group now.
    pub(crate) const fn is_present(&self) -> bool {
        self.removed_seq.is_none()
    }
}

struct Row {
    account: Uuid,
    device: i16,
    joined_seq: i64,
    removed_seq: Option<i64>,
    cursor: i64,
}

impl TryFrom<Row> for Member {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            device: address(row.account, row.device)?,
            joined_seq: from_bigint(row.joined_seq),
            removed_seq: row.removed_seq.map(from_bigint),
            cursor: from_bigint(row.cursor),
        })
    }
}

fn address(account: Uuid, device: i16) -> sqlx::Result<DeviceAddress> {
    let device = DeviceId::try_from(device)
        .map_err(|error| sqlx::Error::Decode(BoxDynError::from(error)))?;
    Ok(DeviceAddress::new(AccountUuid::from_stored(account), device))
}

/// Adds devices with the entry `seq`, at their leaves. One that was in the group before, or
/// is, comes anew; its cursor never falls.
pub(crate) async fn join(
    group: GroupId,
    seq: u64,
    joining: &[(DeviceAddress, u32)],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let accounts: Vec<_> = joining.iter().map(|(device, _)| device.account.as_uuid()).collect();
    let devices: Vec<_> = joining.iter().map(|(device, _)| device.device.as_i16()).collect();
    let leaves: Vec<_> = joining.iter().map(|(_, leaf)| leaf.cast_signed()).collect();
    sqlx::query!(
        r#"
        INSERT INTO groups.members (group_id, account, device, leaf_index, joined_seq, cursor)
        SELECT $1, account, device, leaf_index, $2::bigint, $2::bigint - 1
        FROM unnest($3::uuid[], $4::smallint[], $5::integer[])
            AS joining (account, device, leaf_index)
        ON CONFLICT (group_id, account, device) DO UPDATE
        SET leaf_index = excluded.leaf_index,
            joined_seq = excluded.joined_seq,
            removed_seq = NULL,
            cursor = greatest(members.cursor, excluded.cursor)
        "#,
        group.as_uuid(),
        bigint(seq),
        &accounts,
        &devices,
        &leaves,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Marks devices as gone with the entry `seq`.
pub(crate) async fn remove(
    group: GroupId,
    seq: u64,
    gone: &[DeviceAddress],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let accounts: Vec<_> = gone.iter().map(|device| device.account.as_uuid()).collect();
    let devices: Vec<_> = gone.iter().map(|device| device.device.as_i16()).collect();
    sqlx::query!(
        r#"
        UPDATE groups.members
        SET removed_seq = $2
        FROM unnest($3::uuid[], $4::smallint[]) AS gone (account, device)
        WHERE group_id = $1
          AND members.account = gone.account
          AND members.device = gone.device
          AND removed_seq IS NULL
        "#,
        group.as_uuid(),
        bigint(seq),
        &accounts,
        &devices,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The device, be it gone.
pub(crate) async fn find(
    group: GroupId,
    device: DeviceAddress,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Member>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT account, device, joined_seq, removed_seq, cursor
        FROM groups.members
        WHERE group_id = $1 AND account = $2 AND device = $3
        "#,
        group.as_uuid(),
        device.account.as_uuid(),
        device.device.as_i16(),
    )
    .fetch_optional(db)
    .await?
    .map(Member::try_from)
    .transpose()
}

/// The devices that are in the group, in no order.
pub(crate) async fn list_present(
    group: GroupId,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Member>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT account, device, joined_seq, removed_seq, cursor
        FROM groups.members
        WHERE group_id = $1 AND removed_seq IS NULL
        "#,
        group.as_uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Member::try_from).collect()
}

/// Whether any device of the account is in the group.
pub(crate) async fn has_account(
    group: GroupId,
    account: AccountUuid,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM groups.members
            WHERE group_id = $1 AND account = $2 AND removed_seq IS NULL
        ) AS "has!"
        "#,
        group.as_uuid(),
        account.as_uuid(),
    )
    .fetch_one(db)
    .await
}
