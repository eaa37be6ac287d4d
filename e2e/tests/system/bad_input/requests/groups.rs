use reqwest::Method;
use serde_json::{Value, json};
use sotto_e2e::raw::Ask;
use sotto_ids::{Base64Bytes, limits::MAX_GROUP_MESSAGE_BYTES};

use super::{Row, ask};
use crate::bad_input::scene::Scene;

/// A group that there is not.
const NOWHERE: &str = "3b9f6f0e-51c6-4b8e-9d6a-0c1f3f5a7b11";

const CREATE: &str = "POST /v1/groups";
const COMMIT: &str = "POST /v1/groups/{group}/commits";
const PROPOSE: &str = "POST /v1/groups/{group}/proposals";
const RESEAL: &str = "PUT /v1/groups/{group}/metadata";
const RESET: &str = "POST /v1/groups/{group}/reset";
const SEND: &str = "POST /v1/groups/{group}/messages";
const CURSORS: &str = "PUT /v1/groups/cursors";

fn bytes(count: usize) -> Value {
    json!(Base64Bytes(vec![7; count]))
}

fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[name] = value;
    body
}

/// What changes a group.
#[rustfmt::skip]
pub(super) fn changes(scene: &Scene) -> Vec<Row> {
    let group = &scene.group;
    let (alice, bob) = (Some(scene.alice.token(1)), Some(scene.bob.token(1)));
    let of = |at: &str, part: &str, token, body: &Value| {
        ask(at, &format!("/v1/groups/{}/{part}", group.id)).token(token).json(body)
    };
    let create = |token, body: &Value| ask(CREATE, "/v1/groups").token(token).json(body);
    let commit = |body: &Value| of(COMMIT, "commits", alice, body);
    let propose = |token, body: &Value| of(PROPOSE, "proposals", token, body);
    let reseal = |body: &Value| of(RESEAL, "metadata", alice, body);
    let reset = |token, body: &Value| of(RESET, "reset", token, body);
    let nowhere = |at: &str, part: &str, body: &Value| {
        ask(at, &format!("/v1/groups/{NOWHERE}/{part}")).token(alice).json(body)
    };
    let sealed = json!({ "generation": 0, "epoch": group.epoch, "sealed_metadata": bytes(64) });
    let mut cut = group.commit["commit"].as_str().unwrap().to_owned();
    cut.truncate(cut.len() / 8 * 4);
    vec![
        (CREATE, "noise", create(alice, &with(&group.begin, "group_info", bytes(100))), "422 malformed_mls"),
        (CREATE, "a commit in its place", create(alice, &with(&group.begin, "group_info", group.commit["commit"].clone())), "422 malformed_mls"),
        (CREATE, "too large an info", create(alice, &with(&group.begin, "group_info", bytes(8 * 1024 + 1))), "422 too_large"),
        (CREATE, "metadata too large", create(alice, &with(&group.begin, "sealed_metadata", bytes(18 * 1024 + 1))), "422 too_large"),
        (CREATE, "of another generation", create(alice, &group.other_reset), "422 malformed_json"),
        (CREATE, "in the name of somebody else", create(bob, &group.begin), "403 not_allowed"),
        (CREATE, "a group that there is", create(bob, &group.begin_again), "409 group_exists"),
        (CREATE, "the info of a later epoch", create(alice, &with(&group.begin, "group_info", group.commit["group_info"].clone())), "422 group_info_mismatch"),
        (COMMIT, "no group", ask(COMMIT, "/v1/groups/nothing/commits").token(alice).json(&group.commit), "422 malformed_path"),
        (COMMIT, "of another group", nowhere(COMMIT, "commits", &group.commit), "422 malformed_mls"),
        (COMMIT, "noise", commit(&with(&group.commit, "commit", bytes(300))), "422 malformed_mls"),
        (COMMIT, "nothing", commit(&with(&group.commit, "commit", json!(""))), "422 malformed_mls"),
        (COMMIT, "half of one", commit(&with(&group.commit, "commit", json!(cut))), "422 malformed_mls"),
        (COMMIT, "a proposal in its place", commit(&with(&group.commit, "commit", group.leave["proposal"].clone())), "422 malformed_mls"),
        (COMMIT, "a message in its place", commit(&with(&group.commit, "commit", group.message["message"].clone())), "422 malformed_mls"),
        (COMMIT, "no base64", commit(&with(&group.commit, "commit", json!("!"))), "422 malformed_json"),
        (COMMIT, "an unknown field", commit(&with(&group.commit, "silent", json!(true))), "422 malformed_json"),
        (COMMIT, "a commit too large", commit(&with(&group.commit, "commit", bytes(512 * 1024 + 1))), "422 too_large"),
        (COMMIT, "a welcome too large", commit(&with(&group.commit, "welcome", bytes(512 * 1024 + 1))), "422 too_large"),
        (COMMIT, "an info too large", commit(&with(&group.commit, "group_info", bytes(8 * 1024 + 1))), "422 too_large"),
        (COMMIT, "metadata too large", commit(&with(&group.commit, "sealed_metadata", bytes(18 * 1024 + 1))), "422 too_large"),
        (COMMIT, "the info of another commit", commit(&with(&group.commit, "group_info", group.other_commit["group_info"].clone())), "422 group_info_mismatch"),
        (COMMIT, "an info of noise", commit(&with(&group.commit, "group_info", bytes(100))), "422 malformed_mls"),
        (COMMIT, "a welcome for nobody", commit(&with(&group.commit, "welcome", group.uncertified["welcome"].clone())), "422 welcome_mismatch"),
        (COMMIT, "nobody is welcomed", commit(&with(&group.uncertified, "welcome", Value::Null)), "422 welcome_mismatch"),
        (COMMIT, "somebody without a certificate", commit(&group.uncertified), "422 leaf_uncertified"),
        (COMMIT, "an epoch that is over", commit(&group.late_commit), "409 epoch_taken"),
        (COMMIT, "the commit of somebody else", of(COMMIT, "commits", bob, &group.commit), "403 not_allowed"),
        (COMMIT, "somebody else's, from outside", commit(&group.intrusion), "403 not_allowed"),
        (PROPOSE, "noise", propose(bob, &json!({ "proposal": bytes(100) })), "422 malformed_mls"),
        (PROPOSE, "a commit in its place", propose(bob, &json!({ "proposal": group.commit["commit"] })), "422 malformed_mls"),
        (PROPOSE, "too large", propose(bob, &json!({ "proposal": bytes(4 * 1024 + 1) })), "422 too_large"),
        (PROPOSE, "somebody else's", propose(alice, &group.leave), "403 not_allowed"),
        (PROPOSE, "the only admin's", propose(alice, &group.admins_leave), "403 not_allowed"),
        (PROPOSE, "of another group", nowhere(PROPOSE, "proposals", &group.leave), "422 malformed_mls"),
        (RESEAL, "for the epoch before", reseal(&with(&sealed, "epoch", json!(group.epoch - 1))), "409 stale_epoch"),
        (RESEAL, "for another generation", reseal(&with(&sealed, "generation", json!(3))), "409 stale_epoch"),
        (RESEAL, "sealed already", reseal(&sealed), "409 metadata_sealed"),
        (RESEAL, "too large", reseal(&with(&sealed, "sealed_metadata", bytes(18 * 1024 + 1))), "422 too_large"),
        (RESEAL, "no group", ask(RESEAL, "/v1/groups/nothing/metadata").token(alice).json(&sealed), "422 malformed_path"),
        (RESEAL, "a group that there is not", nowhere(RESEAL, "metadata", &sealed), "403 not_a_member"),
        (RESET, "by no admin", reset(bob, &group.reset_by_bob), "403 not_allowed"),
        (RESET, "of another generation", reset(alice, &group.other_reset), "409 generation_taken"),
        (RESET, "no such generation", reset(alice, &with(&group.other_reset, "generation", json!(u32::MAX))), "422 malformed_mls"),
        (RESET, "noise", reset(alice, &with(&with(&group.other_reset, "group_info", bytes(100)), "generation", json!(0))), "422 malformed_mls"),
        (RESET, "an info too large", reset(alice, &with(&group.other_reset, "group_info", bytes(8 * 1024 + 1))), "422 too_large"),
    ]
}

/// Messages, cursors and what is read.
#[rustfmt::skip]
pub(super) fn following(scene: &Scene) -> Vec<Row> {
    const LIST: &str = "GET /v1/groups";
    const SENDER: &str = "GET /v1/groups/external-sender";
    const WELCOMES: &str = "GET /v1/groups/welcomes";
    const FORGET: &str = "DELETE /v1/groups/{group}/welcome";
    const LOG: &str = "GET /v1/groups/{group}/log";
    const INFO: &str = "GET /v1/groups/{group}/info";
    const TREE: &str = "GET /v1/groups/{group}/tree";
    const DELIVERY: &str = "GET /v1/groups/{group}/cursors";
    let group = &scene.group;
    let bob = Some(scene.bob.token(1));
    let of = |at: &str, group: &str, part: &str| ask(at, &format!("/v1/groups/{group}/{part}")).token(bob);
    let id = group.id.to_string();
    let send = |body: &Value| of(SEND, &id, "messages").json(body);
    let cursors = |body: Value| ask(CURSORS, "/v1/groups/cursors").token(bob).json(&json!({ "cursors": body }));
    let one = json!({ "group": id, "seq": 1 });
    let large = bytes(MAX_GROUP_MESSAGE_BYTES + 1);
    vec![
        (SEND, "no group", of(SEND, "nothing", "messages").json(&group.message), "422 malformed_path"),
        (SEND, "a group that there is not", of(SEND, NOWHERE, "messages").json(&group.message), "422 malformed_group_message"),
        (SEND, "no id of a message", send(&with(&group.message, "client_msg_id", json!("x"))), "422 malformed_message_id"),
        (SEND, "an id of another kind", send(&with(&group.message, "client_msg_id", json!(NOWHERE))), "422 malformed_message_id"),
        (SEND, "noise", send(&with(&group.message, "message", bytes(100))), "422 malformed_group_message"),
        (SEND, "nothing", send(&with(&group.message, "message", json!(""))), "422 malformed_group_message"),
        (SEND, "a commit in its place", send(&with(&group.message, "message", group.commit["commit"].clone())), "422 malformed_group_message"),
        (SEND, "another epoch than it says", send(&with(&group.message, "epoch", json!(group.epoch + 1))), "422 malformed_group_message"),
        (SEND, "another generation than it says", send(&with(&group.message, "generation", json!(1))), "422 malformed_group_message"),
        (SEND, "an epoch that is over", send(&group.late_message), "409 stale_epoch"),
        (SEND, "too large", send(&with(&group.message, "message", large)), "422 message_too_large"),
        (CURSORS, "no group", cursors(json!([with(&one, "group", json!("x"))])), "422 malformed_json"),
        (CURSORS, "no group among others", cursors(json!([one, with(&one, "group", json!(""))])), "422 malformed_json"),
        (CURSORS, "a negative one", cursors(json!([with(&one, "seq", json!(-1))])), "422 malformed_json"),
        (CURSORS, "too many", cursors(json!(vec![one.clone(); 257])), "422 too_many"),
        (CURSORS, "a group of nobody's", cursors(json!([with(&one, "group", json!(NOWHERE))])), "204"),
        (CURSORS, "one that goes back", cursors(json!([with(&one, "seq", json!(0))])), "204"),
        (LIST, "another method", Ask::new(Method::DELETE, "/v1/groups").token(bob), "405 method_not_allowed"),
        (SENDER, "another method", Ask::new(Method::POST, "/v1/groups/external-sender").token(bob), "405 method_not_allowed"),
        (LOG, "no group", of(LOG, "nothing", "log"), "422 malformed_path"),
        (LOG, "a group that there is not", of(LOG, NOWHERE, "log"), "403 not_a_member"),
        (LOG, "no number", of(LOG, &id, "log?after=x"), "422 malformed_query"),
        (LOG, "a negative number", of(LOG, &id, "log?after=-1"), "422 malformed_query"),
        (LOG, "an unknown parameter", of(LOG, &id, "log?since=1"), "422 malformed_query"),
        (INFO, "no group", of(INFO, "nothing", "info"), "422 malformed_path"),
        (INFO, "a group that there is not", of(INFO, NOWHERE, "info"), "403 not_a_member"),
        (TREE, "no epoch", of(TREE, &id, "tree"), "422 malformed_query"),
        (TREE, "no generation", of(TREE, &id, "tree?epoch=1"), "422 malformed_query"),
        (TREE, "an epoch that is over", of(TREE, &id, "tree?generation=0&epoch=0"), "410 tree_gone"),
        (TREE, "an epoch that has not begun", of(TREE, &id, "tree?generation=0&epoch=99"), "410 tree_gone"),
        (TREE, "a group that there is not", of(TREE, NOWHERE, "tree?generation=0&epoch=0"), "403 not_a_member"),
        (DELIVERY, "a group that there is not", of(DELIVERY, NOWHERE, "cursors"), "403 not_a_member"),
        (DELIVERY, "no group", of(DELIVERY, "nothing", "cursors"), "422 malformed_path"),
        (WELCOMES, "no number", ask(WELCOMES, "/v1/groups/welcomes?limit=x").token(bob), "422 malformed_query"),
        (WELCOMES, "another method", Ask::new(Method::POST, "/v1/groups/welcomes").token(bob), "405 method_not_allowed"),
        (FORGET, "no epoch", of(FORGET, &id, "welcome"), "422 malformed_query"),
        (FORGET, "no group", of(FORGET, "nothing", "welcome?generation=0&epoch=0"), "422 malformed_path"),
        (FORGET, "one that does not wait", of(FORGET, &id, "welcome?generation=0&epoch=1"), "204"),
    ]
}

/// KeyPackages.
#[rustfmt::skip]
pub(super) fn key_packages(scene: &Scene) -> Vec<Row> {
    const PUBLISH: &str = "PUT /v1/keys/packages";
    const CLAIM: &str = "POST /v1/key-packages";
    let group = &scene.group;
    let alice = Some(scene.alice.token(1));
    let b64 = |bytes: &[u8]| json!(Base64Bytes(bytes.to_vec()));
    let publish = |body: Value| ask(PUBLISH, "/v1/keys/packages").token(alice).json(&body);
    let one_time = |packages: Vec<Value>| publish(json!({ "one_time": packages }));
    let claim = |accounts: Value| ask(CLAIM, "/v1/key-packages").token(alice).json(&json!({ "accounts": accounts }));
    let (sound, last) = (b64(&group.package), b64(&group.last_resort));
    let mut broken = group.package.clone();
    *broken.last_mut().unwrap() ^= 1;
    let bob = scene.bob.account.id;
    vec![
        (PUBLISH, "noise", one_time(vec![bytes(100)]), "422 key_package_malformed"),
        (PUBLISH, "noise among others", one_time(vec![sound.clone(), bytes(100)]), "422 key_package_malformed"),
        (PUBLISH, "something behind it", one_time(vec![b64(&[group.package.as_slice(), &[0]].concat())]), "422 key_package_malformed"),
        (PUBLISH, "too large", one_time(vec![bytes(2_049)]), "422 key_package_too_large"),
        (PUBLISH, "a broken signature", one_time(vec![b64(&broken)]), "422 key_package_invalid"),
        (PUBLISH, "one twice", one_time(vec![sound.clone(), sound.clone()]), "422 key_package_duplicate"),
        (PUBLISH, "too many", one_time(vec![sound.clone(); 101]), "422 too_many_key_packages"),
        (PUBLISH, "another key than the chain has", one_time(vec![b64(&group.uncertified_package)]), "422 key_package_uncertified"),
        (PUBLISH, "another device's", one_time(vec![b64(&group.others_package)]), "422 key_package_uncertified"),
        (PUBLISH, "one of last resort for one use", one_time(vec![last.clone()]), "422 key_package_last_resort"),
        (PUBLISH, "one for one use as last resort", publish(json!({ "last_resort": sound })), "422 key_package_last_resort"),
        (CLAIM, "no account", claim(json!(["nobody"])), "422 malformed_json"),
        (CLAIM, "too many", claim(json!(vec![bob; 101])), "422 too_many_accounts"),
        (CLAIM, "one twice", claim(json!([bob, bob])), "422 duplicate_accounts"),
        (CLAIM, "somebody of strangers", claim(json!([scene.mallory.account.id])), "403 not_interoperable"),
        (CLAIM, "an account that there is not", claim(json!([scene.stranger.id])), "200"),
    ]
}
