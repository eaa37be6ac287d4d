//! Child processes that end with their handle.
//!
//! A handle that is dropped kills its child. A handle that never gets to be dropped,
//! since its whole process was killed, leaves that to the kernel: the child runs
//! under `setpriv --pdeathsig KILL`. The kernel sends that signal when the *thread*
//! that started the child ends, so each child has a thread that does nothing but
//! stay.

mod id;
mod launch;

use std::{
    convert::Infallible,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use anyhow::{Context as _, bail};
pub use nix::sys::signal::Signal;
use nix::{sys::signal, unistd::Pid};

pub use self::{
    id::ProcessId,
    launch::{Launch, Life, RunAs},
};
use crate::wait;

/// How long a process may take to be gone after SIGKILL.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// A running child.
pub struct Process {
    name: String,
    log: PathBuf,
    ends_with_handle: bool,
    child: Mutex<Child>,
    // Ends the thread that started the child, after `drop` has ended the child.
    _leash: mpsc::Sender<Infallible>,
}

impl Process {
    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that its output goes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process id, with what tells it from a later process of the same number.
    pub fn id(&self) -> ProcessId {
        ProcessId::of(self.child().id())
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// An error with the end of its log where the process has ended by itself.
    ///
    /// # Errors
    ///
    /// Says how it ended.
    pub fn check_running(&self) -> anyhow::Result<()> {
        if let Some(status) = self.exited() {
            bail!("{} ended by itself ({status})\n{}", self.name, tail(&self.log, 15));
        }
        Ok(())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    ///
    /// When it has not ended in time.
    pub async fn ended(&self, within: Duration) -> anyhow::Result<ExitStatus> {
        Ok(self.gone(within).await?)
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub async fn kill9(&self) {
        self.child().kill().ok();
        self.gone(KILLED_WITHIN).await.ok();
    }

    /// Sends a signal, and waits until it has ended by itself.
    ///
    /// # Errors
    ///
    /// When it has not ended in time; it is killed then.
    pub async fn stop(&self, signal: Signal, within: Duration) -> anyhow::Result<ExitStatus> {
        self.send(signal)?;
        if let Ok(status) = self.gone(within).await {
            return Ok(status);
        }
        self.kill9().await;
        bail!(
            "{} did not end within {within:?} of {signal}, and was killed\n{}",
            self.name,
            tail(&self.log, 15)
        );
    }

    /// Sends a signal, unless the process has ended.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn send(&self, signal: Signal) -> anyhow::Result<()> {
        let mut child = self.child();
        // While the lock is held and the child is not reaped, its number is its own.
        if child.try_wait()?.is_none() {
            let pid = Pid::from_raw(i32::try_from(child.id())?);
            signal::kill(pid, signal).with_context(|| format!("{signal} to {}", self.name))?;
        }
        Ok(())
    }

    /// Lets a [`Life::Detached`] child live on without its handle.
    pub fn leave_running(mut self) {
        self.ends_with_handle = false;
    }

    async fn gone(&self, within: Duration) -> Result<ExitStatus, wait::TimedOut> {
        let what = format!("{} to end", self.name);
        wait::until(within, &what, || async { self.exited().ok_or("it still runs") }).await
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ends_with_handle {
            let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The last lines of a log, each indented; says so where there are none.
pub fn tail(log: &Path, lines: usize) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    if all.is_empty() {
        return format!("  ({} is empty)", log.display());
    }
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    let indented: Vec<String> = last.iter().map(|line| format!("  {line}")).collect();
    format!("  {}:\n{}", log.display(), indented.join("\n"))
}

#[cfg(test)]
mod tests;
