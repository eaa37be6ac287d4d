//! Puts roles together: stores, links, faces on their listeners, and the end.

mod faces;
mod roles;

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use anyhow::Context as _;
use sotto_kit::{
    clock::SystemClock, health::Startup, lifecycle::Lifecycle, service::Context, telemetry,
};

pub(crate) use roles::RoleName;

use crate::config::Config;

/// Runs a role until it is asked to end.
pub(crate) fn run(role: RoleName, config: &Config) -> anyhow::Result<()> {
    sotto_kit::install_crypto_provider();
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let (result, telemetry) = runtime.block_on(async {
        // Inside the runtime, as the exporter's connection belongs to it.
        let telemetry = telemetry::init(&config.telemetry, role.as_str())?;
        Ok::<_, anyhow::Error>((serve(role, config, &telemetry).await, telemetry))
    })?;
    telemetry.flush();
    result
}

async fn serve(
    role: RoleName,
    config: &Config,
    telemetry: &telemetry::Telemetry,
) -> anyhow::Result<()> {
    let lifecycle = Lifecycle::new();
    lifecycle.listen_for_signals().context("listen for signals")?;
    let context = Context {
        lifecycle: lifecycle.clone(),
        clock: Arc::new(SystemClock),
        domain: config.server.domain.clone(),
    };

    let startup = Startup::default();
    let ops = faces::open_ops(&startup, config, &lifecycle, &telemetry.metrics)?;
    let started = start(role, config, &context, &startup).await;
    let result = match started {
        Ok(http) => {
            tracing::info!(role = role.as_str(), "started");
            lifecycle.drained(config.server.drain_timeout).await;
            tracing::info!("drained");
            if let Some(http) = http {
                // Requests that have begun may end.
                http.stop(true).await;
            }
            Ok(())
        }
        Err(error) => Err(error),
    };
    ops.stop(false).await;
    if !lifecycle.finish(config.server.stop_timeout).await {
        tracing::warn!("some tasks did not end in time");
    }
    tracing::info!("ended");
    result
}

async fn start(
    role: RoleName,
    config: &Config,
    context: &Context,
    startup: &Startup,
) -> anyhow::Result<Option<ServerHandle>> {
    let listeners = faces::Listeners::bind(config)?;
    let parts = roles::build(role, config, context).await?;
    faces::open(parts, listeners, config, &context.lifecycle, startup)
}
