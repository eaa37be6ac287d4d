//! The three listeners of a process, and what is served on them.

use std::net::{SocketAddr, TcpListener};

use actix_web::{App, HttpServer, dev::ServerHandle, middleware::from_fn, web};
use anyhow::Context as _;
use sotto_kit::{
    grpc, health, http,
    lifecycle::Lifecycle,
    listener,
    service::{HttpFace, RoleParts},
    telemetry::MetricsHandle,
};
use tonic::service::Routes;

use crate::config::Config;

/// The listening sockets of the process, bound before the roles are built, so that an
/// address that is taken is found out at once.
#[derive(Debug)]
pub(super) struct Listeners {
    http: TcpListener,
    grpc: TcpListener,
}

/// Binds the operations port and serves it, before anything else is done: so a probe
/// can tell a process that starts from one that is dead.
pub(super) fn open_ops(
    startup: &health::Startup,
    config: &Config,
    lifecycle: &Lifecycle,
    metrics: &MetricsHandle,
) -> anyhow::Result<ServerHandle> {
    let listener = bind(config.ops.listen, "ops")?;
    let server = health::serve(listener, startup.clone(), lifecycle.clone(), metrics.clone())
        .context("serve the operations port")?;
    let handle = server.handle();
    lifecycle.spawn("ops", async move { log_end("ops", server.await.err()) });
    fold_metrics(metrics.clone(), lifecycle);
    Ok(handle)
}

fn bind(address: SocketAddr, section: &str) -> anyhow::Result<TcpListener> {
    listener::bind(address).with_context(|| format!("{section}.listen: bind {address}"))
}

impl Listeners {
    pub(super) fn bind(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            http: bind(config.http.listen, "http")?,
            grpc: bind(config.grpc.listen, "grpc")?,
        })
    }
}

/// Serves the faces of all roles of this process. The handle is that of the public one.
pub(super) fn open(
    parts: Vec<RoleParts>,
    listeners: Listeners,
    config: &Config,
    lifecycle: &Lifecycle,
    startup: &health::Startup,
) -> anyhow::Result<Option<ServerHandle>> {
    let mut https = Vec::new();
    let mut grpcs = Routes::builder();
    let mut any_grpc = false;
    let mut health = health::Health::default();
    for part in parts {
        https.extend(part.http);
        if let Some(add) = part.grpc {
            add(&mut grpcs);
            any_grpc = true;
        }
        health.merge(part.health);
    }

    if any_grpc {
        serve_grpc(grpcs.routes(), listeners.grpc, lifecycle);
    }
    let http = if https.is_empty() {
        None
    } else {
        Some(serve_http(https, listeners.http, config, lifecycle)?)
    };
    startup.finish(health);
    Ok(http)
}

fn serve_grpc(routes: Routes, listener: TcpListener, lifecycle: &Lifecycle) {
    let life = lifecycle.clone();
    lifecycle.spawn("grpc", async move {
        log_end("grpc", grpc::serve(listener, routes, life.clone()).await.err());
        // Without its internal face the process is of no use to anybody.
        life.drain();
    });
}

fn serve_http(
    faces: Vec<HttpFace>,
    listener: TcpListener,
    config: &Config,
    lifecycle: &Lifecycle,
) -> anyhow::Result<ServerHandle> {
    let max_body = config.http.max_body.0;
    let request_timeout = config.http.request_timeout;
    let proxies = config.http.proxies();
    let server = HttpServer::new(move || {
        let faces = faces.clone();
        App::new()
            .app_data(proxies.clone())
            .wrap(from_fn(move |request, next| http::in_time(request_timeout, request, next)))
            .wrap(from_fn(http::as_problems))
            .wrap(from_fn(http::observe))
            .configure(move |app| {
                http::configure(app, max_body);
                for face in &faces {
                    face(app);
                }
            })
            .default_service(web::route().to(http::no_such_endpoint))
    })
    .workers(config.http.workers)
    // Ours: the framework would drop all sockets at once, without a word to them.
    .disable_signals()
    .shutdown_timeout(config.server.stop_timeout.as_secs())
    .max_connections(100_000)
    .listen(listener)
    .context("serve the public port")?
    .run();
    let handle = server.handle();
    let life = lifecycle.clone();
    lifecycle.spawn("http", async move {
        log_end("http", server.await.err());
        life.drain();
    });
    Ok(handle)
}

fn fold_metrics(metrics: MetricsHandle, lifecycle: &Lifecycle) {
    let stopped = lifecycle.stopped();
    lifecycle.spawn("metrics", async move {
        let mut ticks = tokio::time::interval(metrics.upkeep_every());
        while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
            metrics.upkeep();
        }
    });
}

fn log_end(face: &'static str, error: Option<impl std::error::Error + 'static>) {
    if let Some(error) = error {
        tracing::error!(face, error = sotto_kit::fault::chain(&error), "a face failed");
    }
}
