//! Processor time and memory of processes, as the kernel counts them.

use std::{collections::BTreeMap, fs, time::Duration};

use sotto_testkit::Cluster;

/// Ticks of the processor times in `/proc` (`USER_HZ`): 100 on every Linux, whatever the
/// kernel's own clock.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time that each process has used, by name. A Postgres counts with all of its
/// backends, and `client` is this process.
#[derive(Debug, Clone, Default)]
pub struct Cpu(BTreeMap<String, Duration>);

impl Cpu {
    /// What has been used so far.
    pub fn now(cluster: &Cluster) -> Self {
        let mut used = BTreeMap::new();
        for role in cluster.roles() {
            if let Some(id) = role.id() {
                used.insert(role.to_string(), cpu_of_tree(id.pid()));
            }
        }
        for server in cluster.servers().processes() {
            used.insert(server.name().to_owned(), cpu_of_tree(server.id().pid()));
        }
        used.insert("client".to_owned(), cpu(std::process::id()).unwrap_or_default());
        Self(used)
    }

    /// What has been used since an earlier look, divided by a count, in microseconds.
    pub fn micros_each_since(&self, before: &Self, count: u64) -> BTreeMap<String, f64> {
        let count = count_as_f64(count.max(1));
        self.0
            .iter()
            .map(|(name, now)| {
                let used = now.saturating_sub(before.0.get(name).copied().unwrap_or_default());
                (name.clone(), used.as_secs_f64() * 1e6 / count)
            })
            .collect()
    }
}

/// Who used how much of the machine.
#[derive(Debug, Clone, Default)]
pub struct Share {
    ours: Duration,
    everybody: Duration,
    /// The time that all processors had.
    all: Duration,
}

impl Share {
    /// What has been used so far.
    pub fn now(cluster: &Cluster) -> Self {
        let (everybody, all) = machine();
        Self { ours: Cpu::now(cluster).0.values().sum(), everybody, all }
    }

    /// The share of the machine that neither the system nor this process has used since
    /// an earlier look, in percent. Processes must not have been restarted since.
    pub fn of_others_since(&self, before: &Self) -> f64 {
        let ours = self.ours.saturating_sub(before.ours);
        let others = self.everybody.saturating_sub(before.everybody).saturating_sub(ours);
        let all = self.all.saturating_sub(before.all).max(Duration::from_millis(1));
        100.0 * others.as_secs_f64() / all.as_secs_f64()
    }
}

/// The busy time of all processors, and all of their time: the first line of `/proc/stat`
/// (proc(5)). Time that the host took for other machines counts as busy.
fn machine() -> (Duration, Duration) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        // The last two are in the first two already.
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let time = |ticks: u64| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (time(all - idle), time(all))
}

/// Bytes of memory that a process really occupies (`VmRSS`); `None` once it is gone.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// A count for a division. Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a count of messages or bytes stays below 2^53")]
pub fn count_as_f64(count: u64) -> f64 {
    count as f64
}

/// A process and its children, those that have ended included.
fn cpu_of_tree(pid: u32) -> Duration {
    let children = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        (parent(child)? == pid).then(|| cpu(child)).flatten()
    });
    children.sum::<Duration>() + cpu(pid).unwrap_or_default()
}

/// User and system time, of the process and of its children that have ended: the fields
/// 14 to 17 of `/proc/<pid>/stat` (proc(5)).
fn cpu(pid: u32) -> Option<Duration> {
    let fields = stat(pid)?;
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// The fields of `/proc/<pid>/stat` from the third on: those before it are the number and
/// the name, which may have spaces in it.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time_and_memory() {
        let pid = std::process::id();
        let started = std::time::Instant::now();
        while cpu(pid).unwrap() == Duration::ZERO {
            assert!(started.elapsed() < Duration::from_secs(30), "no time is counted");
        }

        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(parent(pid).is_some());
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
