//! A device on a socket.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sotto_ids::{ConnectionId, EnvelopeId};
use sotto_proto::socket::{
    Ack, Authenticate, ClientFrame, DeviceMessage, Envelope, Error, Hello, Send, ServerFrame,
    client_frame, server_frame::Body,
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, Response, header},
    },
};

use super::within;

/// What a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Proto,
    Json,
}

/// A socket that is about to be opened.
#[derive(Debug)]
pub(crate) struct Opening {
    address: SocketAddr,
    form: Form,
    subprotocols: Vec<String>,
    authorization: Option<String>,
}

impl Opening {
    pub(crate) fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// The token in the header.
    pub(crate) fn token(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    /// The token among the subprotocols, as browsers show it.
    pub(crate) fn token_as_subprotocol(mut self, token: &str) -> Self {
        self.subprotocols.push(format!("bearer.{token}"));
        self
    }

    pub(crate) async fn connect(self) -> Device {
        self.try_connect().await.unwrap()
    }

    pub(crate) async fn try_connect(mut self) -> Result<Device, tungstenite::Error> {
        let ours = match self.form {
            Form::Proto => "sotto.v1.proto",
            Form::Json => "sotto.v1.json",
        };
        self.subprotocols.push(ours.to_owned());
        let mut request = format!("ws://{}/v1/socket", self.address).into_client_request()?;
        let headers = request.headers_mut();
        let offered = HeaderValue::from_str(&self.subprotocols.join(", ")).unwrap();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
        if let Some(authorization) = &self.authorization {
            let value = HeaderValue::from_str(authorization).unwrap();
            headers.insert(header::AUTHORIZATION, value);
        }
        let (socket, response) = within("the upgrade", Box::pin(connect_async(request))).await?;
        assert_eq!(subprotocol(&response), Some(ours), "never the one with the token");
        Ok(Device {
            socket,
            form: self.form,
            connection: ConnectionId(0),
            frames: 0,
            unread: vec![],
        })
    }
}

fn subprotocol<T>(response: &Response<T>) -> Option<&str> {
    response.headers().get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) connection: ConnectionId,
    form: Form,
    frames: u64,
    /// Envelopes of a Deliver that were not asked for yet.
    unread: Vec<Envelope>,
}

impl Device {
    pub(crate) fn open(address: SocketAddr) -> Opening {
        Opening { address, form: Form::Proto, subprotocols: vec![], authorization: None }
    }

    /// Sends a frame and gives its number.
    pub(crate) async fn say(&mut self, body: client_frame::Body) -> u64 {
        self.frames += 1;
        let frame = ClientFrame { id: self.frames, body: Some(body) };
        let message = match self.form {
            Form::Proto => Message::Binary(frame.encode_to_vec().into()),
            Form::Json => Message::Text(serde_json::to_string(&frame).unwrap().into()),
        };
        within("a frame to be written", self.socket.send(message)).await.unwrap();
        self.frames
    }

    pub(crate) async fn authenticate(&mut self, token: &str) -> u64 {
        let token = token.to_owned();
        self.say(client_frame::Body::Authenticate(Authenticate { token })).await
    }

    /// Sends a message whose ciphertext is this.
    pub(crate) async fn send(&mut self, ciphertext: &[u8]) -> u64 {
        let message = DeviceMessage {
            device_id: 1,
            ciphertext: Bytes::copy_from_slice(ciphertext),
            ..DeviceMessage::default()
        };
        let send = Send { messages: vec![message], ..Send::default() };
        self.say(client_frame::Body::Send(send)).await
    }

    pub(crate) async fn acknowledge(&mut self, ids: &[EnvelopeId]) -> u64 {
        let ids = ids.iter().map(|id| Bytes::copy_from_slice(id.as_bytes()));
        self.say(client_frame::Body::Ack(Ack { envelope_ids: ids.collect() })).await
    }

    /// Acknowledges, if the socket still takes it.
    pub(crate) async fn try_acknowledge(&mut self, ids: &[EnvelopeId]) {
        let envelope_ids = ids.iter().map(|id| Bytes::copy_from_slice(id.as_bytes())).collect();
        let body = Some(client_frame::Body::Ack(Ack { envelope_ids }));
        let bytes = ClientFrame { id: 0, body }.encode_to_vec();
        drop(within("an Ack to be written", self.socket.send(Message::binary(bytes))).await);
    }

    /// The next message that is not a ping.
    pub(crate) async fn next_message(&mut self) -> Option<Message> {
        loop {
            match within("a message", self.socket.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> ServerFrame {
        match (self.next_message().await, self.form) {
            (Some(Message::Binary(bytes)), Form::Proto) => ServerFrame::decode(bytes).unwrap(),
            (Some(Message::Text(text)), Form::Json) => serde_json::from_str(&text).unwrap(),
            (other, _) => panic!("no frame but {other:?}"),
        }
    }

    pub(crate) async fn hello(&mut self) -> (u64, Hello) {
        let frame = self.next().await;
        let Some(Body::Hello(hello)) = frame.body else { panic!("no hello but {frame:?}") };
        self.connection = ConnectionId(u64::from_str_radix(&hello.connection, 16).unwrap());
        (frame.in_reply_to, hello)
    }

    pub(crate) async fn queue_empty(&mut self) {
        let frame = self.next().await;
        assert!(matches!(frame.body, Some(Body::QueueEmpty(_))), "{frame:?}");
    }

    pub(crate) async fn accepted(&mut self, frame: u64) {
        let answer = self.next().await;
        assert!(matches!(answer.body, Some(Body::Accepted(_))), "{answer:?}");
        assert_eq!(answer.in_reply_to, frame);
    }

    pub(crate) async fn error(&mut self) -> (u64, Error) {
        let frame = self.next().await;
        let Some(Body::Error(error)) = frame.body else { panic!("no error but {frame:?}") };
        (frame.in_reply_to, error)
    }

    /// The next envelope.
    pub(crate) async fn envelope(&mut self) -> EnvelopeId {
        while self.unread.is_empty() {
            let frame = self.next().await;
            match frame.body {
                Some(Body::Deliver(deliver)) => self.unread.extend(deliver.envelopes),
                Some(Body::QueueEmpty(_)) => {}
                _ => panic!("no envelope but {frame:?}"),
            }
        }
        EnvelopeId::try_from(self.unread.remove(0).id.as_ref()).unwrap()
    }

    /// The next envelope before the answer to this frame.
    pub(crate) async fn envelope_before(&mut self, frame: u64) -> Option<EnvelopeId> {
        while self.unread.is_empty() {
            let answer = self.next().await;
            match answer.body {
                Some(Body::Deliver(deliver)) => self.unread.extend(deliver.envelopes),
                _ if answer.in_reply_to == frame => return None,
                _ => {}
            }
        }
        Some(self.envelope().await)
    }

    /// So many envelopes, acknowledged one by one as they come.
    pub(crate) async fn receive(&mut self, count: usize) -> Vec<EnvelopeId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let id = self.envelope().await;
            self.acknowledge(&[id]).await;
            ids.push(id);
        }
        ids
    }

    /// How the gateway ends the socket: the code and the reason. Frames before it are
    /// passed over; the last of them must be a Goodbye with the same reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        let mut last = None;
        loop {
            match self.next_message().await {
                Some(Message::Close(Some(close))) => {
                    let reason = close.reason.to_string();
                    let Some(Body::Goodbye(goodbye)) = last else { panic!("no goodbye: {last:?}") };
                    assert_eq!(goodbye.reason, reason);
                    return (close.code.into(), reason);
                }
                Some(Message::Binary(bytes)) => last = ServerFrame::decode(bytes).unwrap().body,
                Some(Message::Text(text)) => {
                    last = serde_json::from_str::<ServerFrame>(&text).unwrap().body;
                }
                other => panic!("no close but {other:?}"),
            }
        }
    }

    /// How many bytes wait to be read, as far as 64 KiB.
    pub(crate) async fn piled_up(&self) -> usize {
        let MaybeTlsStream::Plain(stream) = self.socket.get_ref() else { return 0 };
        stream.peek(&mut vec![0; 64 * 1024]).await.unwrap()
    }

    /// Closes, and waits until the gateway has seen it.
    pub(crate) async fn close(mut self) {
        within("the close", self.socket.close(None)).await.unwrap();
        while self.next_message().await.is_some() {}
    }
}
