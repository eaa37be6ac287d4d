use sotto_ids::GroupId;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Device, Stage};

/// A group in the database. There is no state of MLS behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Group(pub(crate) GroupId);

/// An entry of a log, without its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) kind: i16,
    pub(crate) epoch: u64,
    pub(crate) id: Option<Uuid>,
}

impl Stage {
    /// A group of these devices in epoch 0. Its log has one entry.
    pub(crate) async fn group(&self, members: &[Device]) -> Group {
        let group = Group(GroupId::new(*Uuid::new_v4().as_bytes()));
        let mut tx = self.db.begin().await.unwrap();
        sqlx::query("INSERT INTO groups.groups (group_id, began_with) VALUES ($1, $2)")
            .bind(group.0.as_uuid())
            .bind([0u8; 32].as_slice())
            .execute(&mut *tx)
            .await
            .unwrap();
        add_entry(group, 1, 5, 0, self.now_ms(), 0, &mut tx).await;
        add_members(group, 1, members, &mut tx).await;
        tx.commit().await.unwrap();
        group
    }

    /// Ends the epoch, as a commit does that removes and adds devices. The new epoch.
    pub(crate) async fn commit(&self, group: Group, gone: &[Device], come: &[Device]) -> u64 {
        self.commit_of(10, group, gone, come).await
    }

    /// The same with a commit of that many bytes.
    pub(crate) async fn commit_of(
        &self,
        bytes: usize,
        group: Group,
        gone: &[Device],
        come: &[Device],
    ) -> u64 {
        let mut tx = self.db.begin().await.unwrap();
        let (seq, epoch): (i64, i64) = sqlx::query_as(
            "UPDATE groups.groups SET epoch = epoch + 1, seq = seq + 1 WHERE group_id = $1 \
             RETURNING seq, epoch",
        )
        .bind(group.0.as_uuid())
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        add_entry(group, seq, 2, epoch - 1, self.now_ms(), bytes, &mut tx).await;
        for device in gone {
            sqlx::query(
                "UPDATE groups.members SET removed_seq = $1 \
                 WHERE group_id = $2 AND account = $3 AND device = $4",
            )
            .bind(seq)
            .bind(group.0.as_uuid())
            .bind(device.address.account.as_uuid())
            .bind(device.address.device.as_i16())
            .execute(&mut *tx)
            .await
            .unwrap();
        }
        add_members(group, seq, come, &mut tx).await;
        tx.commit().await.unwrap();
        u64::try_from(epoch).unwrap()
    }

    /// The epoch of a group, and the end of its log.
    pub(crate) async fn head(&self, group: Group) -> (u64, u64) {
        let (epoch, seq): (i64, i64) =
            sqlx::query_as("SELECT epoch, seq FROM groups.groups WHERE group_id = $1")
                .bind(group.0.as_uuid())
                .fetch_one(&self.db)
                .await
                .unwrap();
        (u64::try_from(epoch).unwrap(), u64::try_from(seq).unwrap())
    }

    /// The log, in its order.
    pub(crate) async fn log(&self, group: Group) -> Vec<Row> {
        let rows = sqlx::query(
            "SELECT seq, kind, epoch, client_msg_id FROM groups.log WHERE group_id = $1 \
             ORDER BY seq",
        )
        .bind(group.0.as_uuid())
        .fetch_all(&self.db)
        .await
        .unwrap();
        let row = |row: sqlx::postgres::PgRow| Row {
            seq: u64::try_from(row.get::<i64, _>("seq")).unwrap(),
            kind: row.get("kind"),
            epoch: u64::try_from(row.get::<i64, _>("epoch")).unwrap(),
            id: row.get("client_msg_id"),
        };
        rows.into_iter().map(row).collect()
    }

    /// How far the server says that a device is.
    pub(crate) async fn cursor(&self, group: Group, device: Device) -> u64 {
        let cursor: i64 = sqlx::query_scalar(
            "SELECT cursor FROM groups.members \
             WHERE group_id = $1 AND account = $2 AND device = $3",
        )
        .bind(group.0.as_uuid())
        .bind(device.address.account.as_uuid())
        .bind(device.address.device.as_i16())
        .fetch_one(&self.db)
        .await
        .unwrap();
        u64::try_from(cursor).unwrap()
    }

    /// Everything that lies in the schema, as text.
    pub(crate) async fn dump(&self) -> String {
        let mut all = Vec::new();
        for table in ["groups", "members", "log", "states", "welcomes", "trees"] {
            let rows = sqlx::AssertSqlSafe(format!(
                "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') \
                 FROM groups.{table} AS t"
            ));
            let rows: String = sqlx::query_scalar(rows).fetch_one(&self.db).await.unwrap();
            all.extend([table.to_owned(), rows]);
        }
        all.join("\n")
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM groups.{table}"));
        sqlx::query_scalar(count).fetch_one(&self.db).await.unwrap()
    }
}

async fn add_entry(
    group: Group,
    seq: i64,
    kind: i16,
    epoch: i64,
    now_ms: u64,
    bytes: usize,
    tx: &mut sqlx::PgConnection,
) {
    sqlx::query(
        "INSERT INTO groups.log (group_id, seq, generation, epoch, server_time_ms, kind, message) \
         VALUES ($1, $2, 0, $3, $4, $5, $6)",
    )
    .bind(group.0.as_uuid())
    .bind(seq)
    .bind(epoch)
    .bind(i64::try_from(now_ms).unwrap())
    .bind(kind)
    .bind(vec![1u8; bytes])
    .execute(tx)
    .await
    .unwrap();
}

async fn add_members(group: Group, seq: i64, come: &[Device], tx: &mut sqlx::PgConnection) {
    let leaves =
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM groups.members WHERE group_id = $1");
    let taken = leaves.bind(group.0.as_uuid()).fetch_one(&mut *tx).await.unwrap();
    for (leaf, device) in (taken..).zip(come) {
        sqlx::query(
            "INSERT INTO groups.members \
                 (group_id, account, device, leaf_index, joined_seq, cursor) \
             VALUES ($1, $2, $3, $4, $5, $5 - 1)",
        )
        .bind(group.0.as_uuid())
        .bind(device.address.account.as_uuid())
        .bind(device.address.device.as_i16())
        .bind(i32::try_from(leaf).unwrap())
        .bind(seq)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
}
