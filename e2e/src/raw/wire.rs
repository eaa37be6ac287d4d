use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sotto_proto::socket::{ClientFrame, ServerFrame, client_frame, server_frame::Body as Answer};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, header},
    },
};

use super::Raw;
use crate::PATIENCE;

const SUBPROTOCOL: &str = "sotto.v1.proto";

/// The number of the frame that is asked about.
const ASKED: u64 = 7;

/// The number of a frame that only finds out whether the socket is still there.
const PROBE: u64 = 9_999;

/// How long the gateway may say nothing where it has to: longer than it waits for a token.
const SPEAKS_WITHIN: Duration = Duration::from_secs(30);

/// An open socket.
#[derive(Debug)]
pub struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The ticket of the last Hello.
    pub ticket: Vec<u8>,
}

/// What came.
#[derive(Debug)]
enum Came {
    Frame(ServerFrame),
    /// The code and the reason of the close, or how else it ended.
    Closed(String),
}

/// A frame of the protocol, as it goes over the wire.
pub fn frame(body: client_frame::Body) -> Vec<u8> {
    ClientFrame { id: ASKED, body: Some(body) }.encode_to_vec()
}

impl Raw {
    /// Opens a socket, with a token or without one.
    ///
    /// # Panics
    ///
    /// When the upgrade is refused.
    pub async fn open(&self, token: Option<&str>) -> Wire {
        let url = format!("{}/v1/socket", self.gateway.replacen("http://", "ws://", 1));
        let mut request = url.into_client_request().expect("the cluster's own address");
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse().expect("a token is ASCII");
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let opened = timeout(PATIENCE, Box::pin(connect_async(request))).await;
        let (socket, _) = opened.expect("an upgrade in time").expect("an upgrade");
        Wire { socket, ticket: Vec::new() }
    }
}

impl Wire {
    /// Reads until the queue was read to its end, and says `served`; or until the socket
    /// is closed, and says why.
    pub async fn served(&mut self) -> String {
        loop {
            match self.next().await {
                Came::Frame(ServerFrame { body: Some(Answer::QueueEmpty(_)), .. }) => {
                    return "served".to_owned();
                }
                Came::Frame(_) => {}
                Came::Closed(why) => return why,
            }
        }
    }

    /// Sends bytes that nothing may answer, and says in a line what comes of it: the
    /// answer, if there is one, and the close, if the gateway ends the socket.
    pub async fn tell(&mut self, bytes: Message) -> String {
        // What is refused by its header may find the socket closed.
        self.socket.send(bytes).await.ok();
        self.probe(Vec::new()).await
    }

    /// Sends a frame; see [`Wire::tell`].
    pub async fn say(&mut self, body: client_frame::Body) -> String {
        let is_answered =
            !matches!(body, client_frame::Body::Ack(_) | client_frame::Body::GroupAck(_));
        let bytes = Message::binary(frame(body));
        if !is_answered {
            return self.tell(bytes).await;
        }
        // The answer of another service may come after that to a later frame.
        self.socket.send(bytes).await.ok();
        match self.answer().await {
            Came::Frame(answer) => self.probe(vec![name(&answer).to_owned()]).await,
            Came::Closed(why) => why,
        }
    }

    /// Shows a token or a ticket, and says whether the device is served then; else what
    /// it is told, and why the socket ends.
    pub async fn enter(&mut self, body: client_frame::Body) -> String {
        self.socket.send(Message::binary(frame(body))).await.ok();
        match self.answer().await {
            Came::Frame(ServerFrame { body: Some(Answer::Hello(_)), .. }) => self.served().await,
            Came::Frame(refusal) => self.probe(vec![name(&refusal).to_owned()]).await,
            Came::Closed(why) => why,
        }
    }

    /// Sends a frame as soon as there is a Hello, and reads until the socket ends, or is
    /// served after all. Says which, and before that what the frame was answered with,
    /// unless that was an error.
    pub async fn say_at_once(&mut self, body: client_frame::Body) -> String {
        let mut said = Vec::new();
        loop {
            match self.next().await {
                Came::Frame(ServerFrame { body: Some(Answer::Hello(_)), .. }) => {
                    self.socket.send(Message::binary(frame(body.clone()))).await.ok();
                }
                Came::Frame(ServerFrame { body: Some(Answer::Error(_)), .. }) => {}
                Came::Frame(frame) if frame.in_reply_to == ASKED => {
                    said.push(name(&frame).to_owned());
                }
                Came::Frame(ServerFrame { body: Some(Answer::QueueEmpty(_)), .. }) => {
                    said.push("served".to_owned());
                    return said.join(", ");
                }
                Came::Frame(_) => {}
                Came::Closed(why) => {
                    said.push(why);
                    return said.join(", ");
                }
            }
        }
    }

    /// The answer to the frame that is asked about, or the end of the socket.
    async fn answer(&mut self) -> Came {
        loop {
            match self.next().await {
                Came::Frame(frame) if frame.in_reply_to != ASKED => {}
                came => return came,
            }
        }
    }

    /// Finds out whether the socket is still there, and adds what comes before that to
    /// what was said.
    async fn probe(&mut self, mut said: Vec<String>) -> String {
        let probe = ClientFrame { id: PROBE, body: None }.encode_to_vec();
        self.socket.send(Message::binary(probe)).await.ok();
        loop {
            match self.next().await {
                Came::Frame(frame) if frame.in_reply_to == PROBE => break,
                Came::Frame(frame) if frame.in_reply_to == ASKED => {
                    said.push(name(&frame).to_owned());
                }
                Came::Frame(_) => {}
                Came::Closed(why) => {
                    said.push(why);
                    break;
                }
            }
        }
        if said.is_empty() { "no answer".to_owned() } else { said.join(", ") }
    }

    async fn next(&mut self) -> Came {
        // Over all of it: a ping in between is no answer.
        let came = timeout(SPEAKS_WITHIN, self.read()).await;
        came.unwrap_or_else(|_| Came::Closed("silence".to_owned()))
    }

    async fn read(&mut self) -> Came {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    let frame = ServerFrame::decode(bytes).expect("a frame of the gateway");
                    if let Some(Answer::Hello(hello)) = &frame.body {
                        self.ticket = hello.resume_ticket.to_vec();
                    }
                    return Came::Frame(frame);
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    return Came::Closed(format!("{} {}", u16::from(close.code), close.reason));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Came::Closed(format!("broken off: {error}")),
                None => return Came::Closed("broken off".to_owned()),
            }
        }
    }
}

/// What an answer is, and of an error its reason.
fn name(frame: &ServerFrame) -> &str {
    match &frame.body {
        Some(Answer::Error(error)) => &error.reason,
        Some(Answer::Hello(hello)) if hello.resumed => "resumed",
        Some(Answer::Hello(_)) => "hello",
        Some(Answer::Authenticated(_)) => "authenticated",
        Some(Answer::Accepted(_)) => "accepted",
        Some(Answer::DeviceMismatch(_)) => "device_mismatch",
        Some(Answer::Retracted(_)) => "retracted",
        Some(Answer::GroupAccepted(_)) => "group_accepted",
        Some(Answer::GroupStale(_)) => "group_stale",
        _ => "something else",
    }
}
