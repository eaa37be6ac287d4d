//! `sotto-dev`: what stands behind `./dev`. It starts a whole Sotto on this machine,
//! to look at, to try, or to stay.

mod commands;
mod demo;
mod doctor;
mod folder;
mod front;
mod running;
mod screen;
mod steps;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{folder::Folder, screen::Screen};

/// How a program ends that was interrupted (128 and the number of SIGINT).
const EXIT_INTERRUPTED: u8 = 130;

#[derive(Debug, Parser)]
#[command(name = "./dev", about = "A whole Sotto on this machine")]
struct Arguments {
    /// Where everything that runs keeps its data.
    #[arg(long, value_name = "FOLDER", default_value = ".dev", global = true)]
    dir: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays conversations of two people and of five on two apps, and shows what each of
    /// them and the server saw.
    Demo(demo::Arguments),
    /// Starts every role, and leaves them running.
    Up,
    /// Ends what `up` started; its data stays.
    Down,
    /// Shows what runs.
    Status,
    /// Says what is missing or wrong, and the command that mends it.
    Doctor,
    /// Sends requests to the roles that serve them. What `up` leaves running.
    #[command(hide = true)]
    Front(front::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::new();
    // Only fails where a provider is installed already.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();

    let result = tokio::select! {
        result = run(arguments, &screen) => result,
        // What was started ends with its handles, which are dropped here.
        _ = tokio::signal::ctrl_c() => {
            screen.line("interrupted; everything was stopped");
            return ExitCode::from(EXIT_INTERRUPTED);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            screen.error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; `false` means that it has said itself what was not right.
async fn run(arguments: Arguments, screen: &Screen) -> anyhow::Result<bool> {
    let folder = Folder::new(&arguments.dir)?;
    match arguments.command {
        Command::Demo(demo) => demo::run(&demo, &folder, screen).await,
        Command::Up => commands::up(&folder, screen).await.map(|()| true),
        Command::Down => commands::down(&folder, screen).await.map(|()| true),
        Command::Status => commands::status(&folder, screen).await,
        Command::Front(front) => front::serve(front).await.map(|()| true),
        Command::Doctor => doctor::run(&folder, screen).await,
    }
}
