//! `cargo xtask fuzz`: feeds each decoder with what libFuzzer makes up.
//!
//! Our own crates are instrumented, through `fuzz/instrument.sh`; what is below them is
//! shared with other builds. No address sanitizer: the workspace has no unsafe code, so
//! what can be found are panics, endless loops, too much memory, and broken promises.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::workspace;

/// What a target may use before it counts as failed, in MiB and in seconds.
const MEMORY_MB: u32 = 2048;
const ONE_INPUT_S: u32 = 10;
/// The longest input: the largest frame, and something over it.
const MAX_INPUT: u32 = 600 * 1024;

/// Builds the targets and runs each for a time, two at once. `only` is a part of the names
/// of those that are wanted.
pub(crate) fn run(root: &Path, time: Duration, only: Option<&str>) -> anyhow::Result<()> {
    let targets = targets(root, only)?;
    build(root)?;
    let programs = target_folder(root)?.join("debug");
    let seeds = root.join("fuzz/seeds");
    let found = target_folder(root)?.join("fuzz");
    let mut failed = Vec::new();
    for pair in targets.chunks(2) {
        let mut running = Vec::new();
        for target in pair {
            let corpus = found.join("corpus").join(target);
            let artifacts = found.join("artifacts").join(target);
            fs::create_dir_all(&corpus)?;
            fs::create_dir_all(&artifacts)?;
            let log = found.join(format!("{target}.log"));
            println!("== {target} for {}s", time.as_secs());
            let mut fuzzer = Command::new(programs.join(target));
            fuzzer
                .arg(&corpus)
                .args([seeds.join(target)].iter().filter(|folder| folder.is_dir()))
                .arg(format!("-max_total_time={}", time.as_secs()))
                .arg(format!("-rss_limit_mb={MEMORY_MB}"))
                .arg(format!("-timeout={ONE_INPUT_S}"))
                .arg(format!("-max_len={MAX_INPUT}"))
                .arg(format!("-artifact_prefix={}/", artifacts.display()))
                .args(["-print_final_stats=1", "-close_fd_mask=1"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(&log)?);
            let child = fuzzer.spawn().with_context(|| format!("cannot run {target}"))?;
            running.push((target, log, child));
        }
        for (target, log, mut child) in running {
            let status = child.wait()?;
            let said = fs::read_to_string(&log).unwrap_or_default();
            println!("   {target}: {}", summary(&said));
            if !status.success() {
                let tail: Vec<&str> = said.lines().rev().take(30).collect();
                for line in tail.into_iter().rev() {
                    println!("   | {line}");
                }
                failed.push(target.clone());
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "these targets failed: {}; the inputs are under {}",
            failed.join(", "),
            found.join("artifacts").display()
        );
    }
    println!("{} targets, nothing found", targets.len());
    Ok(())
}

/// The names of the programs, after the files that they are made of.
fn targets(root: &Path, only: Option<&str>) -> anyhow::Result<Vec<String>> {
    let files = workspace::files(&root.join("fuzz/targets"), "rs")?;
    let names = files.iter().filter_map(|file| file.file_stem()?.to_str());
    let mut targets: Vec<String> =
        names.map(|name| format!("fuzz-{}", name.replace('_', "-"))).collect();
    if let Some(part) = only {
        targets.retain(|target| target.contains(&part.replace('_', "-")));
    }
    if targets.is_empty() {
        bail!("no target has such a name");
    }
    Ok(targets)
}

fn build(root: &Path) -> anyhow::Result<()> {
    let wrapper = root.join("fuzz/instrument.sh");
    workspace::run(
        workspace::cargo(root)
            .args(["build", "--package", "sotto-fuzz", "--features", "libfuzzer", "--bins"])
            .env("RUSTC_WORKSPACE_WRAPPER", wrapper),
    )
}

fn target_folder(root: &Path) -> anyhow::Result<PathBuf> {
    if let Some(folder) = env::var_os("CARGO_TARGET_DIR") {
        return Ok(root.join(folder));
    }
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// How many inputs were tried, as libFuzzer says at its end.
fn summary(said: &str) -> String {
    let stat =
        |name: &str| said.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
    match (stat("stat::number_of_executed_units:"), stat("stat::peak_rss_mb:")) {
        (Some(runs), Some(memory)) => format!("{runs} inputs, {memory} MiB at most"),
        _ => "it ended before its time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_ended_early_is_told_from_one_that_did_not() {
        let whole = "INFO: x\nstat::number_of_executed_units: 42\nstat::peak_rss_mb: 77\n";
        assert_eq!(summary(whole), "42 inputs, 77 MiB at most");
        assert_eq!(summary("panicked at"), "it ended before its time");
    }
}
