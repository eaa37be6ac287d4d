//! What a process says of itself on its operations port.

use std::{
    fmt,
    future::Future,
    net::TcpListener,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, web};

use crate::{lifecycle::Lifecycle, telemetry::MetricsHandle};

/// How long a dependency may take to answer before it counts as away.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What a role requires to serve.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
}

/// What the operations port tells of start-up: nothing but that it goes on, until the
/// roles are built. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Startup(Arc<OnceLock<Health>>);

impl Startup {
    /// Says that start-up is over, and what `/readyz` looks at from now on.
    pub fn finish(&self, health: Health) {
        // The first word counts; there is no second start.
        drop(self.0.set(health));
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|(name, _)| name).collect();
        f.debug_struct("Health").field("checks", &names).finish()
    }
}

impl Health {
    /// Adds a dependency without which requests cannot be served. `name` is a word
    /// for people.
    pub fn require<F, Fut>(&mut self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
    }

    /// Takes over the checks of another role in the same process.
    pub fn merge(&mut self, other: Self) {
        self.checks.extend(other.checks);
    }

    /// The names of the dependencies that are away.
    async fn away(&self) -> Vec<&'static str> {
        let mut away = Vec::new();
        for (name, check) in &self.checks {
            if !matches!(tokio::time::timeout(CHECK_TIMEOUT, check()).await, Ok(true)) {
                away.push(*name);
            }
        }
        away
    }
}

/// Serves `/livez`, `/startupz`, `/readyz` and `/metrics`.
///
/// `/livez` says only that the process answers: a store that is away is no reason to
/// kill it. `/readyz` is 503 while the process drains or lacks something it requires.
///
/// # Errors
///
/// Those of the listener.
pub fn serve(
    listener: TcpListener,
    startup: Startup,
    lifecycle: Lifecycle,
    metrics: MetricsHandle,
) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(startup.clone()))
            .app_data(web::Data::new(lifecycle.clone()))
            .app_data(web::Data::new(metrics.clone()))
            .route("/livez", web::get().to(livez))
            .route("/startupz", web::get().to(startupz))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(render_metrics))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().body("alive\n")
}

async fn startupz(startup: web::Data<Startup>) -> HttpResponse {
    match startup.0.get() {
        Some(_) => HttpResponse::Ok().body("started\n"),
        None => HttpResponse::ServiceUnavailable().body("starting\n"),
    }
}

async fn readyz(startup: web::Data<Startup>, lifecycle: web::Data<Lifecycle>) -> HttpResponse {
    if lifecycle.is_draining() {
        return HttpResponse::ServiceUnavailable().body("draining\n");
    }
    let Some(health) = startup.0.get() else {
        return HttpResponse::ServiceUnavailable().body("starting\n");
    };
    let away = health.away().await;
    if away.is_empty() {
        HttpResponse::Ok().body("ready\n")
    } else {
        HttpResponse::ServiceUnavailable().body(format!("away: {}\n", away.join(", ")))
    }
}

async fn render_metrics(metrics: web::Data<MetricsHandle>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(metrics.render())
}
