use std::time::Duration;

use anyhow::Context as _;
use sotto_keys::NewInvites;
use sotto_kit::clock::{Clock as _, SystemClock};

use crate::{Layers, config};

/// Makes invites, for a deployment with `keys.registration.mode = "invite"`.
#[derive(Debug, clap::Args)]
pub(crate) struct Invite {
    /// How many. At most 10000 at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    count: u16,
    /// How many accounts may be opened with each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    uses: u32,
    /// How long each counts; at most 10 years.
    #[arg(long, default_value = "30d", value_parser = lifetime)]
    valid_for: Duration,
    #[command(flatten)]
    layers: Layers,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_hours(10 * 365 * 24);
    let lifetime = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if lifetime.is_zero() || lifetime > longest {
        return Err("must be longer than nothing and at most 10 years".to_owned());
    }
    Ok(lifetime)
}

/// Writes them to standard output, one a line. They are stored as hashes, so nobody can
/// show them again.
#[expect(clippy::print_stdout, reason = "what the command is for")]
pub(crate) fn invite(arguments: &Invite) -> anyhow::Result<()> {
    sotto_kit::install_crypto_provider();
    let config = config::load(&arguments.layers.files)?;
    let wanted =
        NewInvites { count: arguments.count, uses: arguments.uses, valid_for: arguments.valid_for };
    let make = async {
        let db = sotto_store::postgres::connect(&config.postgres, "sotto_keys").await?;
        let invites = sotto_keys::make_invites(wanted, SystemClock.now_ms(), &db).await;
        db.close().await;
        invites.context("store the invites")
    };
    let invites = tokio::runtime::Runtime::new().context("start the runtime")?.block_on(make)?;
    for invite in invites {
        println!("{invite}");
    }
    Ok(())
}
