//! Ways to the server: sockets that go on where one ended, and requests where none opens.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sotto_proto::socket::{CiphertextType, Envelope, Error, client_frame::Body, server_frame};

use super::{Party, gateway::Gateway, network::client_with, server::Server, two};
use crate::{Client, Event, Transport, net::socket_refusal};

const PATIENCE: Duration = Duration::from_secs(10);

/// The party's device, whose messages go by requests.
async fn by_requests(party: &Party, server: &Server) -> Client {
    client_with(party, |config| {
        config.rest = server.url.parse().unwrap();
        let socket = format!("{}v1/socket", server.url.replace("http", "ws"));
        config.sockets = vec![socket.parse().unwrap()];
        config.transport = Transport::Rest;
        config.tuning.retry_max = Duration::from_millis(20);
    })
    .await
}

fn waiting(envelope: &Envelope) -> Value {
    let id = uuid::Uuid::from_slice(&envelope.id).unwrap();
    let sender = uuid::Uuid::from_slice(&envelope.sender).unwrap();
    let kind = if envelope.r#type() == CiphertextType::Prekey { "prekey" } else { "whisper" };
    json!({
        "id": id.to_string(),
        "sender": sender.to_string(),
        "sender_device": envelope.sender_device,
        "type": kind,
        "ciphertext": STANDARD.encode(&envelope.ciphertext),
        "server_time_ms": envelope.server_time_ms,
        "class": "normal",
    })
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

#[tokio::test]
async fn without_a_socket_messages_come_and_go_by_requests() {
    let (alice, bob) = two().await;
    let server = Server::start().await;
    let sends = alice.say(&bob, &["one", "two"]).await;
    for envelope in bob.envelopes(&alice, &sends) {
        server.state().waiting.push(waiting(&envelope));
    }
    let client = by_requests(&bob, &server).await;
    let mut events = client.events();

    client.go_online().await.unwrap();
    client.wait_drained(PATIENCE).await.unwrap();

    let mut texts = Vec::new();
    while texts.len() < 2 {
        if let Event::Message(message) = events.next().await.unwrap() {
            texts.push(message.body.text().unwrap().to_owned());
        }
    }
    assert_eq!(texts, ["one", "two"]);
    wait_until("both acknowledged", || server.state().acknowledged.len() == 2).await;

    client.send_text(alice.account, "three").await.unwrap();
    client.flush(PATIENCE).await.unwrap();
    // In the session that Alice opened.
    let sent = server.state().sent.clone();
    assert!(!sent.is_empty() && sent.iter().all(|one| one["messages"][0]["type"] == "whisper"));
    client.close().await;
}

/// I-3. Caught with the window of a socket: the third is stored before the two that come
/// again.
#[tokio::test]
async fn a_request_that_is_put_off_is_made_again_and_those_behind_it_wait() {
    let (alice, bob) = two().await;
    let server = Server::start().await;
    let client = by_requests(&alice, &server).await;
    let busy = || json!({ "reason": "rate_limited", "retry_after_ms": 5 });
    server.refuse("PUT /v1/messages/", 429, busy());
    server.refuse("PUT /v1/messages/", 429, busy());
    for text in ["one", "two", "three"] {
        client.send_text(bob.account, text).await.unwrap();
    }

    client.go_online().await.unwrap();
    client.flush(PATIENCE).await.unwrap();

    let sent = server.state().sent.clone();
    let ids: Vec<_> = sent.iter().map(|one| one["client_msg_id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.is_sorted_by(|one, next| one < next), "each once, in the order written: {ids:?}");
    client.close().await;
}

#[tokio::test]
async fn requests_stand_in_until_a_socket_opens_again() {
    let (alice, _bob) = two().await;
    let (server, gateway) = (Server::start().await, Gateway::start().await);
    let client = client_with(&alice, |config| {
        config.rest = server.url.parse().unwrap();
        config.messages = Some(server.url.parse().unwrap());
        config.sockets = vec![gateway.url()];
        config.tuning.rest_after = 2;
        config.tuning.rest_for = Duration::from_millis(1);
        config.tuning.retry_max = Duration::from_millis(20);
    })
    .await;

    client.go_online().await.unwrap();
    gateway.refuse("502 Bad Gateway").await;
    gateway.refuse("502 Bad Gateway").await;
    client.wait_drained(PATIENCE).await.unwrap();
    assert!(server.state().log.iter().any(|line| line == "GET /v1/messages"));

    let probe = gateway.accept().await;
    assert!(!probe.had_token, "it takes nobody's place");
    let mut socket = gateway.accept().await;
    assert!(socket.had_token);
    socket.hello(b"").await;
    client.wait_connected(PATIENCE).await.unwrap();
    client.close().await;
}

/// Caught when a ticket was dropped with the socket that did not open: the next one came
/// with a token.
#[tokio::test]
async fn a_socket_goes_on_where_the_last_one_ended() {
    let (alice, _bob) = two().await;
    let (server, gateway) = (Server::start().await, Gateway::start().await);
    let client = client_with(&alice, |config| {
        config.rest = server.url.parse().unwrap();
        config.sockets = vec![gateway.url()];
        config.tuning.retry_max = Duration::from_millis(20);
    })
    .await;
    client.go_online().await.unwrap();

    let mut first = gateway.accept().await;
    assert!(first.had_token);
    first.hello(b"ticket one").await;
    client.wait_connected(PATIENCE).await.unwrap();
    first.close().await;
    let mut second = gateway.accept().await;
    assert!(!second.had_token, "the ticket is enough");
    let shown = second.next().await;
    assert!(matches!(shown, Some(Body::Resume(resume)) if resume.ticket.as_ref() == b"ticket one"));
    second.hello(b"ticket two").await;
    second.close().await;
    // A gateway that is on its way out has not used the ticket up.
    gateway.refuse("503 -").await;

    // This one is not taken any more: the token is, on the same socket.
    let mut third = gateway.accept().await;
    let shown = third.next().await;
    assert!(matches!(shown, Some(Body::Resume(resume)) if resume.ticket.as_ref() == b"ticket two"));
    let refused = Error { reason: "resume_refused".to_owned(), ..Error::default() };
    third.say(server_frame::Body::Error(refused)).await;
    assert!(matches!(third.next().await, Some(Body::Authenticate(_))));
    third.hello(b"").await;
    client.wait_connected(PATIENCE).await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_busy_gateway_says_when_to_come_back() {
    let gateway = Gateway::start().await;
    let url = gateway.url();

    let (refused, ()) =
        tokio::join!(socket_refusal(&url), gateway.refuse("503 -\r\nretry-after: 7"));

    assert_eq!(refused, ("http_503".to_owned(), Some(Duration::from_secs(7))));
}
