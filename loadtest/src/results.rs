//! Where a run writes down what it has found.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use serde::Serialize;

use crate::machine::Machine;

/// What every run writes down, whatever it was about.
#[derive(Serialize)]
struct Written<'a, T> {
    command: &'a str,
    machine: &'a Machine,
    #[serde(flatten)]
    report: &'a T,
}

/// Writes `summary.json` into a new folder `<command>-<time>` of `results`, and says where
/// it is.
///
/// # Errors
///
/// Those of the file system.
pub fn write(results: &Path, command: &str, report: &impl Serialize) -> anyhow::Result<PathBuf> {
    let folder = results.join(format!("{command}-{}", time_for_a_name()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("summary.json");
    let written = Written { command, machine: &Machine::here(), report };
    fs::write(&path, serde_json::to_vec_pretty(&written)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The time in UTC without what a file's name may not have: `2026-11-20T160000Z`.
#[expect(clippy::disallowed_methods, reason = "names a folder, and nothing depends on it")]
fn time_for_a_name() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "")
}
