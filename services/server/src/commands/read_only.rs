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
    /// What those are told who are refused.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// After how long it ends by itself, such as `30m`.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
    #[command(flatten)]
    layers: Layers,
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
