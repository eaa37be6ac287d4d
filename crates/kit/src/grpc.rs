//! The internal face: gRPC between the roles.

use std::{net::TcpListener, time::Duration};

use futures_util::TryStreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    codegen::http,
    service::Routes,
    transport::{Channel, Endpoint, Server},
};

use crate::{lifecycle::Lifecycle, telemetry};

/// HTTP/2 windows: large enough that a burst of batches never waits for the window.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest message on either side.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// An address of another role is no URL.
#[derive(Debug, thiserror::Error)]
#[error("`{url}` is not an address of the form http://host:port")]
pub struct MalformedAddress {
    url: String,
    #[source]
    source: tonic::transport::Error,
}

/// A channel to another role. It connects when it is first used, and again after it
/// broke; a peer that stops answering is noticed within 15 s.
///
/// # Errors
///
/// `MalformedAddress`.
pub fn channel(url: &str) -> Result<Channel, MalformedAddress> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|source| MalformedAddress { url: url.to_owned(), source })?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    Ok(endpoint.connect_lazy())
}

/// Serves gRPC, with `grpc.health.v1` beside the given services, until the process
/// stops.
///
/// # Errors
///
/// Those of the listener.
///
/// # Panics
///
/// Where the listener blocks; those that `bind` makes do not.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    lifecycle: Lifecycle,
) -> Result<(), tonic::transport::Error> {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener");
    let incoming = TcpListenerStream::new(listener).inspect_ok(|socket| {
        // Accepted sockets do not inherit it on every system.
        drop(socket.set_nodelay(true));
    });
    let (_reporter, health) = tonic_health::server::health_reporter();
    let stopped = lifecycle.stopped();
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .trace_fn(span_of)
        .add_routes(routes.add_service(health))
        .serve_with_incoming_shutdown(incoming, stopped.cancelled_owned())
        .await
}

fn span_of(request: &http::Request<()>) -> tracing::Span {
    let span = tracing::info_span!("grpc.request", rpc.method = request.uri().path());
    telemetry::adopt_parent(&span, |name| {
        Some(request.headers().get(name)?.to_str().ok()?.to_owned())
    });
    span
}
