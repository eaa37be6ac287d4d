use anyhow::Context as _;

use crate::config::Config;

/// Brings the database up to date.
pub(crate) fn migrate(config: &Config) -> anyhow::Result<()> {
    sotto_kit::install_crypto_provider();
    tokio::runtime::Runtime::new()
        .context("start the runtime")?
        .block_on(sotto_store::postgres::migrate(&config.postgres))
        .context("migrate the database")
}
