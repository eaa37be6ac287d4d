use std::{fmt, thread};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};

use super::random_hex;

/// A database of its own in somebody else's server. It is dropped with its handle.
pub struct FreshDatabase {
    server: PgConnectOptions,
    name: String,
    url: String,
    is_there: bool,
}

impl FreshDatabase {
    /// Creates `sotto_<random>` in the server that a URL names.
    ///
    /// # Errors
    ///
    /// When the URL is none, or its user may not create databases.
    pub async fn create(url: &str) -> anyhow::Result<Self> {
        let server: PgConnectOptions = url.parse().context("DATABASE_URL is no Postgres URL")?;
        let name = format!("sotto_{}", random_hex(8));
        let mut db = PgConnection::connect_with(&server)
            .await
            .context("the server of DATABASE_URL does not answer")?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut db)
            .await
            .context("the user of DATABASE_URL cannot create a database")?;
        let url = with_database(url, &name).context("DATABASE_URL is no URL")?;
        Ok(Self { server, name, url, is_there: true })
    }

    /// The URL that names it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Drops it, whoever is still connected.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn drop_now(mut self) -> anyhow::Result<()> {
        self.is_there = false;
        drop_database(&self.server, &self.name).await
    }
}

impl Drop for FreshDatabase {
    fn drop(&mut self) {
        if !self.is_there {
            return;
        }
        let (server, name) = (self.server.clone(), self.name.clone());
        // A handle may be dropped anywhere; the thread has a runtime of its own.
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(drop_database(&server, &name))
        });
        // Where it fails a database with a random name is left behind, which harms nobody.
        dropping.join().ok();
    }
}

impl fmt::Debug for FreshDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshDatabase").field("name", &self.name).finish_non_exhaustive()
    }
}

async fn drop_database(server: &PgConnectOptions, name: &str) -> anyhow::Result<()> {
    let mut db = PgConnection::connect_with(server).await?;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))
        .execute(&mut db)
        .await?;
    Ok(())
}

/// A Postgres URL with another database in it.
fn with_database(url: &str, name: &str) -> Option<String> {
    let (address, query) = url.split_once('?').map_or((url, None), |(a, q)| (a, Some(q)));
    let authority = address.find("://")? + "://".len();
    let end = address.get(authority..)?.find('/').map_or(address.len(), |at| authority + at);
    let server = address.get(..end)?;
    Some(match query {
        Some(query) => format!("{server}/{name}?{query}"),
        None => format!("{server}/{name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_a_url_changes() {
        for (url, expected) in [
            ("postgres://u:p@h:1/old", "postgres://u:p@h:1/new"),
            ("postgres://u@h", "postgres://u@h/new"),
            ("postgres://u@h/", "postgres://u@h/new"),
            ("postgres://u@h/old?sslmode=require", "postgres://u@h/new?sslmode=require"),
        ] {
            assert_eq!(with_database(url, "new").as_deref(), Some(expected));
        }
        assert_eq!(with_database("nothing", "new"), None);
    }
}
