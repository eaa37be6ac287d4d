use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::raw::Ask;
use sotto_ids::{Base64Bytes, DeviceId};

use super::{Row, ask};
use crate::bad_input::scene::Scene;

#[rustfmt::skip]
pub(super) async fn logins(scene: &Scene) -> Vec<Row> {
    const AT: &str = "POST /v1/auth/token";
    let (raw, alice, bob) = (&scene.raw, &scene.alice, &scene.bob);
    let first = DeviceId::FIRST;
    let second = DeviceId::try_from(2_u32).unwrap();
    let ninth = DeviceId::try_from(9_u32).unwrap();
    let (id, keys) = (alice.account.id, alice.keys(1));
    let of = |body: Value| ask(AT, "/v1/auth/token").json(&body);
    let login = |device, challenge: &[u8], app_token: &str| {
        of(keys.login(id, device, challenge, app_token, raw.domain()))
    };
    let own = alice.app_token.as_str();
    let elsewhere = keys.login(id, first, &raw.challenge().await, own, "elsewhere.example");
    let mut damaged = keys.login(id, first, &raw.challenge().await, own, raw.domain());
    damaged["proof"] = json!(Base64Bytes(vec![0; 64]));
    let mut short = keys.login(id, first, &raw.challenge().await, own, raw.domain());
    short["proof"] = json!("");
    let mut zero = damaged.clone();
    zero["device_id"] = json!(0);
    let stranger = scene.stranger.device(first).unwrap();
    let stranger =
        stranger.login(scene.stranger.id, first, &raw.challenge().await, own, raw.domain());
    vec![
        ("POST /v1/auth/challenge", "another method", Ask::new(Method::GET, "/v1/auth/challenge"), "405 method_not_allowed"),
        (AT, "the same again", of(scene.spent_login.clone()), "401 unknown_challenge"),
        (AT, "a challenge that nobody gave", login(first, &[7; 32], own), "401 unknown_challenge"),
        (AT, "a challenge too short", login(first, &[7; 31], own), "401 unknown_challenge"),
        (AT, "a challenge too long", login(first, &[7; 9_000], own), "401 unknown_challenge"),
        (AT, "a proof for another server", of(elsewhere), "401 wrong_proof"),
        (AT, "a proof that is none", of(damaged), "401 wrong_proof"),
        (AT, "no proof", of(short), "401 wrong_proof"),
        (AT, "the proof of another device", login(second, &raw.challenge().await, own), "401 wrong_proof"),
        (AT, "no number of a device", of(zero), "422 malformed_json"),
        (AT, "a device that there is not", login(ninth, &raw.challenge().await, own), "404 unknown_device"),
        (AT, "an account that there is not", of(stranger), "404 unknown_account"),
        (AT, "the token of another user", login(first, &raw.challenge().await, &bob.app_token), "409 binding_conflict"),
        (AT, "no token of an app", login(first, &raw.challenge().await, "x"), "401 app_token_malformed"),
        (AT, "a token far too long", login(first, &raw.challenge().await, &"x".repeat(9_000)), "401 app_token_malformed"),
    ]
}

#[rustfmt::skip]
pub(super) fn links(scene: &Scene) -> Vec<Row> {
    const LEAVE: &str = "PUT /v1/link/{link}/{slot}";
    const READ: &str = "GET /v1/link/{link}/{slot}";
    const OCTETS: &str = "application/octet-stream";
    let of = |at, link: &str, slot: &str| ask(at, &format!("/v1/link/{link}/{slot}"));
    let (link, unknown) = (scene.link.as_str(), "A".repeat(32));
    vec![
        ("POST /v1/link", "another method", Ask::new(Method::GET, "/v1/link"), "405 method_not_allowed"),
        (LEAVE, "a slot that is taken", of(LEAVE, link, "request").bytes(OCTETS, "other"), "409 link_slot_taken"),
        (LEAVE, "a mailbox that there is not", of(LEAVE, &unknown, "request").bytes(OCTETS, "sealed"), "404 no_such_link"),
        (LEAVE, "no name of a mailbox", of(LEAVE, "x", "request").bytes(OCTETS, "sealed"), "422 malformed_path"),
        (LEAVE, "no slot", of(LEAVE, link, "third").bytes(OCTETS, "sealed"), "422 malformed_path"),
        (LEAVE, "nothing", of(LEAVE, link, "answer").bytes(OCTETS, ""), "422 link_message_empty"),
        (LEAVE, "too large", of(LEAVE, link, "answer").bytes(OCTETS, vec![7; 16 * 1024 + 1]), "422 body_too_large"),
        (LEAVE, "another content type", of(LEAVE, link, "answer").json(&json!({})), "422 unsupported_media_type"),
        (READ, "a mailbox that there is not", of(READ, &unknown, "request"), "404 no_such_link"),
        (READ, "no name of a mailbox", of(READ, "*", "request"), "422 malformed_path"),
        (READ, "no slot", of(READ, link, "third"), "422 malformed_path"),
        (READ, "no time", of(READ, link, "request?wait_ms=soon"), "422 malformed_query"),
    ]
}
