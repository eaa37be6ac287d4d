//! A chat client on the terminal: the SDK, one command at a time.
//!
//! A profile is a folder with the store of one device. Each command opens it, does
//! one thing and closes it; one process at a time may use a profile. What is
//! written while the server is away stays in the outbox and goes out with the next
//! command that connects.
//!
//! With `--json`, each line on standard output is one JSON object, and an error is
//! one on standard error. The exit code says what kind of failure it was: see
//! [`failure::Failure::exit_code`].

mod arguments;
mod commands;
mod failure;
mod group;
mod output;
mod printed;
mod profile;
mod talk;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{arguments::Arguments, output::Output};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(arguments.json);
    match Box::pin(commands::run(arguments, &mut output)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failed(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
