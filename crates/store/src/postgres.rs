//! Pools of Postgres connections, each acting as the role of its service.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_kit::config::{Secret, Validate, require};
use sqlx::{
    Executor as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::MIGRATOR;

/// The section `[postgres]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// Where the database is, as `postgres://user:password@host/database`.
    pub url: Secret,
    /// The most connections that one role holds.
    pub max_connections: u32,
    /// How long a request waits for a connection before it fails as unavailable.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// How long a statement may take before the database ends it.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
}

impl Validate for PostgresConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        if let Err(problem) = self.url.reveal() {
            problems.push(format!("postgres.url: {problem}"));
        }
        require(problems, (1..=1000).contains(&self.max_connections), || {
            "postgres.max_connections: must be between 1 and 1000".into()
        });
        require(problems, !self.acquire_timeout.is_zero(), || {
            "postgres.acquire_timeout: must not be 0".into()
        });
        let statement = Duration::from_millis(100)..=Duration::from_mins(5);
        require(problems, statement.contains(&self.statement_timeout), || {
            "postgres.statement_timeout: must be between 100ms and 5m".into()
        });
    }
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The setting is wrong. The text never holds the URL.
    #[error("postgres.url: {0}")]
    Setting(String),
    /// Nobody answers, or the role cannot be taken on.
    #[error("the database cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// Migrations are missing: run `sotto migrate` first.
    #[error("the database lacks {0} migration(s): run `sotto migrate`")]
    Pending(usize),
    /// A migration failed.
    #[error("a migration failed")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

/// For the server's end of a connection: a process that is gone without a word holds its
/// locks no longer than 25 s. At our end the driver leaves it to the kernel, which gives
/// up on a silent server by `net.ipv4.tcp_retries2`; requests end before that, by their
/// own timeouts.
const NOTICE_SILENCE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25000"),
];

/// Opens a pool whose connections act as `role`, which can reach its own schema and
/// nothing else. Refuses a database that lacks migrations.
///
/// # Errors
///
/// See [`PostgresError`].
pub async fn connect(config: &PostgresConfig, role: &'static str) -> Result<PgPool, PostgresError> {
    let timeout = config.statement_timeout.as_millis().to_string();
    let options =
        options(config)?.options([("statement_timeout", timeout.as_str())]).options(NOTICE_SILENCE);
    check_migrations(&options).await?;
    PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(config.acquire_timeout)
        // It would add a round trip to each use; a connection that broke is noticed by
        // the statement that finds it broken, and every caller can come again.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                // `role` is a word of ours, never of a caller's.
                let statement = sqlx::AssertSqlSafe(format!("SET ROLE {role}"));
                connection.execute(statement).await.map(drop)
            })
        })
        .connect_with(options)
        .await
        .map_err(PostgresError::Unreachable)
}

/// Brings the database up to date. Safe to run at the same time from many places.
///
/// # Errors
///
/// See [`PostgresError`].
pub async fn migrate(config: &PostgresConfig) -> Result<(), PostgresError> {
    let pool = single(&options(config)?).await?;
    MIGRATOR.run(&pool).await.map_err(PostgresError::Migration)?;
    pool.close().await;
    Ok(())
}

/// Whether the database itself takes no writes (SQLSTATE 25006): it is a standby, or was
/// switched by `default_transaction_read_only`.
pub fn refuses_writes(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().as_deref() == Some("25006")
}

fn options(config: &PostgresConfig) -> Result<PgConnectOptions, PostgresError> {
    let url = config.url.reveal().map_err(PostgresError::Setting)?;
    url.parse().map_err(|_| PostgresError::Setting("not a Postgres URL".to_owned()))
}

async fn single(options: &PgConnectOptions) -> Result<PgPool, PostgresError> {
    PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await
        .map_err(PostgresError::Unreachable)
}

async fn check_migrations(options: &PgConnectOptions) -> Result<(), PostgresError> {
    let pool = single(options).await?;
    let exists = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let started: bool =
        sqlx::query_scalar(exists).fetch_one(&pool).await.map_err(PostgresError::Unreachable)?;
    let applied: Vec<i64> = if started {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&pool)
            .await
            .map_err(PostgresError::Unreachable)?
    } else {
        Vec::new()
    };
    pool.close().await;
    match MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).count() {
        0 => Ok(()),
        pending => Err(PostgresError::Pending(pending)),
    }
}
