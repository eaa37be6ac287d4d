mod accounts;
mod entering;
mod groups;
mod messages;
mod uploads;
mod well_known;

use sotto_e2e::raw::Ask;

use super::scene::Scene;

/// An endpoint, what is wrong, the request, and its answer.
type Row = (&'static str, &'static str, Ask, &'static str);

/// The most that a body may have, and one more.
const TOO_LARGE: usize = (1 << 20) + 1;

/// More than a body with a commit may have.
const TOO_LARGE_COMMIT: usize = 1_440_000;

pub(super) async fn requests(scene: &Scene) -> Vec<Row> {
    let mut rows = bodies(scene);
    rows.extend(accounts::accounts(scene));
    rows.extend(accounts::bundles(scene));
    rows.extend(entering::logins(scene).await);
    rows.extend(entering::links(scene));
    rows.extend(uploads::uploads(scene));
    rows.extend(well_known::for_everybody(scene));
    rows.extend(messages::messages(scene));
    rows.extend(groups::key_packages(scene));
    rows.extend(groups::changes(scene));
    rows.extend(groups::following(scene));
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
    let group = |part: &str| format!("/v1/groups/{}/{part}", scene.group.id);
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
        ("PUT /v1/keys/packages", "/v1/keys/packages".to_owned(), alice),
        ("POST /v1/key-packages", "/v1/key-packages".to_owned(), alice),
        ("POST /v1/groups", "/v1/groups".to_owned(), alice),
        ("PUT /v1/groups/cursors", "/v1/groups/cursors".to_owned(), alice),
        ("POST /v1/groups/{group}/commits", group("commits"), alice),
        ("POST /v1/groups/{group}/proposals", group("proposals"), alice),
        ("PUT /v1/groups/{group}/metadata", group("metadata"), alice),
        ("POST /v1/groups/{group}/reset", group("reset"), alice),
        ("POST /v1/groups/{group}/messages", group("messages"), alice),
    ];
    let mut rows = Vec::new();
    for (at, path, token) in endpoints {
        let ask = ask(at, &path).token(token);
        let json = |body: &str| ask.clone().bytes("application/json", body);
        // A commit may be larger than other bodies.
        let large = if at.ends_with("commits") { TOO_LARGE_COMMIT } else { TOO_LARGE };
        let large = " ".repeat(large);
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
    "envelope_ids": 1, "accounts": 1, "last_resort": 1, "group_info": 1, "sealed_metadata": 1,
    "cursors": 1, "commit": 1, "proposal": 1, "generation": -1, "epoch": -1, "message": 1}"#;
