use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sotto_kit::{
    clock::{Clock as _, SystemClock},
    read_only::Maintenance,
};
use sotto_store::{read_only::Switch, redis};

use crate::{Layers, config::load};

/// What to do with the switch.
#[derive(Debug, Subcommand)]
pub(crate) enum ReadOnlyCommand {
    /// Refuses all writes, with a time to come back. Every process follows within a
    /// second.
    On(On),
    /// Takes writes again.
    Off {
        #[command(flatten)]
        layers: Layers,
    },
    /// Says how it stands.
    Status {
        #[command(flatten)]
        layers: Layers,
    },
}

/// For what, and for how long.
#[derive(Debug, Args)]
pub(crate) struct On {
    /// What those are told who are refused, in at most 200 characters.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    /// After how long it ends by itself, such as `30m`: between 1s and 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = lasts)]
    lasts: Option<Duration>,
    #[command(flatten)]
    layers: Layers,
}

fn reason(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=200 if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err("a reason has 1 to 200 characters, in one line".to_owned()),
    }
}

fn lasts(text: &str) -> Result<Duration, String> {
    let lasts = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let longest = Duration::from_secs(7 * 86_400);
    if (Duration::from_secs(1)..=longest).contains(&lasts) {
        Ok(lasts)
    } else {
        Err("between 1s and 7d".to_owned())
    }
}

/// Moves the switch, or looks at it.
pub(crate) fn read_only(what: ReadOnlyCommand) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new().context("start the runtime")?.block_on(run(what))
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
async fn run(what: ReadOnlyCommand) -> anyhow::Result<()> {
    let layers = match &what {
        ReadOnlyCommand::On(On { layers, .. })
        | ReadOnlyCommand::Off { layers }
        | ReadOnlyCommand::Status { layers } => layers,
    };
    let config = load(&layers.files)?;
    let switch = Switch::new(redis::connect(&config.redis).await.context("connect to redis")?);
    match what {
        ReadOnlyCommand::On(On { reason, lasts, .. }) => {
            switch.on(reason, lasts, SystemClock.now_ms()).await?;
        }
        ReadOnlyCommand::Off { .. } => {
            switch.off().await?;
        }
        ReadOnlyCommand::Status { .. } => {}
    }
    println!("{}", describe(switch.look().await?.as_ref()));
    Ok(())
}

fn describe(maintenance: Option<&Maintenance>) -> String {
    let Some(Maintenance { reason, until_ms }) = maintenance else {
        return "off: writes are taken".to_owned();
    };
    let left = until_ms.map(|until_ms| {
        let left = until_ms.saturating_sub(SystemClock.now_ms()) / 1000;
        format!(", for {} more", humantime::format_duration(Duration::from_secs(left)))
    });
    let reason = reason.as_ref().map(|reason| format!(" ({reason})"));
    let rest: String = left.into_iter().chain(reason).collect();
    format!("on: writes are refused{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_and_a_time_have_bounds() {
        assert!(reason("an upgrade of the database").is_ok());
        for wrong in [String::new(), "x".repeat(201), "two\nlines".to_owned()] {
            assert!(reason(&wrong).is_err());
        }
        assert_eq!(lasts("30m"), Ok(Duration::from_secs(1800)));
        for wrong in ["0s", "8d", "soon"] {
            assert!(lasts(wrong).is_err(), "{wrong}");
        }
    }
}
