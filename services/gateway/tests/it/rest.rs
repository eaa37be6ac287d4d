//! Messages over REST: the same as on a socket.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sotto_ids::{ClientMsgId, EnvelopeId};
use sotto_proto::{
    messages::outcome,
    socket::{DeviceMismatch, Error, MessageClass},
};

use crate::harness::{Replica, Signer, TestGateway, wait_for, within};

const SEND: &str = "0198f2a4-7c00-7000-8000-000000000001";

/// A device that has no socket.
struct Caller<'a> {
    gateway: &'a TestGateway,
    user: Signer,
}

impl Caller<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}/v1/messages{path}", self.gateway.address());
        Client::new().request(method, url).bearer_auth(self.user.token(600))
    }

    async fn send(&self, body: Value) -> (StatusCode, Value) {
        let recipient = Signer::new().device().account;
        answer(self.request(Method::PUT, &format!("/{recipient}")).json(&body)).await
    }

    async fn poll(&self, query: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, query)).await
    }

    async fn acknowledge(&self, ids: &[EnvelopeId]) {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let body = json!({"envelope_ids": ids});
        let (status, _) = answer(self.request(Method::POST, "/ack").json(&body)).await;
        assert_eq!(status, 204);
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = within("the answer", request.send()).await.unwrap();
    let (status, body) = (response.status(), response.bytes().await.unwrap());
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn one_message() -> Value {
    json!({
        "client_msg_id": SEND,
        "messages": [
            {"device_id": 1, "registration_id": 7, "type": "prekey", "ciphertext": "c2VhbGVk"},
        ],
        "ttl_seconds": 60,
        "class": "urgent",
    })
}

fn ids(page: &Value) -> Vec<EnvelopeId> {
    let id = |envelope: &Value| {
        let uuid = uuid::Uuid::try_parse(envelope["id"].as_str().unwrap()).unwrap();
        EnvelopeId::try_from(uuid.as_bytes().as_slice()).unwrap()
    };
    page["envelopes"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_passed_on_as_a_socket_would_and_answered() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let alice = Caller { gateway: &gateway, user: Signer::new() };

    let (status, accepted) = alice.send(one_message()).await;

    assert_eq!((status, &accepted["full"]), (StatusCode::OK, &json!([])));
    let submit = replica.submits().pop().unwrap();
    assert_eq!(submit.sender.unwrap().account, alice.user.device().account.as_bytes()[..]);
    let send = submit.send.unwrap();
    assert_eq!(send.class(), MessageClass::Urgent);
    assert_eq!((send.ttl_seconds, send.messages.len()), (60, 1));
    assert_eq!(send.messages[0].ciphertext, b"sealed"[..]);
    let id = ClientMsgId::try_from(send.client_msg_id.as_ref()).unwrap();
    assert_eq!(id.to_string(), SEND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_replica_says_of_a_send_comes_back_as_a_status() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let alice = Caller { gateway: &gateway, user: Signer::new() };

    let mismatch = DeviceMismatch { missing: vec![2], extra: vec![3], stale: vec![] };
    replica.answer(outcome::Result::DeviceMismatch(mismatch));
    let (status, problem) = alice.send(one_message()).await;
    assert_eq!((status.as_u16(), &problem["reason"]), (409, &json!("device_mismatch")));
    assert_eq!((&problem["missing"], &problem["extra"]), (&json!([2]), &json!([3])));

    for (reason, retry_after_ms, expected) in [
        ("unknown_recipient", 0, 404),
        ("not_interoperable", 0, 403),
        ("queue_full", 60_000, 429),
        ("read_only", 5_000, 503),
        ("unavailable", 1_000, 503),
        ("clock_skew", 0, 422),
    ] {
        let (reason, detail) = (reason.to_owned(), "in words".to_owned());
        let server_time_ms = 0;
        let refusal = Error { reason: reason.clone(), detail, retry_after_ms, server_time_ms };
        replica.answer(outcome::Result::Error(refusal));
        let (status, problem) = alice.send(one_message()).await;
        assert_eq!((status.as_u16(), &problem["reason"]), (expected, &json!(reason)));
        assert_eq!(problem["retry_after_ms"].as_u64().unwrap_or(0), u64::from(retry_after_ms));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_read_page_by_page_until_it_is_acknowledged() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };
    let stored = replica.store(bob.user.device(), 5, 10);

    let (_, first) = bob.poll("?limit=3").await;
    assert_eq!((ids(&first), &first["last"]), (stored[..3].to_vec(), &json!(false)));
    let (_, again) = bob.poll("?limit=3").await;
    assert_eq!(ids(&again), stored[..3], "until they are acknowledged");

    bob.acknowledge(&stored[..3]).await;
    wait_for("the acknowledgement", async || replica.waiting(bob.user.device()) == 2).await;
    let (_, rest) = bob.poll("").await;
    assert_eq!((ids(&rest), &rest["last"]), (stored[3..].to_vec(), &json!(true)));
    assert_eq!(rest["envelopes"][0]["type"], "whisper");
    assert_eq!(rest["envelopes"][0]["class"], "normal");
}

/// Caught with the place not written: then nobody hints, and the poll waits its time out.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_waits_has_the_place_of_its_device_and_hears_of_what_comes() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };

    let started = Instant::now();
    let (polled, stored) = tokio::join!(bob.poll("?wait_ms=15000"), async {
        wait_for("the place", async || gateway.place(bob.user).await.is_some()).await;
        let place = gateway.place(bob.user).await.unwrap();
        let stored = replica.store(bob.user.device(), 1, 10);
        replica.hint(place.connection, bob.user.device(), &stored);
        stored
    });

    assert_eq!(ids(&polled.1), stored);
    assert!(started.elapsed() < Duration::from_secs(14), "it waited its time out");
    wait_for("the place to be given back", async || gateway.place(bob.user).await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_queue_holds_reaches_a_poll_that_waits() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };

    let ((_, page), ()) = tokio::join!(bob.poll("?wait_ms=15000"), async {
        wait_for("the place", async || gateway.place(bob.user).await.is_some()).await;
        let connection = gateway.place(bob.user).await.unwrap().connection;
        replica.pass(connection, b"typing");
    });

    assert_eq!(page["envelopes"][0]["class"], "ephemeral");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_queue_is_answered_at_once_without_a_wait_and_in_time_with_one() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };

    for query in ["", "?wait_ms=0", "?wait_ms=200"] {
        let (status, page) = bob.poll(query).await;
        assert_eq!((status, &page), (StatusCode::OK, &json!({"envelopes": [], "last": true})));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_displaces_a_poll_and_a_poll_a_socket() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };

    let ((status, problem), mut socket) = tokio::join!(bob.poll("?wait_ms=15000"), async {
        wait_for("the place", async || gateway.place(bob.user).await.is_some()).await;
        gateway.connect(bob.user).await
    });
    assert_eq!((status.as_u16(), &problem["reason"]), (409, &json!("displaced")));

    bob.poll("").await;
    assert_eq!(socket.closed().await.0, 4500);
}

/// I-2. An HTTP server cannot tell a caller that has gone from one that waits in silence,
/// so an envelope may be told to nobody. It still waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_poll_said_to_a_caller_that_had_gone_is_said_to_the_next() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };
    let request = bob.request(Method::GET, "?wait_ms=20000").timeout(Duration::from_millis(500));
    assert!(within("the caller to give up", request.send()).await.unwrap_err().is_timeout());
    let place = gateway.place(bob.user).await.unwrap();

    let stored = replica.store(bob.user.device(), 1, 10);
    replica.hint(place.connection, bob.user.device(), &stored);
    wait_for("the poll to end", async || gateway.place(bob.user).await.is_none()).await;

    assert_eq!(ids(&bob.poll("").await.1), stored);
}

/// I-7.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_gets_nothing_by_a_poll() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };
    replica.store(bob.user.device(), 1, 10);
    replica.revoke(bob.user.device());

    let (status, problem) = bob.poll("?wait_ms=15000").await;

    assert_eq!((status.as_u16(), &problem["reason"]), (403, &json!("device_revoked")));
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_end_when_the_gateway_drains_and_none_begins() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };

    let ((status, problem), ()) = tokio::join!(bob.poll("?wait_ms=15000"), async {
        wait_for("the place", async || gateway.place(bob.user).await.is_some()).await;
        gateway.lifecycle.drain();
    });

    assert_eq!((status.as_u16(), &problem["reason"]), (503, &json!("draining")));
    assert_eq!(bob.poll("").await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_replica_a_request_may_come_again_later() {
    let gateway = TestGateway::start(&[]).await;
    let bob = Caller { gateway: &gateway, user: Signer::new() };

    for (status, problem) in [bob.poll("").await, bob.send(one_message()).await] {
        assert_eq!((status.as_u16(), &problem["reason"]), (503, &json!("unavailable")));
        assert!(problem["retry_after_ms"].as_u64().unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_retracted_by_its_name() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let alice = Caller { gateway: &gateway, user: Signer::new() };
    let recipient = Signer::new().device().account;

    let path = format!("/{recipient}/{SEND}?device_ids=1,2");
    let (status, _) = answer(alice.request(Method::DELETE, &path)).await;

    assert_eq!(status, 204);
    let retract = replica.retracts().pop().unwrap().retract.unwrap();
    assert_eq!(retract.device_ids, [1, 2]);
    assert_eq!(retract.recipient, recipient.as_bytes()[..]);
}

/// I-9. One row for each kind of wrong input, and nothing of it reaches a replica.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_gets_a_named_error_and_is_not_passed_on() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let alice = Caller { gateway: &gateway, user: Signer::new() };
    let recipient = Signer::new().device().account;
    let put = |path: &str, change: fn(&mut Value)| {
        let mut body = one_message();
        change(&mut body);
        alice.request(Method::PUT, path).json(&body)
    };
    let there = format!("/{recipient}");
    let same = |_: &mut Value| {};
    let get = |query: &str| alice.request(Method::GET, query);
    let ack = |body: Value| alice.request(Method::POST, "/ack").json(&body);
    let delete = |path: &str| alice.request(Method::DELETE, path);
    let many = vec!["0198f2a4-7c00-7000-8000-000000000001"; 257];
    let wrong = [
        (put("/nobody", same), "malformed_recipient"),
        (put(&there, |body| body["client_msg_id"] = json!("x")), "malformed_message_id"),
        (
            put(&there, |b| b["client_msg_id"] = json!("8b0a2f5c-9d4e-4a1b-8c3d-2e1f0a9b8c7d")),
            "malformed_message_id",
        ),
        (put(&there, |body| body["class"] = json!("loud")), "malformed_json"),
        (put(&there, |body| body["messages"][0]["type"] = json!("sealed")), "malformed_json"),
        (put(&there, |body| body["messages"][0]["ciphertext"] = json!("!")), "malformed_json"),
        (put(&there, |body| body["extra"] = json!(1)), "malformed_json"),
        (put(&there, |body| body["ttl_seconds"] = json!(-1)), "malformed_json"),
        (
            put(&there, |b| b["messages"] = json!(vec![b["messages"][0].clone(); 11])),
            "too_many_devices",
        ),
        (alice.request(Method::PUT, &there).body("{}"), "unsupported_media_type"),
        (get("?wait_ms=soon"), "malformed_query"),
        (get("?since=1"), "malformed_query"),
        (ack(json!({"envelope_ids": ["x"]})), "malformed_envelope_id"),
        (ack(json!({"envelope_ids": many})), "too_many_ids"),
        (ack(json!({"ids": []})), "malformed_json"),
        (delete(&format!("/{recipient}/x?device_ids=1")), "malformed_message_id"),
        (delete(&format!("/{recipient}/{SEND}?device_ids=0")), "malformed_device_id"),
        (delete(&format!("/{recipient}/{SEND}")), "malformed_query"),
    ];
    let pulls = replica.pulls();

    for (request, reason) in wrong {
        let (status, problem) = answer(request).await;
        assert_eq!((&problem["reason"], status.as_u16()), (&json!(reason), 422), "{problem}");
    }
    for token in [alice.user.forged_token(), alice.user.old_token()] {
        let request = Client::new().get(format!("http://{}/v1/messages", gateway.address()));
        assert_eq!(answer(request.bearer_auth(token)).await.0, 401);
    }

    assert!(replica.submits().is_empty() && replica.retracts().is_empty());
    assert_eq!(replica.pulls(), pulls);
}
