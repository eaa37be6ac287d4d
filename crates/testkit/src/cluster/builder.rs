use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::{APPS, Cluster, Role, RoleProcess, Roles, config, executable};
use crate::{
    apps::App,
    environment,
    process::{Launch, Life, tail},
    servers::{Durability, Servers, Wanted, postgres},
};

/// How long the migrations may take.
const MIGRATED_WITHIN: Duration = Duration::from_mins(2);

/// How long the ops port of a process may take to answer.
const OPS_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// A cluster that is about to be started.
#[derive(Debug, Clone)]
pub struct Builder {
    dir: Option<PathBuf>,
    gateways: usize,
    messages: usize,
    groups: usize,
    durability: Durability,
    life: Life,
    choice: Choice,
    settings: Vec<(String, toml::Value)>,
}

/// Which servers to use where the environment names some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Those, with a database of our own.
    Named,
    /// Those, and the very database.
    NamedDatabase,
    /// Those, if they keep what they confirm.
    NamedIfDurable,
    /// Others.
    Private,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            dir: None,
            gateways: 1,
            messages: 1,
            groups: 1,
            durability: Durability::Durable,
            life: Life::Leashed,
            choice: Choice::NamedIfDurable,
            settings: Vec::new(),
        }
    }
}

impl Builder {
    /// How many gateways there are.
    #[must_use]
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// How many replicas of the messages service there are.
    #[must_use]
    pub fn messages(mut self, count: usize) -> Self {
        self.messages = count;
        self
    }

    /// How many replicas of the groups service there are.
    #[must_use]
    pub fn groups(mut self, count: usize) -> Self {
        self.groups = count;
        self
    }

    /// Where everything lies. Without it, in a folder that goes with the cluster.
    #[must_use]
    pub fn in_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Lets private servers lose what they have confirmed. By default they do not.
    #[must_use]
    pub fn fast_and_forgetful(mut self) -> Self {
        self.durability = Durability::Fast;
        self
    }

    /// Sets how long the processes live; see also [`Cluster::leave_running`].
    #[must_use]
    pub fn life(mut self, life: Life) -> Self {
        self.life = life;
        self
    }

    /// Uses the very database that `DATABASE_URL` names, whatever it may lose, rather than
    /// a fresh one beside it that is dropped in the end.
    #[must_use]
    pub fn in_the_named_database(mut self) -> Self {
        self.choice = Choice::NamedDatabase;
        self
    }

    /// Makes a fresh database in the server that `DATABASE_URL` names, whatever that may
    /// lose. By default such a server is passed over: a test of what is kept would show
    /// nothing on it.
    #[must_use]
    pub fn on_the_named_servers(mut self) -> Self {
        self.choice = Choice::Named;
        self
    }

    /// Starts servers of its own even where the environment names some: for tests that
    /// kill them, or read their files.
    #[must_use]
    pub fn on_private_servers(mut self) -> Self {
        self.choice = Choice::Private;
        self
    }

    /// Sets a setting of every process, such as `("telemetry.log_level", "debug")`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<toml::Value>) -> Self {
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    /// Takes away what one device may write in a time: for stories and measurements that
    /// would otherwise wait for most of theirs.
    #[must_use]
    pub fn writing_without_limit(self) -> Self {
        [
            ("limits.send.burst", 1_000_000),
            ("gateway.session.sends_per_second", 100_000),
            ("gateway.session.sends_burst", 100_000),
            ("gateway.session.frames_per_second", 100_000),
            ("gateway.session.frames_burst", 100_000),
        ]
        .into_iter()
        .fold(self, |builder, (name, value)| builder.setting(name, value))
        .setting("limits.send.per", "1s")
    }

    /// Has every process send all its spans to an OTLP receiver.
    #[must_use]
    pub fn spans_to(self, endpoint: &str) -> Self {
        self.setting("telemetry.otlp_endpoint", endpoint).setting("telemetry.trace_sample", 1.0)
    }

    /// Starts the servers, migrates, starts every process, and waits until all are ready.
    ///
    /// # Errors
    ///
    /// When a program is missing, or something does not come up; with the end of its log.
    pub async fn start(self) -> anyhow::Result<Cluster> {
        self.start_telling(|_| {}).await
    }

    /// The same, telling of each step as it begins.
    ///
    /// # Errors
    ///
    /// When a program is missing, or something does not come up; with the end of its log.
    pub async fn start_telling(self, tell: impl Fn(&str)) -> anyhow::Result<Cluster> {
        let executable = executable()?;
        let (dir, temporary) = self.folder()?;
        let logs = dir.join("logs");
        fs::create_dir_all(&logs)?;

        tell("starting Postgres and Redis");
        let wanted = Wanted {
            dir: dir.clone(),
            logs: logs.clone(),
            durability: self.durability,
            life: self.life,
            fresh_database: self.choice != Choice::NamedDatabase,
        };
        let servers = if self.wants_private_servers().await? {
            Servers::start_private(&wanted).await?
        } else {
            Servers::start(&wanted).await?
        };

        let apps: BTreeMap<String, App> = APPS
            .into_iter()
            .map(|id| Ok((id.to_owned(), App::in_folder(&dir.join("apps"), id)?)))
            .collect::<anyhow::Result<_>>()?;
        let config_file = dir.join("sotto.toml");
        let roles = self.roles(&executable, &config_file, &logs)?;
        config::write(&config_file, &servers, &apps, &roles.0, &self.settings)?;

        tell("migrating the database");
        migrate(&executable, &config_file, &logs).await?;

        tell("starting every role");
        let http = reqwest::Client::builder().timeout(OPS_ANSWERS_WITHIN).build()?;
        let cluster = Cluster { roles, servers, apps, dir, logs, http, _temporary: temporary };
        for process in cluster.roles() {
            process.launch()?;
        }
        cluster.all_ready().await?;
        Ok(cluster)
    }

    async fn wants_private_servers(&self) -> anyhow::Result<bool> {
        match (self.choice, environment::database_url()) {
            (Choice::Private, _) => Ok(true),
            (Choice::NamedIfDurable, Some(url)) if self.durability == Durability::Durable => {
                // Where no better one can be started, one that may lose things has to do.
                Ok(postgres::programs().is_ok() && !postgres::is_durable(&url).await?)
            }
            _ => Ok(false),
        }
    }

    fn folder(&self) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
        if let Some(dir) = &self.dir {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            return Ok((fs::canonicalize(dir)?, None));
        }
        // Open to be passed through: a private Postgres may run as another user. What is
        // secret in it is closed by itself.
        let temporary = tempfile::Builder::new()
            .prefix("sotto-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()?;
        Ok((temporary.path().to_owned(), Some(temporary)))
    }

    fn roles(&self, executable: &Path, config: &Path, logs: &Path) -> anyhow::Result<Roles> {
        let counts = [
            (Role::Keys, 1),
            (Role::Messages, self.messages),
            (Role::Groups, self.groups),
            (Role::Gateway, self.gateways),
        ];
        counts
            .into_iter()
            .flat_map(|(role, count)| (0..count).map(move |index| (role, index)))
            .map(|(role, index)| {
                RoleProcess::reserve(role, index, executable, config, logs, self.life)
            })
            .collect::<anyhow::Result<_>>()
            .map(Roles)
    }
}

async fn migrate(executable: &Path, config: &Path, logs: &Path) -> anyhow::Result<()> {
    let log = logs.join("migrate.log");
    let status = Launch::new("sotto migrate", executable, &log)
        .args(["migrate".as_ref(), "--config".as_ref(), config.as_os_str()])
        .without_env(environment::sotto_settings())
        .spawn()?
        .ended(MIGRATED_WITHIN)
        .await?;
    ensure!(status.success(), "`sotto migrate` failed ({status})\n{}", tail(&log, 15));
    Ok(())
}
