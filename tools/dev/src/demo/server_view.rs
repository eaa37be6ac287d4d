//! What the server has and says: asked of its own stores and logs at that moment.

mod groups;

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context as _;
use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use serde_json::Value;
use sotto_ids::AccountUuid;
use sotto_testkit::{Cluster, wait};
use sqlx::PgPool;

pub(crate) use self::groups::{EntryRow, MemberRow};
use super::PATIENCE;

/// Postgres, Redis and the logs of a cluster.
#[derive(Debug)]
pub(crate) struct ServerView {
    db: PgPool,
    redis: MultiplexedConnection,
    logs: PathBuf,
    /// How much of each log has been shown.
    read: BTreeMap<PathBuf, usize>,
}

/// An account as its row has it.
#[derive(Debug)]
pub(crate) struct AccountRow {
    pub(crate) handle: String,
    pub(crate) account: String,
    pub(crate) ops: i64,
}

/// How many public prekeys of a device lie ready.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) one_time_ec: i64,
    pub(crate) one_time_kyber: i64,
}

/// An envelope as its row has it.
#[derive(Debug)]
pub(crate) struct QueueRow {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) device: i16,
    pub(crate) bytes: i32,
    pub(crate) last_bytes: String,
    pub(crate) days_left: i32,
}

impl ServerView {
    pub(crate) async fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let db = PgPool::connect(cluster.database_url()).await.context("Postgres")?;
        let redis = redis::Client::open(cluster.redis_url())?
            .get_multiplexed_async_connection()
            .await
            .context("Redis")?;
        let mut view = Self { db, redis, logs: cluster.logs().to_owned(), read: BTreeMap::new() };
        view.new_log_lines()?;
        Ok(view)
    }

    /// The row of an account, and its current handle.
    pub(crate) async fn account(&self, account: AccountUuid) -> anyhow::Result<AccountRow> {
        let row = sqlx::query!(
            r#"
            SELECT
                handles.handle,
                (SELECT count(*) FROM keys.chain_ops WHERE account = $1) AS "ops!"
            FROM keys.handles
            WHERE account = $1 AND current
            "#,
            account.as_uuid(),
        )
        .fetch_one(&self.db)
        .await?;
        Ok(AccountRow { handle: row.handle, account: short(account), ops: row.ops })
    }

    /// What lies on the shelf of an account's first device.
    pub(crate) async fn shelf(&self, account: AccountUuid) -> anyhow::Result<Shelf> {
        let shelf = sqlx::query_as!(
            Shelf,
            r#"
            SELECT
                (SELECT count(*) FROM keys.one_time_ec_prekeys
                    WHERE account = $1 AND device = 1) AS "one_time_ec!",
                (SELECT count(*) FROM keys.one_time_kyber_prekeys
                    WHERE account = $1 AND device = 1) AS "one_time_kyber!"
            "#,
            account.as_uuid(),
        )
        .fetch_one(&self.db)
        .await?;
        Ok(shelf)
    }

    /// Every envelope that waits, the oldest first; at most ten.
    pub(crate) async fn queue(&self) -> anyhow::Result<Vec<QueueRow>> {
        let rows = sqlx::query!(
            r#"
            SELECT
                id,
                account,
                device,
                octet_length(envelope) AS "bytes!",
                encode(substr(envelope, octet_length(envelope) - 39, 12), 'hex')
                    AS "last_bytes!",
                round(extract(epoch FROM expires_at - now()) / 86400)::integer AS "days_left!"
            FROM messages.queue
            ORDER BY id
            LIMIT 10
            "#
        )
        .fetch_all(&self.db)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| QueueRow {
                id: short(row.id),
                account: short(row.account),
                device: row.device,
                bytes: row.bytes,
                last_bytes: row.last_bytes,
                days_left: row.days_left,
            })
            .collect())
    }

    /// How many envelopes wait.
    pub(crate) async fn waiting(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM messages.queue"#)
            .fetch_one(&self.db)
            .await?)
    }

    /// Waits until as many envelopes wait.
    pub(crate) async fn wait_until_waiting(&self, count: i64) -> anyhow::Result<()> {
        let what = format!("{count} rows in messages.queue");
        wait::until(PATIENCE, &what, || async {
            match self.waiting().await {
                Ok(waiting) if waiting == count => Ok(()),
                Ok(waiting) => Err(format!("{waiting} rows")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        Ok(())
    }

    /// Where a device is connected, as Redis has it: a gateway and a connection.
    pub(crate) async fn place(&self, account: AccountUuid) -> anyhow::Result<Option<String>> {
        let mut redis = self.redis.clone();
        let place: Option<String> = redis.get(format!("gateway:{{{account}.1}}:place")).await?;
        Ok(place.map(|place| match place.split_once('/') {
            Some((gateway, connection)) => format!("{}/{}", short(gateway), short(connection)),
            None => place,
        }))
    }

    /// The lines that were logged since this was called last: who logged it, and what.
    pub(crate) fn new_log_lines(&mut self) -> anyhow::Result<Vec<(String, String)>> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(&self.logs)? {
            let path = entry?.path();
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            let shown = self.read.entry(path.clone()).or_default();
            let end = text.rfind('\n').map_or(0, |end| end + 1);
            let fresh = text.get(*shown..end).unwrap_or_default();
            *shown = end;
            let who = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            lines.extend(fresh.lines().filter_map(readable).map(|said| (who.clone(), said)));
        }
        Ok(lines)
    }
}

/// A JSON line as people read it: the message, then the fields that are not always there.
fn readable(line: &str) -> Option<String> {
    const ALWAYS_THERE: [&str; 6] = ["timestamp", "level", "target", "message", "span", "spans"];
    let Value::Object(fields) = serde_json::from_str(line).ok()? else { return None };
    let message = fields.get("message")?.as_str()?.to_owned();
    let rest = fields.iter().filter(|(name, _)| !ALWAYS_THERE.contains(&name.as_str())).map(
        |(name, value)| match value {
            Value::String(text) => {
                format!("{name}={}", if name == "connection" { short(text) } else { text.clone() })
            }
            other => format!("{name}={other}"),
        },
    );
    Some(std::iter::once(message).chain(rest).collect::<Vec<_>>().join(" "))
}

/// The beginning of an id, as much as one can tell apart at a glance.
pub(crate) fn short(id: impl std::fmt::Display) -> String {
    let text = id.to_string();
    match text.char_indices().nth(8) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
