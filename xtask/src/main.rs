//! `cargo xtask`: what there is to check, generate and run in this workspace.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for people, who read what it prints"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "cargo and continuous integration speak to it by environment variables"
)]

mod api;
mod check;
mod deps;
mod docs;
mod fuzz;
mod sqlx_files;
mod test;
mod workspace;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks, generates and runs what is in this workspace")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Holds the documents of the API against the specifications they are written in
    Api {
        /// Hold a running server against them too
        #[arg(long)]
        fuzz: bool,
    },
    /// Everything that must hold before a change is taken: formatting, lints,
    /// dependencies, generated files, documents
    Check,
    /// Fails on a dependency that the shape of the workspace forbids
    Deps,
    /// Fails where the documents and the sources contradict each other
    Docs {
        /// Write those that are generated
        #[arg(long)]
        write: bool,
    },
    /// Feeds every decoder with what a fuzzer makes up
    Fuzz {
        /// How long for each target
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// Only those with this in their names
        target: Option<String>,
    },
    /// Writes what the database says of each query into `.sqlx`
    Sqlx {
        /// Only compare, and fail on a difference
        #[arg(long)]
        check: bool,
    },
    /// Every test, against a Postgres and a Redis started for the run, or those of
    /// `DATABASE_URL` and `REDIS_URL`
    Test {
        /// Passed on to the test runner, such as the name of a test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let root = workspace::root()?;
    match arguments.command {
        Command::Api { fuzz: false } => api::lint(&root),
        Command::Api { fuzz: true } => api::lint(&root).and_then(|()| api::fuzz(&root)),
        Command::Check => check::run(&root).await,
        Command::Deps => deps::run(&root),
        Command::Docs { write: true } => docs::write(&root),
        Command::Docs { write: false } => docs::check(&root),
        Command::Fuzz { seconds, target } => {
            fuzz::run(&root, Duration::from_secs(seconds), target.as_deref())
        }
        Command::Sqlx { check: true } => sqlx_files::check(&root).await,
        Command::Sqlx { check: false } => sqlx_files::write(&root).await,
        Command::Test { arguments } => test::run(&root, &arguments).await,
    }
}
