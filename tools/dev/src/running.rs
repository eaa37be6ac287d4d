//! What `./dev up` has left running, written down for the commands that come later.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use sotto_testkit::{
    Cluster, Role,
    cluster::APPS,
    process::{Process, ProcessId},
    wait::{self, TimedOut},
};

/// How long a process may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(45);

/// A Sotto that runs by itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) domain: String,
    pub(crate) rest_url: String,
    pub(crate) socket_urls: Vec<String>,
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    /// In the order in which they are to be ended.
    pub(crate) parts: Vec<Part>,
    pub(crate) tokens: Vec<Token>,
}

/// A process of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) process: ProcessId,
    pub(crate) log: String,
    /// Where it tells of its health and its metrics; servers of others do not.
    pub(crate) ops_url: Option<String>,
    /// Whether SIGINT rather than SIGTERM ends it in order: Postgres would wait for its
    /// clients.
    ends_by_interrupt: bool,
}

/// A token of an app's user.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) user: String,
    pub(crate) app: String,
    pub(crate) token: String,
}

impl Running {
    /// What is to be known of a cluster, and of what stands before it, once their handles are
    /// gone.
    pub(crate) fn of(cluster: &Cluster, front: &Process, rest_url: String) -> Self {
        let mut parts = vec![Part {
            name: front.name().to_owned(),
            process: front.id(),
            log: front.log().display().to_string(),
            ops_url: None,
            ends_by_interrupt: false,
        }];
        for role in [Role::Gateway, Role::Messages, Role::Groups, Role::Keys] {
            for process in cluster.roles().iter().filter(|process| process.role() == role) {
                parts.extend(process.id().map(|id| Part {
                    name: process.to_string(),
                    process: id,
                    log: process.log().display().to_string(),
                    ops_url: Some(process.ops_url()),
                    ends_by_interrupt: false,
                }));
            }
        }
        parts.extend(cluster.servers().processes().into_iter().map(|process| Part {
            name: process.name().to_owned(),
            process: process.id(),
            log: process.log().display().to_string(),
            ops_url: None,
            ends_by_interrupt: process.name() == "postgres",
        }));
        let [socialink, vignette] = APPS;
        let tokens = [("alice", socialink), ("bob", vignette)].map(|(user, app)| Token {
            user: user.to_owned(),
            app: app.to_owned(),
            token: cluster.app_token(app, user),
        });
        Self {
            domain: cluster.domain().to_owned(),
            rest_url,
            socket_urls: cluster.socket_urls(),
            database_url: cluster.database_url().to_owned(),
            redis_url: cluster.redis_url().to_owned(),
            parts,
            tokens: tokens.into(),
        }
    }

    /// What was written down, if anything was.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is not what `./dev up` wrote", path.display()))
                .map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes it down. Only the owner can read it: passwords and tokens are in it.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};

        fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(&serde_json::to_vec_pretty(self)?))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Its processes that are still there.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.process.is_alive())
    }
}

impl Part {
    /// Asks it to end, waits, and kills it if it does not. Returns whether it had to be
    /// killed.
    pub(crate) async fn end(&self) -> anyhow::Result<bool> {
        let signal = if self.ends_by_interrupt { Signal::SIGINT } else { Signal::SIGTERM };
        self.process.send(signal).with_context(|| format!("cannot end {}", self.name))?;
        if self.gone().await.is_ok() {
            return Ok(false);
        }
        self.process.send(Signal::SIGKILL)?;
        self.gone().await?;
        Ok(true)
    }

    async fn gone(&self) -> Result<(), TimedOut> {
        wait::until(ENDS_WITHIN, &format!("{} to end", self.name), || async {
            if self.process.is_alive() { Err("it still runs") } else { Ok(()) }
        })
        .await
    }
}
