//! `cargo xtask test`: every test there is, against real servers.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use sotto_testkit::{
    process::Life,
    servers::{Durability, Servers, Wanted},
};
use tempfile::TempDir;

use crate::{api, workspace};

/// The package of the whole-system tests, which take a machine each for themselves.
const WHOLE_SYSTEM: &str = "sotto-e2e";

/// Starts the servers, builds the programs, and runs all tests. `arguments` go to the
/// test runner.
pub(crate) async fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let scratch = TempDir::new()?;
    let servers = Servers::start(&Wanted {
        dir: scratch.path().join("servers"),
        logs: scratch.path().join("logs"),
        durability: Durability::Fast,
        life: Life::Leashed,
        fresh_database: true,
    })
    .await?;

    let result = with(&servers, root, arguments);

    servers.stop().await?;
    result
}

fn with(servers: &Servers, root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    workspace::run(workspace::cargo(root).args([
        "build",
        "--workspace",
        "--bins",
        "--exclude=xtask",
    ]))?;
    // Without Node the test that needs them says what is missing.
    workspace::install_node_packages(&root.join("e2e/node"))?;
    // Likewise without Python, or without what it fetches.
    if let Err(error) = api::install_fuzzer(root) {
        eprintln!("error: Schemathesis is not installed: {error:#}");
    }

    // The tests of the whole system find the executable beside themselves.
    let cargo = || {
        let mut cargo = workspace::cargo(root);
        cargo.env("DATABASE_URL", servers.database_url()).env("REDIS_URL", servers.redis_url());
        cargo
    };
    if workspace::is_there(cargo().args(["nextest", "--version"])) {
        return workspace::run(cargo().args(["nextest", "run", "--workspace"]).args(arguments));
    }
    eprintln!(
        "cargo-nextest is not installed (`cargo install cargo-nextest --locked`): using cargo test"
    );
    let mut counts = Counts::default();
    let rest = ["test", "--workspace", "--no-fail-fast", "--exclude", WHOLE_SYSTEM];
    counts.add(cargo().args(rest).args(arguments))?;
    let whole_system = ["test", "--package", WHOLE_SYSTEM, "--no-fail-fast"];
    let one_by_one = if arguments.contains(&"--".to_owned()) {
        ["--test-threads=1"].as_slice()
    } else {
        &["--", "--test-threads=1"]
    };
    counts.add(cargo().args(whole_system).args(arguments).args(one_by_one))?;
    counts.report()
}

/// The sum of what several runs of `cargo test` say.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
    broken: bool,
}

impl Counts {
    /// Runs `cargo test`, shows its output, and counts.
    fn add(&mut self, cargo: &mut Command) -> anyhow::Result<()> {
        let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("the output was piped")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            self.count(&line);
        }
        self.broken |= !child.wait()?.success();
        Ok(())
    }

    /// Reads `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                _ => {}
            }
        }
    }

    fn report(&self) -> anyhow::Result<()> {
        let Self { passed, failed, ignored, broken } = self;
        if *broken {
            bail!("test result: FAILED. {passed} passed; {failed} failed; {ignored} ignored");
        }
        println!("test result: ok. {passed} passed; {failed} failed; {ignored} ignored");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_runs_add_up() {
        let mut counts = Counts::default();

        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.52s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.05s",
        ] {
            counts.count(line);
        }

        assert_eq!((counts.passed, counts.failed, counts.ignored), (7, 2, 1));
    }
}
