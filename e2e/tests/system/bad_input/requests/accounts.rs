use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::raw::Ask;
use sotto_identity::{Op, SignedOp, build};
use sotto_ids::DeviceId;
use sotto_load::light::{Account, op_body};

use super::{Row, ask};
use crate::bad_input::scene::Scene;

#[rustfmt::skip]
pub(super) fn accounts(scene: &Scene) -> Vec<Row> {
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
pub(super) fn bundles(scene: &Scene) -> Vec<Row> {
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
