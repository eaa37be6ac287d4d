use clap::Subcommand;

use crate::{Layers, config::load};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Says what is wrong with it, or that nothing is.
    Check {
        #[command(flatten)]
        layers: Layers,
    },
    /// Shows it as it is after all layers, without its secrets.
    Print {
        #[command(flatten)]
        layers: Layers,
    },
}

/// Looks at the configuration.
#[expect(clippy::print_stdout, reason = "what the command is for")]
pub(crate) fn config(what: ConfigCommand) -> anyhow::Result<()> {
    match what {
        ConfigCommand::Check { layers } => {
            load(&layers.files)?;
            println!("the configuration is fine");
        }
        ConfigCommand::Print { layers } => {
            print!("{}", toml::to_string(&load(&layers.files)?)?);
        }
    }
    Ok(())
}
