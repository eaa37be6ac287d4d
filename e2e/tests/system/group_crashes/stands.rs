//! Where a commit is made to stand still, and how.

use sotto_e2e::PATIENCE;
use sotto_testkit::wait_for;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// The step of the transaction before which it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Before it writes to this table of the schema.
    Table(&'static str),
    /// When it is durable: Postgres waits for a standby that there is not before it says so.
    BeforeAnswer,
}

impl Stand {
    /// In the order of the transaction.
    pub(super) const BEFORE_COMMIT: [Self; 6] = [
        Self::Table("groups"),
        Self::Table("log"),
        Self::Table("members"),
        Self::Table("states"),
        Self::Table("welcomes"),
        Self::Table("trees"),
    ];

    /// Holds up whoever comes to this step from now on.
    pub(super) async fn hold(self, database: &str) -> Hold {
        let mut db = PgConnection::connect(database).await.unwrap();
        match self {
            Self::Table(table) => {
                // Whoever reads passes, and whoever writes waits.
                let lock = format!("BEGIN; LOCK TABLE groups.{table} IN SHARE MODE");
                db.execute(AssertSqlSafe(lock)).await.unwrap();
            }
            Self::BeforeAnswer => {
                db.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
                db.execute("SELECT pg_reload_conf()").await.unwrap();
                // The checkpointer is who tells the others, in its own time.
                wait_for(PATIENCE, "the new setting", async || {
                    let mut other = PgConnection::connect(database).await.unwrap();
                    let set: String = sqlx::query_scalar("SHOW synchronous_standby_names")
                        .fetch_one(&mut other)
                        .await
                        .unwrap();
                    if set == "nobody" { Ok(()) } else { Err(set) }
                })
                .await;
            }
        }
        Hold { stand: self, db }
    }
}

/// What holds a transaction up.
pub(super) struct Hold {
    stand: Stand,
    db: PgConnection,
}

impl Hold {
    /// Waits until a transaction stands.
    pub(super) async fn wait(&mut self, database: &str) {
        let what = format!("a transaction at {:?}", self.stand);
        wait_for(PATIENCE, &what, async || match self.standing(database).await {
            0 => Err(0),
            _ => Ok(()),
        })
        .await;
    }

    async fn standing(&self, database: &str) -> i64 {
        let query = match self.stand {
            Stand::Table(table) => format!(
                "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation \
                 WHERE NOT granted AND relname = '{table}' \
                 AND relnamespace = 'groups'::regnamespace"
            ),
            Stand::BeforeAnswer => {
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'".to_owned()
            }
        };
        let mut db = PgConnection::connect(database).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut db).await.unwrap()
    }

    /// Lets go. Where Postgres is dead, its locks are gone with it, and what it was told
    /// otherwise is taken out of its folder.
    pub(super) async fn let_go(&mut self, is_dead: bool, database: &str) {
        if is_dead {
            return;
        }
        match self.stand {
            Stand::Table(_) => drop(self.db.execute("ROLLBACK").await.unwrap()),
            Stand::BeforeAnswer => undo(database).await,
        }
    }

    /// Waits until nobody is held up any more: what a dead replica had begun is rolled back by
    /// then, or committed.
    pub(super) async fn is_over(&mut self, database: &str) {
        if self.stand == Stand::BeforeAnswer {
            undo(database).await;
        }
        wait_for(PATIENCE, "the end of what was begun", async || {
            let mut db = PgConnection::connect(database).await.unwrap();
            let begun: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation \
                 WHERE relnamespace = 'groups'::regnamespace AND mode = 'RowExclusiveLock'",
            )
            .fetch_one(&mut db)
            .await
            .unwrap();
            if begun == 0 { Ok(()) } else { Err(begun) }
        })
        .await;
    }
}

async fn undo(database: &str) {
    let mut db = PgConnection::connect(database).await.unwrap();
    db.execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    db.execute("SELECT pg_reload_conf()").await.unwrap();
}
