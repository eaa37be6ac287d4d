//! What the server has of groups.

use sotto_ids::{AccountUuid, GroupId};
use sotto_testkit::wait;

use super::{super::PATIENCE, ServerView, short};

/// A group as its rows have it.
#[derive(Debug)]
pub(crate) struct GroupRow {
    pub(crate) group: String,
    pub(crate) epoch: i64,
    pub(crate) seq: i64,
    /// Devices that are in it.
    pub(crate) devices: i64,
    /// Bytes of the public tree and what belongs to it.
    pub(crate) state_bytes: i32,
    /// Bytes of name and picture, sealed.
    pub(crate) metadata_bytes: i32,
}

/// An entry of a log as its row has it.
#[derive(Debug)]
pub(crate) struct EntryRow {
    pub(crate) seq: i64,
    pub(crate) epoch: i64,
    /// As in `GroupEntryKind`.
    kind: i16,
    pub(crate) bytes: i32,
    pub(crate) last_bytes: String,
}

impl EntryRow {
    /// Whether it is a message of somebody.
    pub(crate) fn is_message(&self) -> bool {
        self.kind == 1
    }

    /// The word for its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            1 => "message",
            2 => "commit",
            3 => "proposal",
            4 => "metadata",
            _ => "the group begins",
        }
    }
}

/// A device of a group as its row has it.
#[derive(Debug)]
pub(crate) struct MemberRow {
    pub(crate) account: String,
    pub(crate) device: i16,
    pub(crate) cursor: i64,
    pub(crate) removed_seq: Option<i64>,
}

impl ServerView {
    /// Where a group stands.
    pub(crate) async fn group(&self, group: GroupId) -> anyhow::Result<GroupRow> {
        let row = sqlx::query!(
            r#"
            SELECT
                groups.epoch,
                groups.seq,
                (SELECT count(*) FROM groups.members
                    WHERE group_id = $1 AND removed_seq IS NULL) AS "devices!",
                octet_length(states.state) AS "state_bytes!",
                octet_length(states.sealed_metadata) AS "metadata_bytes!"
            FROM groups.groups
            JOIN groups.states USING (group_id)
            WHERE group_id = $1
            "#,
            group.as_uuid(),
        )
        .fetch_one(&self.db)
        .await?;
        Ok(GroupRow {
            group: short(group.as_uuid()),
            epoch: row.epoch,
            seq: row.seq,
            devices: row.devices,
            state_bytes: row.state_bytes,
            metadata_bytes: row.metadata_bytes,
        })
    }

    /// What stands in the log of a group after an entry; at most twenty of it.
    pub(crate) async fn log_after(
        &self,
        group: GroupId,
        seq: i64,
    ) -> anyhow::Result<Vec<EntryRow>> {
        let rows = sqlx::query_as!(
            EntryRow,
            r#"
            SELECT
                seq,
                epoch,
                kind,
                octet_length(message) AS "bytes!",
                encode(substr(message, greatest(octet_length(message) - 11, 1)), 'hex')
                    AS "last_bytes!"
            FROM groups.log
            WHERE group_id = $1 AND seq > $2
            ORDER BY seq
            LIMIT 20
            "#,
            group.as_uuid(),
            seq,
        )
        .fetch_all(&self.db)
        .await?;
        Ok(rows)
    }

    /// Waits until the first device of an account is known to have the log up to an entry, or
    /// to have been removed, and gives its row.
    pub(crate) async fn member_at(
        &self,
        group: GroupId,
        account: AccountUuid,
        seq: i64,
    ) -> anyhow::Result<MemberRow> {
        let row = wait::until(PATIENCE, "a device to acknowledge the log", || async {
            match self.member(group, account).await {
                Ok(row) if row.cursor >= seq || row.removed_seq.is_some() => Ok(row),
                Ok(row) => Err(format!("{row:?}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        Ok(row)
    }

    async fn member(&self, group: GroupId, account: AccountUuid) -> sqlx::Result<MemberRow> {
        let row = sqlx::query!(
            "
            SELECT device, cursor, removed_seq
            FROM groups.members
            WHERE group_id = $1 AND account = $2 AND device = 1
            ",
            group.as_uuid(),
            account.as_uuid(),
        )
        .fetch_one(&self.db)
        .await?;
        Ok(MemberRow {
            account: short(account),
            device: row.device,
            cursor: row.cursor,
            removed_seq: row.removed_seq,
        })
    }
}
