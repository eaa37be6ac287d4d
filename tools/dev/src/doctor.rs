//! `./dev doctor`: what is missing or wrong, and the command that mends it.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use console::style;
use nix::sys::resource::{Resource, getrlimit};
use sotto_testkit::{
    cluster, environment,
    ports::Port,
    process::RunAs,
    servers::{postgres, program, redis},
};

use crate::{commands, folder::Folder, running::Running, screen::Screen};

/// What a debug build and a demo of 5,000 messages need together, in KiB.
const DISK_KIB: u64 = 6 * 1024 * 1024;

/// Sockets, pools and database files of everything at once.
const OPEN_FILES: u64 = 4096;

/// The oldest Rust that builds Sotto, as in the workspace's Cargo.toml.
const RUST: (u32, u32) = (1, 94);

/// How a check came out.
#[derive(Debug)]
enum Outcome {
    Fine(String),
    /// Something works without it.
    Warning {
        found: String,
        mend: String,
    },
    Wrong {
        found: String,
        mend: String,
    },
}

/// Runs every check. `false` when something is wrong.
pub(crate) async fn run(folder: &Folder, screen: &Screen) -> anyhow::Result<bool> {
    let mut outcomes = vec![("cargo", cargo()), ("C compiler", needed("cc", "build-essential"))];
    outcomes.push(("protoc", needed("protoc", "protobuf-compiler")));
    outcomes.push(("pkg-config", needed("pkg-config", "pkg-config")));
    outcomes.push(("OpenSSL headers", openssl()));
    outcomes.push(("Node and npm", node()));
    outcomes.push(("PostgreSQL", postgres_server().await));
    outcomes.push(("Redis", redis_server().await));
    outcomes.push(("users", users()));
    outcomes.push(("executable", executable()));
    outcomes.push(("disk space", disk_space(folder.root())));
    outcomes.push(("open files", open_files()));
    outcomes.push(("loopback ports", ports()));
    outcomes.push(("leftovers", leftovers(folder)));
    outcomes.extend(running(folder).await?);

    let mut wrong = 0;
    for (name, outcome) in outcomes {
        match outcome {
            Outcome::Fine(found) => screen.fine(format_args!("{name:<16} {}", style(found).dim())),
            Outcome::Warning { found, mend } => {
                screen.warning(format_args!("{name:<16} {found}"));
                screen.line(format_args!("  {:<16} {}", "", style(mend).bold()));
            }
            Outcome::Wrong { found, mend } => {
                wrong += 1;
                screen.wrong(format_args!("{name:<16} {found}"));
                screen.line(format_args!("  {:<16} {}", "", style(mend).bold()));
            }
        }
    }
    screen.gap();
    match wrong {
        0 => screen.fine("nothing is wrong"),
        1 => screen.wrong("one thing is wrong"),
        more => screen.wrong(format_args!("{more} things are wrong")),
    }
    Ok(wrong == 0)
}

fn fine(found: impl Into<String>) -> Outcome {
    Outcome::Fine(found.into())
}

fn warning(found: impl Into<String>, mend: impl Into<String>) -> Outcome {
    Outcome::Warning { found: found.into(), mend: mend.into() }
}

fn wrong(found: impl Into<String>, mend: impl Into<String>) -> Outcome {
    Outcome::Wrong { found: found.into(), mend: mend.into() }
}

/// The command that installs a Debian package, or what to look for elsewhere.
fn install(package: &str) -> String {
    if program::find("apt-get").is_some() {
        let sudo = if nix::unistd::Uid::effective().is_root() { "" } else { "sudo " };
        format!("{sudo}apt-get install -y {package}")
    } else {
        format!("install what Debian calls `{package}`")
    }
}

/// The first line of what a program says, if it runs and ends well.
fn says(program: &str, args: &[&str]) -> Option<String> {
    let path = program::find(program)?;
    let output = Command::new(path).args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

fn cargo() -> Outcome {
    let Some(said) = says("cargo", &["--version"]) else {
        return wrong("not found", "https://rustup.rs installs a Rust toolchain");
    };
    let version = said.split(' ').nth(1).unwrap_or_default();
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) >= RUST => fine(version),
        _ => {
            wrong(format!("{version} is older than {}.{}", RUST.0, RUST.1), "rustup update stable")
        }
    }
}

fn needed(program: &str, package: &str) -> Outcome {
    match says(program, &["--version"]) {
        Some(version) => fine(version),
        None => wrong("not found; the build needs it", install(package)),
    }
}

fn openssl() -> Outcome {
    match says("pkg-config", &["--modversion", "openssl"]) {
        Some(version) => fine(version),
        None => wrong("not found; the client's encrypted store needs them", install("libssl-dev")),
    }
}

fn node() -> Outcome {
    match (says("node", &["--version"]), says("npm", &["--version"])) {
        (Some(node), Some(npm)) => fine(format!("node {node}, npm {npm}")),
        _ => warning("not found; only `./dev test` needs them", install("nodejs npm")),
    }
}

async fn postgres_server() -> Outcome {
    if let Some(url) = environment::database_url() {
        return match postgres::is_durable(&url).await {
            Ok(true) => fine("DATABASE_URL answers"),
            Ok(false) => warning(
                "DATABASE_URL answers, but may lose what it has confirmed (fsync is off)",
                "unset DATABASE_URL, or turn fsync on",
            ),
            Err(error) => wrong(format!("{error:#}"), "unset DATABASE_URL, or correct it"),
        };
    }
    match postgres::programs() {
        Ok(programs) => {
            let version = Command::new(&programs.postgres).arg("--version").output();
            fine(version.map_or_else(
                |_| programs.postgres.display().to_string(),
                |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            ))
        }
        Err(_) => wrong("initdb and postgres are not installed", install("postgresql")),
    }
}

async fn redis_server() -> Outcome {
    if let Some(url) = environment::redis_url() {
        return match redis::ping(&url).await {
            Ok(()) => fine("REDIS_URL answers"),
            Err(error) => wrong(format!("REDIS_URL: {error}"), "unset REDIS_URL, or correct it"),
        };
    }
    match says("redis-server", &["--version"]) {
        Some(version) => fine(version),
        None => wrong("redis-server is not installed", install("redis-server")),
    }
}

/// Postgres refuses root, so root needs another user and the way to become it.
fn users() -> Outcome {
    match RunAs::nobody_if_root() {
        Ok(None) if program::find("setpriv").is_some() => fine("everything runs as you"),
        Ok(Some(_)) if program::find("setpriv").is_some() => {
            fine("you are root; Postgres runs as nobody")
        }
        Ok(None) => {
            warning("no setpriv: what a killed run has started stays", install("util-linux"))
        }
        Ok(Some(_)) => wrong("no setpriv, and Postgres refuses root", install("util-linux")),
        Err(error) => wrong(error.to_string(), "run as another user than root"),
    }
}

fn executable() -> Outcome {
    match cluster::executable() {
        Ok(path) => fine(path.display().to_string()),
        Err(error) => wrong(error.to_string(), "cargo build --bin sotto"),
    }
}

fn disk_space(folder: &Path) -> Outcome {
    let free = Command::new("df").arg("-Pk").arg(folder).output().ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()
    });
    match free {
        Some(free) if free >= DISK_KIB => fine(format!("{} GiB are free", free / 1024 / 1024)),
        Some(free) => warning(
            format!("{} MiB are free; a build and a demo take about 6 GiB", free / 1024),
            "cargo clean, or point CARGO_TARGET_DIR and `--dir` somewhere else",
        ),
        None => warning("`df` does not say how much is free", "df -h ."),
    }
}

fn open_files() -> Outcome {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) if soft >= OPEN_FILES => fine(format!("{soft} at a time")),
        Ok((soft, hard)) if hard >= OPEN_FILES => warning(
            format!("{soft} at a time; many sockets need more"),
            format!("ulimit -n {OPEN_FILES}"),
        ),
        Ok((soft, hard)) => warning(
            format!("{soft} at a time, and no more than {hard} allowed; many sockets need more"),
            "raise `nofile` in /etc/security/limits.conf",
        ),
        Err(error) => warning(error.to_string(), "ulimit -n"),
    }
}

fn ports() -> Outcome {
    match Port::reserve() {
        Ok(_) => fine("free ones below the range of outgoing connections"),
        Err(error) => wrong(format!("{error:#}"), "ss -ltn shows who listens"),
    }
}

/// A demo that was killed leaves its folder, and no process.
fn leftovers(folder: &Folder) -> Outcome {
    let demo = folder.demo();
    if !demo.exists() {
        return fine("none");
    }
    match folder.lock("demo") {
        Err(_) => fine("a demo is running"),
        Ok(_) => warning(
            format!("{} is of a demo that has ended", demo.display()),
            format!("rm -r {}   (the next demo does it too)", demo.display()),
        ),
    }
}

/// What `./dev up` wrote down must agree with what is there.
async fn running(folder: &Folder) -> anyhow::Result<Vec<(&'static str, Outcome)>> {
    let running = match Running::load(&folder.running()) {
        Ok(Some(running)) => running,
        Ok(None) => return Ok(vec![("./dev up", fine("nothing runs"))]),
        Err(error) => {
            let mend = format!("rm {}", folder.running().display());
            return Ok(vec![("./dev up", wrong(format!("{error:#}"), mend))]);
        }
    };
    if running.alive().count() == 0 {
        let found = "what it started has ended without `./dev down`";
        return Ok(vec![("./dev up", warning(found, "./dev down"))]);
    }
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    let mut outcomes = Vec::new();
    for part in &running.parts {
        let (is_well, state) = commands::state(part, &http).await;
        let found = format!("{} {state}", part.name);
        outcomes.push((
            "./dev up",
            if is_well { fine(found) } else { wrong(found, "./dev down && ./dev up") },
        ));
    }
    Ok(outcomes)
}
