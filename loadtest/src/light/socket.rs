//! The WebSocket of a light device.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sotto_proto::socket::{ClientFrame, ServerFrame, server_frame::Body};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, StatusCode, header},
        protocol::WebSocketConfig,
    },
};
use url::Url;

const SUBPROTOCOL: &str = "sotto.v1.proto";

/// Bytes that a socket reads at a time. tungstenite's own would be 128 KiB, and ten
/// thousand sockets more than a gigabyte.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes of the largest frame, and of what may wait to be written.
const LARGEST: usize = 2 * 1024 * 1024;

/// How long a socket may take to open.
const OPENS_WITHIN: Duration = Duration::from_secs(20);

/// How long a page may take that is measured.
const PAGE_WITHIN: Duration = Duration::from_secs(30);

/// An open socket.
#[derive(Debug)]
pub(crate) struct Socket(WebSocketStream<TcpStream>);

/// Why a socket did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The token is not taken.
    Token,
    /// The gateway is full, or ends; not before this time.
    Busy(Option<Duration>),
    /// Nobody answered.
    Away,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A frame of the protocol.
    Frame(Box<ServerFrame>),
    /// A heartbeat.
    Beat,
    /// The end, with the code of the close where there was one.
    End(Option<u16>),
}

impl Socket {
    pub(crate) async fn open(url: &Url, token: &str) -> Result<Self, Closed> {
        tokio::time::timeout(OPENS_WITHIN, Self::try_open(url, token))
            .await
            .unwrap_or(Err(Closed::Away))
    }

    async fn try_open(url: &Url, token: &str) -> Result<Self, Closed> {
        let mut request = url.as_str().into_client_request().map_err(|_| Closed::Away)?;
        let bearer =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Closed::Token)?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, bearer);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let address = (url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
        let stream = TcpStream::connect(address).await.map_err(|_| Closed::Away)?;
        stream.set_nodelay(true).map_err(|_| Closed::Away)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(READ_BUFFER)
            .max_write_buffer_size(LARGEST)
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(WsError::Http(answer)) if answer.status() == StatusCode::UNAUTHORIZED => {
                Err(Closed::Token)
            }
            Err(WsError::Http(answer)) => {
                let after = answer.headers().get(header::RETRY_AFTER);
                let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
                Err(Closed::Busy(after.map(Duration::from_secs)))
            }
            Err(_) => Err(Closed::Away),
        }
    }

    /// Puts a frame into the buffer.
    pub(crate) async fn feed(&mut self, frame: &ClientFrame) -> Result<(), WsError> {
        self.0.feed(Message::Binary(frame.encode_to_vec().into())).await
    }

    /// Writes out what is in the buffer.
    pub(crate) async fn flush(&mut self) -> Result<(), WsError> {
        self.0.flush().await
    }

    /// The next that comes.
    pub(crate) async fn next(&mut self) -> Incoming {
        match self.0.next().await {
            Some(Ok(Message::Binary(bytes))) => match ServerFrame::decode(bytes) {
                Ok(frame) => Incoming::Frame(Box::new(frame)),
                Err(_) => Incoming::End(None),
            },
            Some(Ok(Message::Close(frame))) => Incoming::End(frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => Incoming::Beat,
            Some(Err(_)) | None => Incoming::End(None),
        }
    }

    /// Ends it as a device does that goes.
    pub(crate) async fn close(mut self) {
        // The gateway may be gone already.
        self.0.close(None).await.ok();
    }
}

/// How a device that was away comes by what waited for it.
#[derive(Debug, Clone, Copy)]
pub struct FirstPage {
    /// From the first byte of the connection to the first envelopes.
    pub first: Duration,
    /// Envelopes in the first delivery.
    pub envelopes: usize,
}

/// Connects a device and measures how long it takes until its first envelopes are there.
/// They are not acknowledged, so they go on waiting.
///
/// # Errors
///
/// When the socket does not open, or nothing comes.
pub async fn first_page(url: &Url, token: &str) -> anyhow::Result<FirstPage> {
    let started = Instant::now();
    let opened = Socket::open(url, token).await;
    let mut socket =
        opened.map_err(|closed| anyhow::anyhow!("the socket did not open: {closed:?}"))?;
    let waiting = async {
        loop {
            match socket.next().await {
                Incoming::Frame(frame) => match frame.body {
                    Some(Body::Deliver(deliver)) => return Ok(deliver.envelopes.len()),
                    Some(Body::QueueEmpty(_)) => bail!("nothing waited"),
                    _ => {}
                },
                Incoming::Beat => {}
                Incoming::End(code) => bail!("the socket was closed ({code:?})"),
            }
        }
    };
    let envelopes = tokio::time::timeout(PAGE_WITHIN, waiting).await.context("no page came")??;
    let first = started.elapsed();
    socket.close().await;
    Ok(FirstPage { first, envelopes })
}
