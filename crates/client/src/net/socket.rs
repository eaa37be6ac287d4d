//! The WebSocket: opening it, and frames on it.

use std::time::Duration;

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use prost::Message as _;
use sotto_proto::socket::{ClientFrame, ServerFrame};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, Request, StatusCode, header},
        protocol::WebSocketConfig,
    },
};
use url::Url;

use crate::{Tuning, rest::retry_after};

const SUBPROTOCOL: &str = "sotto.v1.proto";

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The sending half.
pub(super) struct Writer(SplitSink<Socket, Message>);

/// The receiving half.
pub(super) struct Reader(SplitStream<Socket>);

/// Why a socket did not open.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The token is not taken.
    Token,
    /// Something else, which may be over later; not before `after`, where the server
    /// says so.
    Other { reason: String, after: Option<Duration> },
}

impl Refusal {
    fn of(reason: impl Into<String>) -> Self {
        Self::Other { reason: reason.into(), after: None }
    }
}

/// What came on a socket.
pub(super) enum Incoming {
    Frame(Box<ServerFrame>),
    /// A heartbeat: the socket lives.
    Beat,
    Closed {
        code: Option<u16>,
        reason: String,
    },
}

/// Opens a socket; without a token, the first frame has to say who this is.
///
/// The buffers are small: tungstenite's own take 256 KiB a connection, and frames
/// here are a few hundred bytes for the most part.
pub(super) async fn open(
    url: &Url,
    token: Option<&str>,
    tuning: &Tuning,
) -> Result<(Writer, Reader), Refusal> {
    let request = request(url, token).ok_or_else(|| Refusal::of("malformed_url"))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(tuning.read_buffer)
        .write_buffer_size(tuning.read_buffer)
        .max_write_buffer_size(tuning.max_frame.saturating_mul(2))
        .max_message_size(Some(tuning.max_frame))
        .max_frame_size(Some(tuning.max_frame));
    let (socket, answer) = connect_async_with_config(request, Some(config), true).await.map_err(
        |error| match error {
            WsError::Http(answer) if answer.status() == StatusCode::UNAUTHORIZED => Refusal::Token,
            WsError::Http(answer) => Refusal::Other {
                reason: format!("http_{}", answer.status().as_u16()),
                after: retry_after(answer.headers()).map(Duration::from_millis),
            },
            _ => Refusal::of("unreachable"),
        },
    )?;
    let spoken = answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    if spoken.is_none_or(|spoken| spoken != SUBPROTOCOL) {
        return Err(Refusal::of("subprotocol"));
    }
    let (writer, reader) = socket.split();
    Ok((Writer(writer), Reader(reader)))
}

fn request(url: &Url, token: Option<&str>) -> Option<Request<()>> {
    let mut request = url.as_str().into_client_request().ok()?;
    let headers = request.headers_mut();
    if let Some(token) = token {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
    }
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Some(request)
}

impl Writer {
    /// Hands a frame to the buffer.
    pub(super) async fn feed(&mut self, frame: &ClientFrame) -> Result<(), WsError> {
        self.0.feed(Message::Binary(frame.encode_to_vec().into())).await
    }

    /// Sends a frame at once.
    pub(super) async fn send(&mut self, frame: &ClientFrame) -> Result<(), WsError> {
        self.feed(frame).await?;
        self.flush().await
    }

    /// Writes out what is in the buffer.
    pub(super) async fn flush(&mut self) -> Result<(), WsError> {
        self.0.flush().await
    }

    /// Asks the other side whether it lives.
    pub(super) async fn ping(&mut self) -> Result<(), WsError> {
        self.0.send(Message::Ping(Vec::new().into())).await
    }

    /// Says goodbye.
    pub(super) async fn close(&mut self) -> Result<(), WsError> {
        self.0.close().await
    }
}

impl Reader {
    /// The next that comes.
    pub(super) async fn next(&mut self) -> Incoming {
        let closed = |reason: &str| Incoming::Closed { code: None, reason: reason.to_owned() };
        match self.0.next().await {
            Some(Ok(Message::Binary(bytes))) => match ServerFrame::decode(bytes) {
                Ok(frame) => Incoming::Frame(Box::new(frame)),
                Err(_) => closed("malformed_frame"),
            },
            Some(Ok(Message::Close(frame))) => Incoming::Closed {
                code: frame.as_ref().map(|frame| frame.code.into()),
                reason: frame.map(|frame| frame.reason.to_string()).unwrap_or_default(),
            },
            Some(Ok(Message::Text(_))) => closed("text_frame"),
            Some(Ok(_)) => Incoming::Beat,
            Some(Err(_)) | None => closed("connection_lost"),
        }
    }
}

/// Why a socket did not open, for tests.
#[cfg(test)]
pub(crate) async fn refusal(url: &Url) -> (String, Option<Duration>) {
    match open(url, None, &Tuning::default()).await {
        Err(Refusal::Other { reason, after }) => (reason, after),
        Err(Refusal::Token) => ("token".to_owned(), None),
        Ok(_) => ("it opened".to_owned(), None),
    }
}
