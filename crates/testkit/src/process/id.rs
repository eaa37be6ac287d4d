use std::fs;

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// A process of this machine. Not only its number, which comes back to other
/// processes, but also when it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pid: u32,
    /// Clock ticks from boot to its start; 0 where there is no `/proc`.
    started: u64,
}

impl ProcessId {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Self {
        Self { pid, started: stat(pid).map_or(0, |stat| stat.started) }
    }

    /// Its number.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        match stat(self.pid) {
            Some(stat) => stat.started == self.started && !stat.is_zombie,
            None => self.started == 0 && self.signal(None).is_ok(),
        }
    }

    /// Sends it a signal, if it still runs.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn send(self, signal: Signal) -> nix::Result<()> {
        if self.is_alive() { self.signal(Some(signal)) } else { Ok(()) }
    }

    fn signal(self, signal: Option<Signal>) -> nix::Result<()> {
        let pid = i32::try_from(self.pid).map_err(|_| nix::errno::Errno::ESRCH)?;
        signal::kill(Pid::from_raw(pid), signal)
    }
}

struct Stat {
    started: u64,
    is_zombie: bool,
}

/// `/proc/<pid>/stat`: after the name in brackets, the state is the first field and
/// the start time the twentieth (proc(5) counts them as 3 and 22).
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let is_zombie = fields.next()? == "Z";
    let started = fields.nth(18)?.parse().ok()?;
    Some(Stat { started, is_zombie })
}
