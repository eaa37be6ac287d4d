//! A gateway of a few lines: each socket is what the test makes of it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sotto_proto::socket::{ClientFrame, Hello, ServerFrame, client_frame, server_frame};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        self,
        handshake::server::{Request, Response},
        http::{HeaderValue, header},
    },
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Where sockets come in.
pub(super) struct Gateway {
    listener: TcpListener,
}

/// A socket that was opened.
pub(super) struct Socket {
    socket: WebSocketStream<TcpStream>,
    /// Whether the request said who it is.
    pub(super) had_token: bool,
}

impl Gateway {
    pub(super) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(super) fn url(&self) -> url::Url {
        let address = self.listener.local_addr().unwrap();
        format!("ws://{address}/v1/socket").parse().unwrap()
    }

    /// Answers the next request with this instead of a socket.
    pub(super) async fn refuse(&self, head: &str) {
        let (mut stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut asked = [0; 4_096];
        let _read = stream.read(&mut asked).await.unwrap();
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    /// The next socket.
    #[expect(clippy::result_large_err, reason = "the library's type")]
    pub(super) async fn accept(&self) -> Socket {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut had_token = false;
        let spoken = |request: &Request, mut response: Response| {
            had_token = request.headers().contains_key(header::AUTHORIZATION);
            let protocol = HeaderValue::from_static("sotto.v1.proto");
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
            Ok(response)
        };
        let socket = accept_hdr_async(stream, spoken).await.unwrap();
        Socket { socket, had_token }
    }
}

impl Socket {
    pub(super) async fn next(&mut self) -> Option<client_frame::Body> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.unwrap()?.ok()?;
            if let tungstenite::Message::Binary(bytes) = message {
                return ClientFrame::decode(bytes).unwrap().body;
            }
        }
    }

    pub(super) async fn say(&mut self, body: server_frame::Body) {
        let frame = ServerFrame { in_reply_to: 0, body: Some(body) };
        let bytes = frame.encode_to_vec().into();
        self.socket.send(tungstenite::Message::Binary(bytes)).await.unwrap();
    }

    pub(super) async fn hello(&mut self, ticket: &'static [u8]) {
        let hello = Hello {
            heartbeat_ms: 30_000,
            server_time_ms: super::START_MS,
            token_expires_at_ms: u64::MAX,
            resume_ticket: ticket.into(),
            ..Hello::default()
        };
        self.say(server_frame::Body::Hello(hello)).await;
    }

    pub(super) async fn close(mut self) {
        drop(self.socket.close(None).await);
    }
}
