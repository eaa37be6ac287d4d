//! `sotto-load`: what stands behind `./dev faults`, `./dev groups-1500` and `./dev bench`.

mod arguments;

use std::process::ExitCode;

use clap::Parser as _;
use sotto_load::{
    bench, drain, faults, groups, limits,
    outcome::{Outcome, UNREACHABLE},
    results,
    screen::Screen,
};

use crate::arguments::{Arguments, Command};

/// How a program ends that was interrupted (128 and the number of SIGINT).
const EXIT_INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::stdout();
    // Only fails where a provider is installed already.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();

    let result = tokio::select! {
        result = Box::pin(run(&arguments, &screen)) => result,
        // What was started ends with its handles, which are dropped here.
        _ = tokio::signal::ctrl_c() => {
            screen.line("interrupted; everything was stopped");
            return ExitCode::from(EXIT_INTERRUPTED);
        }
    };
    match result {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            screen.wrong(format_args!("{error:#}"));
            ExitCode::from(UNREACHABLE)
        }
    }
}

async fn run(arguments: &Arguments, screen: &Screen) -> anyhow::Result<Outcome> {
    limits::raise_open_files()?;
    let (written, outcome) = match &arguments.command {
        Command::Faults(asked) => {
            let report = faults::run(&asked.options(), screen).await?;
            report.show(screen);
            (results::write(&arguments.results, "faults", &report)?, report.outcome)
        }
        Command::Drain(asked) => {
            let report = drain::run(&asked.options(), screen).await?;
            report.show(screen);
            (results::write(&arguments.results, "drain", &report)?, report.outcome)
        }
        Command::Groups(asked) => {
            let report = Box::pin(groups::run(&asked.options(), screen)).await?;
            report.show(screen);
            (results::write(&arguments.results, "groups", &report)?, report.outcome)
        }
        Command::Bench(asked) => {
            let report = bench::run(&asked.options(), screen).await?;
            report.show(screen);
            (results::write(&arguments.results, "bench", &report)?, report.outcome)
        }
    };
    screen.line(format_args!("  written down in {}", written.display()));
    Ok(outcome)
}
