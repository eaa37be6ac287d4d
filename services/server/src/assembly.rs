//! Puts roles together: stores, links, faces on their listeners, and the end.

mod faces;
mod roles;

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use anyhow::Context as _;
use rand::{SeedableRng as _, rngs::StdRng};
use sotto_kit::{
    clock::{SharedClock, SystemClock},
    health::Startup,
    lifecycle::Lifecycle,
    service::Context,
    telemetry,
};
use sotto_store::{limits::Limits, read_only, redis};

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
    let startup = Startup::default();
    let ops = faces::open_ops(&startup, config, &lifecycle, &telemetry.metrics)?;
    let started = start(role, config, &lifecycle, &startup).await;
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
    lifecycle: &Lifecycle,
    startup: &Startup,
) -> anyhow::Result<Option<ServerHandle>> {
    let listeners = faces::Listeners::bind(config)?;
    let redis = redis::connect(&config.redis).await.context("connect to redis")?;
    let clock: SharedClock = Arc::new(SystemClock);
    let limits = Limits::new(
        config.limits.clone(),
        config.app_limits(),
        redis.clone(),
        Arc::clone(&clock),
        StdRng::from_os_rng(),
    );
    let switch = read_only::Switch::new(redis.clone());
    let context = Context {
        lifecycle: lifecycle.clone(),
        domain: config.server.domain.clone(),
        limits: limits.shared(),
        read_only: switch.follow(Arc::clone(&clock), lifecycle).await,
        clock,
    };
    let parts = roles::build(role, config, &context, &redis).await?;
    faces::open(parts, listeners, config, lifecycle, startup)
}
