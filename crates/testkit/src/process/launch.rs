use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
};

use anyhow::{Context as _, bail};
use nix::unistd::User;

use super::Process;
use crate::servers::program;

/// How long a child lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// As long as its handle, and never longer than the process that holds it.
    Leashed,
    /// As long as its handle, or, after [`Process::leave_running`], until somebody ends
    /// it: it has a session of its own, and does not notice when the terminal closes.
    Detached,
}

/// A user to run a child as. Only root can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAs {
    /// Its user id.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
}

impl RunAs {
    /// `nobody`, where this process is root; otherwise `None`, for whoever it is.
    ///
    /// For servers that refuse root.
    ///
    /// # Errors
    ///
    /// When there is no user `nobody`.
    pub fn nobody_if_root() -> anyhow::Result<Option<Self>> {
        if !nix::unistd::Uid::effective().is_root() {
            return Ok(None);
        }
        let nobody = User::from_name("nobody")?.context("this system has no user `nobody`")?;
        Ok(Some(Self { uid: nobody.uid.as_raw(), gid: nobody.gid.as_raw() }))
    }
}

/// A child that is about to be started.
#[derive(Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    without_env: Vec<OsString>,
    log: PathBuf,
    life: Life,
    run_as: Option<RunAs>,
}

impl Launch {
    /// A child of this name, whose output is added to the file `log`.
    pub fn new(name: &str, program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            without_env: Vec::new(),
            log: log.into(),
            life: Life::Leashed,
            run_as: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Keeps variables of ours from it.
    #[must_use]
    pub fn without_env(mut self, names: Vec<OsString>) -> Self {
        self.without_env = names;
        self
    }

    /// Sets how long it lives.
    #[must_use]
    pub fn life(mut self, life: Life) -> Self {
        self.life = life;
        self
    }

    /// Sets whom it runs as.
    #[must_use]
    pub fn run_as(mut self, run_as: Option<RunAs>) -> Self {
        self.run_as = run_as;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// When the program or the log cannot be opened, or another user is wanted and
    /// there is no `setpriv`.
    pub fn spawn(self) -> anyhow::Result<Process> {
        let mut command = self.command()?;
        if let Some(folder) = self.log.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);

        let (child, leash) = spawn_from_a_thread_that_stays(command)
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok(Process {
            name: self.name,
            log: self.log,
            ends_with_handle: true,
            child: Mutex::new(child),
            _leash: leash,
        })
    }

    /// The program behind those that prepare its life: `setsid`, `setpriv`.
    fn command(&self) -> anyhow::Result<Command> {
        let mut words: Vec<OsString> = Vec::new();
        let setsid = program::find("setsid").filter(|_| self.life == Life::Detached);
        if let Some(setsid) = &setsid {
            words.push(setsid.into());
        }
        if self.life == Life::Leashed || self.run_as.is_some() {
            match program::find("setpriv") {
                Some(setpriv) => {
                    words.push(setpriv.into());
                    words.extend(self.setpriv_args());
                }
                None if self.run_as.is_some() => {
                    bail!("{} refuses root, and there is no setpriv (util-linux)", self.name);
                }
                None => {}
            }
        }
        words.push(self.program.clone().into());

        let mut words = words.into_iter();
        let first = words.next().context("the program itself is one of the words")?;
        let mut command = Command::new(first);
        command.args(words).args(&self.args).current_dir("/");
        for name in &self.without_env {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if setsid.is_none() {
            // A Ctrl-C in the terminal is for us, who then end the children in order.
            command.process_group(0);
        }
        Ok(command)
    }

    fn setpriv_args(&self) -> Vec<OsString> {
        let mut args = Vec::new();
        if let Some(RunAs { uid, gid }) = self.run_as {
            args.push(format!("--reuid={uid}").into());
            args.push(format!("--regid={gid}").into());
            args.push("--clear-groups".into());
        }
        if self.life == Life::Leashed {
            args.push("--pdeathsig=KILL".into());
        }
        args.push("--".into());
        args
    }
}

/// Starts a child from a thread that ends only once the sender is dropped.
fn spawn_from_a_thread_that_stays(
    mut command: Command,
) -> anyhow::Result<(Child, mpsc::Sender<std::convert::Infallible>)> {
    let (leash, held) = mpsc::channel();
    let (started, child) = mpsc::channel();
    thread::Builder::new().name("leash".to_owned()).spawn(move || {
        started.send(command.spawn()).ok();
        // Nothing is ever sent: this waits for the other end to be dropped.
        held.recv().ok();
    })?;
    Ok((child.recv()??, leash))
}
