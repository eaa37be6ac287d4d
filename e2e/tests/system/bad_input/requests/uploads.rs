use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::raw::Ask;
use sotto_ids::Base64Bytes;
use sotto_load::light::one_time_ec;

use super::{Row, ask};
use crate::bad_input::scene::Scene;

#[rustfmt::skip]
pub(super) fn uploads(scene: &Scene) -> Vec<Row> {
    const SIGNED: &str = "PUT /v1/keys/signed";
    const ONE_TIME: &str = "PUT /v1/keys/one-time";
    const KYBER: &str = "PUT /v1/keys/kyber";
    let token = Some(scene.alice.token(1));
    let mut rng = StdRng::from_os_rng();
    let (own, other) = (scene.alice.keys(1), scene.alice.keys(2));
    let signed = |body: &Value| ask(SIGNED, "/v1/keys/signed").token(token).json(body);
    let one_time = |keys: &[Value]| {
        ask(ONE_TIME, "/v1/keys/one-time").token(token).json(&json!({ "keys": keys }))
    };
    let kyber = |body: &Value| ask(KYBER, "/v1/keys/kyber").token(token).json(body);
    let with = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let ec = own.signed_ec(900, &mut rng).unwrap();
    let bare = one_time_ec(900, &mut rng);
    let pq = own.kyber(900, &mut rng).unwrap();
    let low_order = json!(Base64Bytes([vec![5], vec![0; 32]].concat()));
    let short = json!(Base64Bytes(vec![5; 32]));
    let conflict = one_time_ec(3, &mut rng);
    let many: Vec<_> = (900..1_001).map(|id| one_time_ec(id, &mut rng)).collect();
    let last_resort_id = own.kyber(1, &mut rng).unwrap();
    let others_kyber = other.kyber(901, &mut rng).unwrap();
    vec![
        (SIGNED, "the signature of another device", signed(&other.signed_ec(900, &mut rng).unwrap()), "422 bad_prekey_signature"),
        (SIGNED, "the signature of another key", signed(&with(&ec, "public_key", bare["public_key"].clone())), "422 bad_prekey_signature"),
        (SIGNED, "no signature", signed(&with(&ec, "signature", json!(""))), "422 bad_prekey_signature"),
        (SIGNED, "number 0", signed(&with(&ec, "key_id", json!(0))), "422 malformed_key_id"),
        (SIGNED, "a number too large", signed(&with(&ec, "key_id", json!(1 << 24))), "422 malformed_key_id"),
        (SIGNED, "a key too short", signed(&with(&ec, "public_key", short.clone())), "422 malformed_public_key"),
        (SIGNED, "a key of low order", signed(&with(&ec, "public_key", low_order.clone())), "422 low_order_key"),
        (SIGNED, "another key under a number that is taken", signed(&own.signed_ec(1, &mut rng).unwrap()), "409 prekey_conflict"),
        (ONE_TIME, "too many", one_time(&many), "422 too_many_prekeys"),
        (ONE_TIME, "one number twice", one_time(&[bare.clone(), bare.clone()]), "422 duplicate_key_ids"),
        (ONE_TIME, "number 0 among others", one_time(&[bare.clone(), with(&bare, "key_id", json!(0))]), "422 malformed_key_id"),
        (ONE_TIME, "a key too short among others", one_time(&[one_time_ec(901, &mut rng), with(&bare, "public_key", short)]), "422 malformed_public_key"),
        (ONE_TIME, "a key of low order among others", one_time(&[one_time_ec(901, &mut rng), with(&bare, "public_key", low_order)]), "422 low_order_key"),
        (ONE_TIME, "another key under a number that is taken, among others", one_time(&[bare.clone(), conflict]), "409 prekey_conflict"),
        (KYBER, "the signature of another device", kyber(&json!({ "one_time": [pq, others_kyber] })), "422 bad_prekey_signature"),
        (KYBER, "an EC key", kyber(&json!({ "last_resort": ec })), "422 malformed_public_key"),
        (KYBER, "one number for two keys", kyber(&json!({ "last_resort": pq, "one_time": [pq] })), "422 duplicate_key_ids"),
        (KYBER, "the number of the last resort", kyber(&json!({ "one_time": [last_resort_id] })), "409 prekey_conflict"),
        (KYBER, "number 0", kyber(&json!({ "one_time": [with(&pq, "key_id", json!(0))] })), "422 malformed_key_id"),
        (KYBER, "too many", kyber(&json!({ "one_time": vec![pq.clone(); 101] })), "422 too_many_prekeys"),
        ("GET /v1/keys/count", "no token", ask("GET /v1/keys/count", "/v1/keys/count").token(Some("x.y")), "401 token_malformed"),
        ("GET /v1/keys/count", "a token of an app", ask("GET /v1/keys/count", "/v1/keys/count").token(Some(&scene.alice.app_token)), "401 token_malformed"),
        ("GET /v1/keys/count", "another method", Ask::new(Method::PUT, "/v1/keys/count").token(token), "405 method_not_allowed"),
        ("GET /v1/keys/digest", "no token", ask("GET /v1/keys/digest", "/v1/keys/digest").token(Some("x.y")), "401 token_malformed"),
        ("GET /v1/keys/digest", "another method", Ask::new(Method::POST, "/v1/keys/digest").token(token), "405 method_not_allowed"),
    ]
}
