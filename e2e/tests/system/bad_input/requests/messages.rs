use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::raw::{Ask, now_ms};
use sotto_ids::{Base64Bytes, ClientMsgId};

use super::{Row, ask};
use crate::bad_input::scene::Scene;

#[rustfmt::skip]
pub(super) fn messages(scene: &Scene) -> Vec<Row> {
    const SEND: &str = "PUT /v1/messages/{recipient}";
    const POLL: &str = "GET /v1/messages";
    const ACK: &str = "POST /v1/messages/ack";
    const RETRACT: &str = "DELETE /v1/messages/{recipient}/{client_msg_id}";
    const SOCKET: &str = "GET /v1/socket";
    let bob = Some(scene.bob.token(1));
    let alice = scene.alice.account.uuid().to_string();
    let to = |recipient: &str, body: &Value| {
        ask(SEND, &format!("/v1/messages/{recipient}")).token(bob).json(body)
    };
    let letter = |change: fn(&mut Value)| {
        let mut letter = scene.alice.letter(&[1, 2]);
        change(&mut letter);
        to(&alice, &letter)
    };
    let large = |bytes: usize, class: &str| {
        let mut letter = scene.alice.letter(&[1, 2]);
        letter["messages"][1]["ciphertext"] = json!(Base64Bytes(vec![7; bytes]));
        letter["class"] = json!(class);
        to(&alice, &letter)
    };
    let mut old = scene.alice.letter(&[1, 2]);
    old["client_msg_id"] = json!(ClientMsgId::new(now_ms() - 90_000_000, [7; 10]).to_string());
    let from_mallory = ask(SEND, &format!("/v1/messages/{alice}"));
    let from_mallory =
        from_mallory.token(Some(scene.mallory.token(1))).json(&scene.alice.letter(&[1, 2]));
    let frank = scene.frank.account.uuid().to_string();
    let acknowledge =
        |ids: Value| ask(ACK, "/v1/messages/ack").token(bob).json(&json!({ "envelope_ids": ids }));
    let own = scene.bob.account.uuid();
    let retract = |id: &str, query: &str| {
        ask(RETRACT, &format!("/v1/messages/{own}/{id}{query}")).token(bob)
    };
    let sent = scene.sent.as_str();
    let poll = |query: &str| ask(POLL, &format!("/v1/messages{query}")).token(bob);
    vec![
        (SEND, "no account", to("nobody", &scene.alice.letter(&[1, 2])), "422 malformed_recipient"),
        (SEND, "an account that there is not", to(&scene.stranger.uuid().to_string(), &scene.alice.letter(&[1])), "404 unknown_recipient"),
        (SEND, "an account of strangers", from_mallory, "403 not_interoperable"),
        (SEND, "no id of a message", letter(|it| it["client_msg_id"] = json!("x")), "422 malformed_message_id"),
        (SEND, "an id of long ago", to(&alice, &old), "422 clock_skew"),
        (SEND, "no messages", letter(|it| it["messages"] = json!([])), "422 no_messages"),
        (SEND, "too many messages", letter(|it| it["messages"] = json!(vec![it["messages"][0].clone(); 11])), "422 too_many_devices"),
        (SEND, "one device twice", letter(|it| it["messages"][1]["device_id"] = json!(1)), "422 duplicate_device"),
        (SEND, "no number of a device", letter(|it| it["messages"][0]["device_id"] = json!(0)), "422 malformed_device_id"),
        (SEND, "an unknown type", letter(|it| it["messages"][0]["type"] = json!("plain")), "422 malformed_json"),
        (SEND, "an unknown class", letter(|it| it["class"] = json!("loud")), "422 malformed_json"),
        (SEND, "an unknown field", letter(|it| it["silent"] = json!(true)), "422 malformed_json"),
        (SEND, "no ciphertext", letter(|it| it["messages"][0]["ciphertext"] = json!("")), "422 empty_ciphertext"),
        (SEND, "a ciphertext too large", large(64 * 1024 + 1, "normal"), "422 ciphertext_too_large"),
        (SEND, "too large for its class", large(4_097, "ephemeral"), "422 ephemeral_too_large"),
        (SEND, "too long a life", letter(|it| it["ttl_seconds"] = json!(u32::MAX)), "422 ttl_too_long"),
        (SEND, "a life where there is none", letter(|it| (it["class"], it["ttl_seconds"]) = (json!("ephemeral"), json!(1))), "422 ephemeral_ttl"),
        (SEND, "a device left out", to(&alice, &scene.alice.letter(&[1])), "409 device_mismatch"),
        (SEND, "a device that is not ready", to(&alice, &scene.alice.letter(&[1, 2, 3])), "409 device_mismatch"),
        (SEND, "a device of before", letter(|it| it["messages"][0]["registration_id"] = json!(0)), "409 device_mismatch"),
        (SEND, "a full queue", to(&frank, &scene.frank.letter(&[1])), "429 queue_full"),
        (POLL, "no time", poll("?wait_ms=soon"), "422 malformed_query"),
        (POLL, "an unknown parameter", poll("?since=1"), "422 malformed_query"),
        (POLL, "no number", poll("?limit=-1"), "422 malformed_query"),
        (POLL, "no token", ask(POLL, "/v1/messages").token(Some("x")), "401 token_malformed"),
        (ACK, "no id", acknowledge(json!(["x"])), "422 malformed_envelope_id"),
        (ACK, "no id among others", acknowledge(json!([scene.envelope, "x"])), "422 malformed_envelope_id"),
        (ACK, "too many ids", acknowledge(json!(vec![scene.envelope; 257])), "422 too_many_ids"),
        (ACK, "the envelope of somebody else", acknowledge(json!([scene.envelope])), "204"),
        (RETRACT, "no id of a message", retract("x", "?device_ids=1"), "422 malformed_message_id"),
        (RETRACT, "no account", ask(RETRACT, &format!("/v1/messages/nobody/{sent}?device_ids=1")).token(bob), "422 malformed_recipient"),
        (RETRACT, "no devices", retract(sent, ""), "422 malformed_query"),
        (RETRACT, "no number of a device", retract(sent, "?device_ids=0"), "422 malformed_device_id"),
        (RETRACT, "too many devices", retract(sent, "?device_ids=1,2,3,4,5,6,7,8,9,10,11"), "422 too_many_devices"),
        (RETRACT, "one device twice", retract(sent, "?device_ids=1,1"), "422 duplicate_device"),
        (RETRACT, "the message of somebody else", retract(sent, "?device_ids=1"), "204"),
        (SOCKET, "no subprotocol", ask(SOCKET, "/v1/socket").token(bob), "422 subprotocol_required"),
        (SOCKET, "no upgrade", ask(SOCKET, "/v1/socket").token(bob).header("sec-websocket-protocol", "sotto.v1.proto"), "422 not_an_upgrade"),
        (SOCKET, "another method", Ask::new(Method::POST, "/v1/socket").token(bob), "405 method_not_allowed"),
    ]
}
