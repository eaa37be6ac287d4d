use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;

use crate::{
    environment,
    ports::Port,
    process::{Launch, Life, Process, ProcessId, tail},
    wait,
};

/// How long a process may take to be ready, on a machine that is busy with many.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long a process may take to drain.
const DRAINS_WITHIN: Duration = Duration::from_secs(45);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Accounts, devices, prekeys, tokens.
    Keys,
    /// Envelopes and the queues they wait in.
    Messages,
    /// Groups and their logs.
    Groups,
    /// The sockets of devices.
    Gateway,
}

impl fmt::Display for Role {
    /// As `sotto run` calls it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys => "keys",
            Self::Messages => "messages",
            Self::Groups => "groups",
            Self::Gateway => "gateway",
        })
    }
}

/// One process of a role, on ports that stay its own while it is away.
#[derive(Debug)]
pub struct RoleProcess {
    role: Role,
    index: usize,
    executable: PathBuf,
    config: PathBuf,
    log: PathBuf,
    life: Life,
    http: Port,
    grpc: Port,
    ops: Port,
    process: Mutex<Option<Process>>,
}

impl RoleProcess {
    /// Reserves the ports of a process. It is not started yet.
    pub(super) fn reserve(
        role: Role,
        index: usize,
        executable: &Path,
        config: &Path,
        logs: &Path,
        life: Life,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            role,
            index,
            executable: executable.to_owned(),
            config: config.to_owned(),
            log: logs.join(format!("{role}-{index}.log")),
            life,
            http: Port::reserve()?,
            grpc: Port::reserve()?,
            ops: Port::reserve()?,
            process: Mutex::new(None),
        })
    }

    /// What it does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Which of its role it is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its public port. The messages role listens on none.
    pub fn http(&self) -> &Port {
        &self.http
    }

    /// Where the other roles call it.
    pub fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc.address())
    }

    /// Where it tells of its health and its metrics.
    pub fn ops_url(&self) -> String {
        format!("http://{}", self.ops.address())
    }

    /// Its log, which goes on through restarts.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Which process it is, while it runs.
    pub fn id(&self) -> Option<ProcessId> {
        self.process().as_ref().map(Process::id)
    }

    /// Starts it; [`Self::ready`] waits until it serves.
    pub(super) fn launch(&self) -> anyhow::Result<()> {
        let process = Launch::new(&self.to_string(), &self.executable, &self.log)
            .args([
                OsString::from("run"),
                self.role.to_string().into(),
                "--config".into(),
                self.config.clone().into(),
            ])
            .without_env(environment::sotto_settings())
            .env("SOTTO_HTTP__LISTEN", self.http.address().to_string())
            .env("SOTTO_GRPC__LISTEN", self.grpc.address().to_string())
            .env("SOTTO_OPS__LISTEN", self.ops.address().to_string())
            .life(self.life)
            .spawn()?;
        *self.process() = Some(process);
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub(super) async fn ready(&self, http: &reqwest::Client) -> anyhow::Result<()> {
        let url = format!("{}/readyz", self.ops_url());
        wait::until(READY_WITHIN, &format!("{self} to be ready"), || async {
            if let Err(ended) = self.check_running() {
                return Ok(Err(ended));
            }
            let answer = http.get(&url).send().await.map_err(|error| error.to_string())?;
            if answer.status().is_success() {
                return Ok(Ok(()));
            }
            Err(answer.text().await.unwrap_or_default())
        })
        .await
        .with_context(|| format!("{self} said\n{}", tail(&self.log, 15)))?
    }

    pub(super) async fn kill9(&self) {
        let process = self.process().take();
        if let Some(process) = process {
            process.kill9().await;
        }
    }

    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        let process = self.process().take();
        if let Some(process) = process {
            let status = process.stop(Signal::SIGTERM, DRAINS_WITHIN).await?;
            if !status.success() {
                bail!("{self} ended with {status}\n{}", tail(&self.log, 15));
            }
        }
        Ok(())
    }

    pub(super) fn leave_running(&self) {
        if let Some(process) = self.process().take() {
            process.leave_running();
        }
    }

    fn check_running(&self) -> anyhow::Result<()> {
        self.process().as_ref().with_context(|| format!("{self} is not started"))?.check_running()
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for RoleProcess {
    /// `keys-0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.role, self.index)
    }
}
