use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::raw::{Ask, now_ms};
use sotto_identity::{Op, SignedOp, build};
use sotto_ids::{Base64Bytes, ClientMsgId, DeviceId};
use sotto_load::light::{Account, one_time_ec, op_body};

use super::scene::Scene;

/// An endpoint, what is wrong, the request, and its answer.
type Row = (&'static str, &'static str, Ask, &'static str);

/// The most that a body may have, and one more.
const TOO_LARGE: usize = (1 << 20) + 1;

pub(super) async fn requests(scene: &Scene) -> Vec<Row> {
    let mut rows = bodies(scene);
    rows.extend(accounts(scene));
    rows.extend(bundles(scene));
    rows.extend(logins(scene).await);
    rows.extend(links(scene));
    rows.extend(uploads(scene));
    rows.extend(for_everybody(scene));
    rows.extend(messages(scene));
    rows
}

/// A request with the method of an endpoint.
fn ask(at: &str, path: &str) -> Ask {
    let (method, _) = at.split_once(' ').unwrap();
    Ask::new(method.parse().unwrap(), path)
}

/// What is wrong with any body of JSON.
fn bodies(scene: &Scene) -> Vec<Row> {
    let id = scene.alice.account.id;
    let (alice, bob) = (Some(scene.alice.token(1)), Some(scene.bob.token(1)));
    let endpoints = [
        ("POST /v1/accounts", "/v1/accounts".to_owned(), None),
        ("POST /v1/accounts/{account}/ops", format!("/v1/accounts/{id}/ops"), alice),
        ("POST /v1/accounts/{account}/bundles", format!("/v1/accounts/{id}/bundles"), bob),
        ("POST /v1/auth/token", "/v1/auth/token".to_owned(), None),
        ("PUT /v1/keys/signed", "/v1/keys/signed".to_owned(), alice),
        ("PUT /v1/keys/one-time", "/v1/keys/one-time".to_owned(), alice),
        ("PUT /v1/keys/kyber", "/v1/keys/kyber".to_owned(), alice),
        ("PUT /v1/messages/{recipient}", format!("/v1/messages/{id}"), bob),
        ("POST /v1/messages/ack", "/v1/messages/ack".to_owned(), bob),
    ];
    let mut rows = Vec::new();
    for (at, path, token) in endpoints {
        let ask = ask(at, &path).token(token);
        let json = |body: &str| ask.clone().bytes("application/json", body);
        let large = " ".repeat(TOO_LARGE);
        rows.push((at, "no JSON", json("{"), "422 malformed_json"));
        rows.push((at, "nothing", json(""), "422 malformed_json"));
        rows.push((at, "another type", json("\"text\""), "422 malformed_json"));
        rows.push((at, "fields of other types", json(WRONG_TYPES), "422 malformed_json"));
        rows.push((at, "too large", json(&large), "422 body_too_large"));
        let text = ask.clone().bytes("text/plain", "{}");
        rows.push((at, "another content type", text, "422 unsupported_media_type"));
    }
    rows
}

/// Every field of every body, as none of them is.
const WRONG_TYPES: &str = r#"{"genesis": 1, "ops": 1, "app_token": 1, "device_ids": 1, "have": -1,
    "account_id": 1, "key_id": -1, "keys": 1, "one_time": 1, "client_msg_id": 1,
    "envelope_ids": 1}"#;

#[rustfmt::skip]
fn accounts(scene: &Scene) -> Vec<Row> {
    const REGISTER: &str = "POST /v1/accounts";
    const APPEND: &str = "POST /v1/accounts/{account}/ops";
    const CHAIN: &str = "GET /v1/accounts/{account}/ops";
    const HEAD: &str = "GET /v1/accounts/{account}/head";
    let (alice, stranger, newcomer) = (&scene.alice, &scene.stranger, &scene.newcomer);
    let register = |body: &Value| ask(REGISTER, "/v1/accounts").json(body);
    let changed = |change: fn(&mut Value)| {
        let mut body = stranger.registration(newcomer);
        change(&mut body);
        register(&body)
    };
    let mut elsewhere = Account::generate(1, "elsewhere.example", 0, &mut StdRng::from_os_rng());
    let elsewhere = elsewhere.as_mut().unwrap().registration(newcomer);
    let named = |handle: &str| {
        let mut account =
            Account::generate(1, scene.raw.domain(), 0, &mut StdRng::from_os_rng()).unwrap();
        let op = account.next(build::set_handle(&handle.parse().unwrap()), 0);
        account.follow(op).unwrap();
        register(&account.registration(newcomer))
    };

    let own = format!("/v1/accounts/{}/ops", alice.account.id);
    let append = |ops: &[SignedOp]| {
        let ops: Vec<_> = ops.iter().map(op_body).collect();
        ask(APPEND, &own).token(Some(alice.token(1))).json(&json!({ "ops": ops }))
    };
    let next = alice.account.state().next_op(build::drop_handle(), 0);
    let sign = |op: &Op| alice.account.sign(op);
    let placed = |seq: u64| sign(&Op { seq, ..next.clone() });
    let mut damaged = sign(&next);
    damaged.sigs[0].sig[0] ^= 1;
    let (first, third) = (DeviceId::FIRST, DeviceId::try_from(3_u32).unwrap());
    let body_of = |body| sign(&alice.account.state().next_op(body, 0));
    let recovery = alice.account.state().recovery.clone();
    let unknown = format!("/v1/accounts/{}", stranger.id);
    let recover_unknown = stranger.next(build::set_recovery(&stranger.state().recovery), 0);
    vec![
        (REGISTER, "no base64", changed(|it| it["genesis"]["payload"] = json!("*")), "422 malformed_json"),
        (REGISTER, "no op", changed(|it| it["genesis"]["payload"] = json!("AQID")), "422 malformed_op"),
        (REGISTER, "an op that is too large", changed(|it| it["genesis"]["payload"] = json!("A".repeat(8_000))), "422 op_too_large"),
        (REGISTER, "a signature of another op", changed(|it| it["genesis"]["sigs"][0]["sig"] = it["genesis"]["sigs"][1]["sig"].clone()), "422 bad_signature"),
        (REGISTER, "no signatures", changed(|it| it["genesis"]["sigs"] = json!([])), "422 missing_signature"),
        (REGISTER, "more ops than there may be", changed(|it| it["ops"] = json!(vec![it["genesis"].clone(); 500])), "422 too_many_ops"),
        (REGISTER, "genesis twice", changed(|it| it["ops"] = json!([it["genesis"]])), "422 unexpected_genesis"),
        (REGISTER, "the home of others", register(&elsewhere), "422 wrong_home"),
        (REGISTER, "no token of an app", register(&stranger.registration("x.y")), "401 app_token_malformed"),
        (REGISTER, "a user who has an account", register(&stranger.registration(&scene.bob.app_token)), "409 binding_conflict"),
        (REGISTER, "an account of somebody else", register(&alice.account.registration(newcomer)), "409 account_exists"),
        (REGISTER, "a handle that is taken", named("alice"), "409 handle_taken"),
        (REGISTER, "a handle that is reserved", named("admin"), "422 handle_reserved"),
        ("POST /v1/accounts/challenge", "another method", Ask::new(Method::PUT, "/v1/accounts/challenge"), "405 method_not_allowed"),

        (APPEND, "no ops", append(&[]), "422 no_ops"),
        (APPEND, "more ops than there may be", append(&vec![sign(&next); 500]), "422 too_many_ops"),
        (APPEND, "an op for a later place", append(&[placed(next.seq + 1)]), "422 wrong_seq"),
        (APPEND, "an op for a place that is taken", append(&[placed(next.seq - 1)]), "409 head_moved"),
        (APPEND, "an op after another one", append(&[sign(&Op { prev: vec![7; 32], ..next.clone() })]), "422 wrong_prev"),
        (APPEND, "an op of another chain", append(&[scene.bob.account.next(build::drop_handle(), 0)]), "422 wrong_account"),
        (APPEND, "two ops for one place", append(&[sign(&next), sign(&next)]), "422 wrong_seq"),
        (APPEND, "a damaged signature", append(&[damaged]), "422 bad_signature"),
        (APPEND, "the signature of another account key", append(&[scene.bob.account.sign(&next)]), "422 missing_signature"),
        (APPEND, "a later version", append(&[sign(&Op { v: 9, ..next.clone() })]), "422 upgrade_needed"),
        (APPEND, "no body", append(&[sign(&Op { body: None, ..next.clone() })]), "422 missing_body"),
        (APPEND, "the last admin revoked", append(&[body_of(build::revoke_device(first))]), "422 last_admin"),
        (APPEND, "a device revoked twice", append(&[body_of(build::revoke_device(third)), body_of(build::revoke_device(third))]), "422 wrong_seq"),
        (APPEND, "a device that there is not", append(&[body_of(build::revoke_device(DeviceId::try_from(9_u32).unwrap()))]), "422 unknown_device"),
        (APPEND, "a recovery set that is signed by others", append(&[stranger.sign(&alice.account.state().next_op(build::set_recovery(&recovery), 0))]), "422 missing_signature"),
        (APPEND, "an account that there is not", ask(APPEND, &format!("{unknown}/ops")).json(&json!({ "ops": [op_body(&recover_unknown)] })), "404 unknown_account"),
        (APPEND, "no account", ask(APPEND, "/v1/accounts/nobody/ops").token(Some(alice.token(1))).json(&json!({ "ops": [] })), "422 malformed_path"),

        (CHAIN, "no account", ask(CHAIN, "/v1/accounts/nobody/ops"), "422 malformed_path"),
        (CHAIN, "no number", ask(CHAIN, &format!("{own}?from=-1")), "422 malformed_query"),
        (CHAIN, "a number too large", ask(CHAIN, &format!("{own}?from=99999999999999999999")), "422 malformed_query"),
        (CHAIN, "an account that there is not", ask(CHAIN, &format!("{unknown}/ops")), "404 unknown_account"),
        (HEAD, "no account", ask(HEAD, "/v1/accounts/acct:a/head"), "422 malformed_path"),
        (HEAD, "far too long", ask(HEAD, &format!("/v1/accounts/{}/head", "a".repeat(4_000))), "422 malformed_path"),
        (HEAD, "an account that there is not", ask(HEAD, &format!("{unknown}/head")), "404 unknown_account"),
        (HEAD, "another method", Ask::new(Method::DELETE, format!("/v1/accounts/{}/head", alice.account.id)), "405 method_not_allowed"),
        ("GET /v1/u/{handle}", "no handle", ask("GET /v1/u/{handle}", "/v1/u/Not%20One"), "422 malformed_path"),
        ("GET /v1/u/{handle}", "far too long", ask("GET /v1/u/{handle}", &format!("/v1/u/{}", "a".repeat(4_000))), "422 malformed_path"),
        ("GET /v1/u/{handle}", "a handle that nobody has", ask("GET /v1/u/{handle}", "/v1/u/nobody_at_all"), "404 unknown_handle"),
    ]
}

#[rustfmt::skip]
fn bundles(scene: &Scene) -> Vec<Row> {
    const AT: &str = "POST /v1/accounts/{account}/bundles";
    let of = |account: &str, body: &Value| {
        let path = format!("/v1/accounts/{account}/bundles");
        ask(AT, &path).token(Some(scene.bob.token(1))).json(body)
    };
    let alice = scene.alice.account.id.to_string();
    let mallory = scene.mallory.account.id.to_string();
    vec![
        (AT, "no account", of("nobody", &json!({})), "422 malformed_path"),
        (AT, "an account that there is not", of(&scene.stranger.id.to_string(), &json!({})), "404 unknown_account"),
        (AT, "an account of strangers", of(&mallory, &json!({})), "403 not_interoperable"),
        (AT, "no number of a device", of(&alice, &json!({ "device_ids": [0] })), "422 malformed_json"),
        (AT, "a number too large", of(&alice, &json!({ "device_ids": [128] })), "422 malformed_json"),
        (AT, "a device that there is not", of(&alice, &json!({ "device_ids": [1, 9] })), "404 unknown_device"),
        (AT, "a device that is not ready", of(&alice, &json!({ "device_ids": [1, 3] })), "409 device_not_ready"),
        (AT, "no number of an op", of(&alice, &json!({ "have": "x" })), "422 malformed_json"),
    ]
}

#[rustfmt::skip]
async fn logins(scene: &Scene) -> Vec<Row> {
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
fn links(scene: &Scene) -> Vec<Row> {
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

#[rustfmt::skip]
fn uploads(scene: &Scene) -> Vec<Row> {
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
        ("GET /v1/keys/count", "another method", Ask::new(Method::PUT, "/v1/keys/count").token(token), "405 method_not_allowed"),
        ("GET /v1/keys/digest", "no token", ask("GET /v1/keys/digest", "/v1/keys/digest").token(Some("x.y")), "401 token_malformed"),
        ("GET /v1/keys/digest", "another method", Ask::new(Method::POST, "/v1/keys/digest").token(token), "405 method_not_allowed"),
    ]
}

#[rustfmt::skip]
fn for_everybody(scene: &Scene) -> Vec<Row> {
    const IDENTITY: &str = "GET /.well-known/chat-identity";
    const FINGER: &str = "GET /.well-known/webfinger";
    let domain = scene.raw.domain();
    let identity = |query: &str| ask(IDENTITY, &format!("/.well-known/chat-identity{query}"));
    let finger = |query: &str| ask(FINGER, &format!("/.well-known/webfinger{query}"));
    vec![
        (IDENTITY, "no handle", identity(""), "422 malformed_query"),
        (IDENTITY, "a malformed handle", identity("?handle=!!"), "422 malformed_query"),
        (IDENTITY, "far too long", identity(&format!("?handle={}", "a".repeat(4_000))), "422 malformed_query"),
        (IDENTITY, "a handle that nobody has", identity(&format!("?handle=nobody_at_all@{domain}")), "404 unknown_handle"),
        (IDENTITY, "the home of others", identity("?handle=alice@elsewhere.example"), "404 other_domain"),
        (FINGER, "no resource", finger("?rel=self"), "422 malformed_query"),
        (FINGER, "a malformed resource", finger("?resource=acct:!!"), "422 malformed_query"),
        (FINGER, "a resource of another kind", finger("?resource=mailto:alice@elsewhere.example"), "404 unknown_handle"),
        (FINGER, "the home of others", finger("?resource=acct:alice@elsewhere.example"), "404 other_domain"),
        ("GET /.well-known/nodeinfo", "another method", Ask::new(Method::POST, "/.well-known/nodeinfo"), "405 method_not_allowed"),
        ("GET /nodeinfo/2.1", "another method", Ask::new(Method::PUT, "/nodeinfo/2.1"), "405 method_not_allowed"),
        ("GET /nodeinfo/2.1", "another version", Ask::new(Method::GET, "/nodeinfo/1.0"), "404 no_such_endpoint"),
    ]
}

#[rustfmt::skip]
fn messages(scene: &Scene) -> Vec<Row> {
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
