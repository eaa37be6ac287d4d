//! The servers that Sotto stands on: real ones, private, on loopback.

mod database;
pub mod postgres;
pub mod program;
pub mod redis;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rand::Rng as _;

pub use self::{database::FreshDatabase, postgres::Postgres, redis::Redis};
use crate::{environment, process::Life};

/// What may be lost when the machine fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: as in production.
    Durable,
    /// Everything. For tests of one service, which lose nothing but time by syncing.
    Fast,
}

/// How to come by a Postgres and a Redis.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where private servers keep their data; an absolute path.
    pub dir: PathBuf,
    /// Where they log.
    pub logs: PathBuf,
    /// What private servers may lose.
    pub durability: Durability,
    /// How long private servers live.
    pub life: Life,
    /// Whether a server of the environment gets a database of its own, which is
    /// dropped in the end. Otherwise the database that the URL names is used, and stays.
    pub fresh_database: bool,
}

/// A Postgres database and a Redis: private ones, or those that `DATABASE_URL` and
/// `REDIS_URL` name.
#[derive(Debug)]
pub struct Servers {
    // Dropped before the server that it is in.
    database: Option<FreshDatabase>,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    database_url: String,
    redis_url: String,
}

/// The name of the database in a private Postgres.
const DATABASE: &str = "sotto";

impl Servers {
    /// Starts what the environment does not name.
    ///
    /// # Errors
    ///
    /// When a program is missing, or a server does not come up.
    pub async fn start(wanted: &Wanted) -> anyhow::Result<Self> {
        let (postgres, redis) = tokio::join!(Self::postgres(wanted), Self::redis(wanted));
        let (postgres, database, database_url) = postgres?;
        let (redis, redis_url) = redis?;
        Ok(Self { database, postgres, redis, database_url, redis_url })
    }

    /// Starts private ones, whatever the environment names: to be killed, or read from
    /// outside.
    ///
    /// # Errors
    ///
    /// When a program is missing, or a server does not come up.
    pub async fn start_private(wanted: &Wanted) -> anyhow::Result<Self> {
        let (postgres, redis) =
            tokio::join!(Self::private_postgres_of(wanted), Self::private_redis_of(wanted));
        let (postgres, database_url) = postgres?;
        let (redis, redis_url) = redis?;
        Ok(Self {
            database: None,
            postgres: Some(postgres),
            redis: Some(redis),
            database_url,
            redis_url,
        })
    }

    async fn postgres(
        wanted: &Wanted,
    ) -> anyhow::Result<(Option<Postgres>, Option<FreshDatabase>, String)> {
        if let Some(url) = environment::database_url() {
            if !wanted.fresh_database {
                return Ok((None, None, url));
            }
            let database = FreshDatabase::create(&url).await?;
            let url = database.url().to_owned();
            return Ok((None, Some(database), url));
        }
        let (postgres, url) = Self::private_postgres_of(wanted).await?;
        Ok((Some(postgres), None, url))
    }

    async fn private_postgres_of(wanted: &Wanted) -> anyhow::Result<(Postgres, String)> {
        let postgres = Postgres::start(postgres::Options {
            dir: wanted.dir.join("postgres"),
            log: wanted.logs.join("postgres.log"),
            durability: wanted.durability,
            life: wanted.life,
        })
        .await?;
        postgres.create_database_if_missing(DATABASE).await?;
        let url = postgres.url(DATABASE);
        Ok((postgres, url))
    }

    async fn redis(wanted: &Wanted) -> anyhow::Result<(Option<Redis>, String)> {
        if let Some(url) = environment::redis_url() {
            return Ok((None, url));
        }
        let (redis, url) = Self::private_redis_of(wanted).await?;
        Ok((Some(redis), url))
    }

    async fn private_redis_of(wanted: &Wanted) -> anyhow::Result<(Redis, String)> {
        let redis = Redis::start(redis::Options {
            dir: wanted.dir.join("redis"),
            log: wanted.logs.join("redis.log"),
            life: wanted.life,
        })
        .await?;
        let url = redis.url();
        Ok((redis, url))
    }

    /// The database, with its password.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The Redis, with its password.
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The private Postgres, unless the environment named another.
    pub fn private_postgres(&mut self) -> Option<&mut Postgres> {
        self.postgres.as_mut()
    }

    /// The private Redis, unless the environment named another.
    pub fn private_redis(&mut self) -> Option<&mut Redis> {
        self.redis.as_mut()
    }

    /// Lets detached servers, and the database, live on without this handle.
    pub fn leave_running(mut self) {
        if let Some(postgres) = self.postgres.take() {
            postgres.leave_running();
        }
        if let Some(redis) = self.redis.take() {
            redis.leave_running();
        }
    }

    /// The processes of the private servers.
    pub fn processes(&self) -> Vec<&crate::process::Process> {
        let postgres = self.postgres.as_ref().and_then(Postgres::process);
        let redis = self.redis.as_ref().and_then(Redis::process);
        postgres.into_iter().chain(redis).collect()
    }

    /// The folder of the private Postgres's own files, its write-ahead log among them.
    pub fn postgres_files(&self) -> Option<&Path> {
        self.postgres.as_ref().map(Postgres::data)
    }

    /// Ends the private servers in order, and drops the database that was made.
    ///
    /// # Errors
    ///
    /// When one does not end, or the database cannot be dropped.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(database) = self.database.take() {
            database.drop_now().await?;
        }
        if let Some(redis) = self.redis.take() {
            redis.stop().await?;
        }
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await?;
        }
        Ok(())
    }
}

/// A random name or password: `bytes` of them in hex.
#[expect(clippy::disallowed_methods, reason = "a name only has to be new")]
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    rand::rng().fill(random.as_mut_slice());
    data_encoding::HEXLOWER.encode(&random)
}

/// Writes a file that only its owner, or `owner` where one is given, can read.
pub(crate) fn write_secret(
    path: &Path,
    text: &str,
    owner: Option<crate::process::RunAs>,
) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};

    let mut file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    if let Some(owner) = owner {
        std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
