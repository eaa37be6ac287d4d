//! The stores and the listeners of a service under test.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use actix_web::{App, HttpServer};
use sotto_kit::{config::Secret, grpc, http, lifecycle::Lifecycle, listener, service::RoleParts};
use sotto_store::redis::{Redis, RedisConfig};
use sqlx::{Executor as _, PgPool, postgres::PgPoolOptions};

use super::PATIENCE;

#[expect(clippy::disallowed_methods, reason = "tests are told by their environment")]
pub(super) async fn connect_redis() -> Redis {
    let url = env::var("REDIS_URL").expect("REDIS_URL says where a Redis for tests is");
    let config = RedisConfig { url: Secret::from_value(url), response_timeout: PATIENCE };
    sotto_store::redis::connect(&config).await.unwrap()
}

/// A pool that may do what the service may do and nothing else, and that is as large
/// as a crowd needs. It closes when the pool of the test does.
pub(super) async fn as_the_service_role(
    db: &PgPool,
    connections: u32,
    lifecycle: &Lifecycle,
) -> PgPool {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET ROLE sotto_keys").await.map(drop) })
        })
        .connect_with((*db.connect_options()).clone())
        .await
        .unwrap();
    let (test_pool, service_pool, life) = (db.clone(), pool.clone(), lifecycle.clone());
    lifecycle.spawn("end of the test", async move {
        test_pool.close_event().await;
        life.drain();
        service_pool.close().await;
        life.stop();
    });
    pool
}

pub(super) fn serve(parts: RoleParts, lifecycle: &Lifecycle) -> (SocketAddr, SocketAddr) {
    let any_port = || -> TcpListener { listener::bind("127.0.0.1:0".parse().unwrap()).unwrap() };

    let public = any_port();
    let http_address = public.local_addr().unwrap();
    let face = parts.http.unwrap();
    let server = HttpServer::new(move || {
        let face = Arc::clone(&face);
        App::new().configure(move |app| {
            http::configure(app, 1 << 20);
            face(app);
        })
    })
    .workers(2)
    // So that a connection is never closed under the request that a slow test sends on it.
    .keep_alive(10 * PATIENCE)
    .client_request_timeout(PATIENCE)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(public)
    .unwrap()
    .run();
    let (handle, stopped) = (server.handle(), lifecycle.stopped());
    lifecycle.spawn("http", async move { drop(server.await) });
    lifecycle.spawn("stop http", async move {
        stopped.cancelled().await;
        handle.stop(false).await;
    });

    let internal = any_port();
    let grpc_address = internal.local_addr().unwrap();
    let mut routes = tonic::service::Routes::builder();
    (parts.grpc.unwrap())(&mut routes);
    let internal_face = grpc::serve(internal, routes.routes(), lifecycle.clone());
    lifecycle.spawn("grpc", async move { internal_face.await.unwrap() });
    (http_address, grpc_address)
}
