//! `sotto`: the one executable. Each role is a process of its own in a cluster
//! (`sotto run gateway`), or all of them are one process (`sotto run all`), with the
//! same code and gRPC between the roles either way.

mod assembly;
mod commands;
mod config;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code where the configuration is at fault (`EX_USAGE` of sysexits.h).
const EXIT_CONFIG: u8 = 64;

#[derive(Debug, Parser)]
#[command(name = "sotto", version, about = "A messaging backend that cannot read messages")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one role, or all of them in one process.
    Run {
        /// Which role.
        role: assembly::RoleName,
        #[command(flatten)]
        layers: Layers,
    },
    /// Brings the database up to date, and ends.
    Migrate {
        #[command(flatten)]
        layers: Layers,
    },
    /// Looks at the configuration without running anything.
    Config {
        #[command(subcommand)]
        what: commands::ConfigCommand,
    },
    /// Switches a deployment to read-only for maintenance, and back.
    ReadOnly {
        #[command(subcommand)]
        what: commands::ReadOnlyCommand,
    },
    /// Makes a key pair for an app's backend: the private half as a PEM file, the public
    /// half as a line for the configuration.
    AppKey(commands::AppKey),
    /// Signs a token for one of an app's users, as the app's backend would. For
    /// development and tests.
    AppToken(commands::AppToken),
    /// Makes invites, one a line, for a deployment that takes nobody without one.
    Invite(commands::Invite),
    /// Prints the description of the REST API, as OpenAPI.
    Openapi,
}

/// Where the configuration comes from.
#[derive(Debug, clap::Args)]
struct Layers {
    /// A TOML file that goes over the defaults. Several go over one another.
    #[arg(long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of the process")]
            {
                eprintln!("sotto: {error:#}");
            }
            match error.downcast_ref::<sotto_kit::config::ConfigError>() {
                Some(_) => ExitCode::from(EXIT_CONFIG),
                None => ExitCode::FAILURE,
            }
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { role, layers } => assembly::run(role, &config::load(&layers.files)?),
        Command::Migrate { layers } => commands::migrate(&config::load(&layers.files)?),
        Command::Config { what } => commands::config(what),
        Command::ReadOnly { what } => commands::read_only(what),
        Command::AppKey(arguments) => commands::app_key(&arguments),
        Command::AppToken(arguments) => commands::app_token(&arguments),
        Command::Invite(arguments) => commands::invite(&arguments),
        Command::Openapi => commands::openapi(),
    }
}
