//! What anybody may read.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sotto_keys::RegistrationMode;
use sqlx::PgPool;

use crate::harness::{
    DOMAIN, NOW_MS, TestKeys,
    person::{Person, base64},
};

impl TestKeys {
    async fn alice(&self) -> Person {
        let mut alice = self.person().await;
        let op = alice.set_handle("alice");
        self.append(&alice, &[op]).await.ok();
        alice
    }

    async fn document(&self, path: &str) -> (HeaderMap, Value) {
        let response = self.raw(Method::GET, path, |request| request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers().clone();
        (headers, response.json().await.unwrap())
    }
}

const IDENTITY: &str = "/.well-known/chat-identity?handle=";
const WEBFINGER: &str = "/.well-known/webfinger?resource=";

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_identity_document_says_what_the_chain_says(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.alice().await;

    let (headers, document) = keys.document(&format!("{IDENTITY}alice@sotto.test")).await;

    assert_eq!(headers["access-control-allow-origin"], "*");
    let device = &alice.state.devices.values().next().unwrap();
    let id = alice.id().to_string();
    let expected = json!({
        "v": 1,
        "handle": "alice@sotto.test",
        "account": id,
        "uuid": alice.uuid().to_string(),
        "home": DOMAIN,
        "head": { "seq": 1, "hash": base64(alice.state.head.as_bytes()) },
        "chain": format!("https://sotto.test/v1/accounts/{id}/ops"),
        "account_key": base64(&alice.state.account_key),
        "devices": [{
            "id": 1,
            "identity_key": base64(device.identity_key.as_bytes()),
            "mls_key": base64(&device.mls_key),
            "suites": ["PQXDH-1"],
        }],
        "endpoints": [],
    });
    assert_eq!(document, expected);
    assert_eq!(keys.document(&format!("{IDENTITY}alice@Sotto.Test")).await.1, expected);
}

/// Caught: a document of all devices that the chain ever had.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_identity_document_names_live_devices_only(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.alice().await;
    let ops = [
        alice.add_device(2, false),
        alice.add_device_until(3, NOW_MS + 1000),
        alice.add_device(4, false),
        alice.revoke_device(4),
    ];
    keys.append(&alice, &ops).await.ok();
    let ids = async || -> Vec<u64> {
        let (_, document) = keys.document(&format!("{IDENTITY}alice@sotto.test")).await;
        let devices = document["devices"].as_array().unwrap();
        devices.iter().map(|device| device["id"].as_u64().unwrap()).collect()
    };

    assert_eq!(ids().await, [1, 2, 3]);
    keys.clock.advance(Duration::from_secs(1));
    assert_eq!(ids().await, [1, 2]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn names_that_lead_nowhere_are_refused_by_name(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.alice().await;
    let op = alice.set_handle("liddell");
    keys.append(&alice, &[op]).await.ok();

    for path in [IDENTITY.to_owned(), format!("{WEBFINGER}acct:")] {
        for name in ["nobody@sotto.test", "alice@sotto.test"] {
            keys.get(&format!("{path}{name}")).await.refused(404, "unknown_handle");
        }
        let other = keys.get(&format!("{path}liddell@elsewhere.test")).await;
        other.refused(404, "other_domain");
        for name in ["", "liddell", "@sotto.test", "Liddell@sotto.test", "li%20@sotto.test"] {
            keys.get(&format!("{path}{name}")).await.refused(422, "malformed_query");
        }
    }
    keys.get("/.well-known/chat-identity").await.refused(422, "malformed_query");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn webfinger_leads_to_the_document_and_to_the_chain(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.alice().await;

    let (headers, document) = keys.document(&format!("{WEBFINGER}acct:alice%40sotto.test")).await;

    assert_eq!(headers["content-type"], "application/jrd+json");
    assert_eq!(headers["access-control-allow-origin"], "*");
    let id = alice.id().to_string();
    assert_eq!(document["subject"], "acct:alice@sotto.test");
    assert_eq!(document["aliases"], json!([id]));
    let identity = json!({
        "rel": "self",
        "type": "application/json",
        "href": "https://sotto.test/.well-known/chat-identity?handle=alice@sotto.test",
    });
    let chain = json!({
        "rel": "tag:sotto,2026:rel/chain",
        "type": "application/x-protobuf",
        "href": format!("https://sotto.test/v1/accounts/{id}/ops"),
    });
    assert_eq!(document["links"], json!([identity, chain]));

    // RFC 7033 section 4.3: rel may be given more than once, and takes only from the links.
    for (rel, links) in [
        ("&rel=self", json!([identity])),
        ("&rel=self&rel=tag:sotto,2026:rel/chain", json!([identity, chain])),
        ("&rel=http://webfinger.net/rel/avatar", json!([])),
    ] {
        let path = format!("{WEBFINGER}acct:alice@sotto.test{rel}");
        let (_, document) = keys.document(&path).await;
        assert_eq!((&document["links"], &document["aliases"]), (&links, &json!([id])), "{rel}");
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn webfinger_needs_a_resource(db: PgPool) {
    let keys = TestKeys::start(db).await;
    for query in ["", "?rel=self", "?resource="] {
        let path = format!("/.well-known/webfinger{query}");
        let response = keys.raw(Method::GET, &path, |request| request).await;
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["reason"], "malformed_query", "{query}");
    }
    keys.get(&format!("{WEBFINGER}https://sotto.test/alice")).await.refused(404, "unknown_handle");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_head_is_answered_without_a_body(db: PgPool) {
    let keys = TestKeys::start(db).await;
    keys.alice().await;
    for path in [
        &format!("{IDENTITY}alice@sotto.test"),
        &format!("{WEBFINGER}acct:alice@sotto.test"),
        "/.well-known/nodeinfo",
        "/nodeinfo/2.1",
    ] {
        let response = keys.raw(Method::HEAD, path, |request| request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(response.headers().contains_key("content-type"));
        assert_eq!(response.bytes().await.unwrap().len(), 0);
    }
    let response = keys.raw(Method::HEAD, &format!("{IDENTITY}bob@sotto.test"), |r| r).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let response = keys.raw(Method::POST, "/.well-known/nodeinfo", |request| request).await;
    assert!(response.status().is_client_error());
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nodeinfo_counts_roughly_and_seldom(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (_, links) = keys.document("/.well-known/nodeinfo").await;
    assert_eq!(
        links["links"],
        json!([{ "rel": "http://nodeinfo.diaspora.software/ns/schema/2.1",
            "href": "https://sotto.test/nodeinfo/2.1" }])
    );
    let users = async || keys.document("/nodeinfo/2.1").await.1["usage"]["users"]["total"].clone();
    assert_eq!(users().await, 0);

    join_all((0..13).map(|_| keys.person())).await;

    assert_eq!(users().await, 0, "not counted again yet");
    keys.clock.advance(Duration::from_hours(1));
    assert_eq!(users().await, 10);
    let (headers, document) = keys.document("/nodeinfo/2.1").await;
    assert_eq!(
        headers["content-type"],
        "application/json; profile=\"http://nodeinfo.diaspora.software/ns/schema/2.1#\""
    );
    assert_eq!(
        (&document["version"], &document["openRegistrations"]),
        (&json!("2.1"), &json!(true))
    );
    assert_eq!(document["software"]["name"], "sotto");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_documents_follow_the_settings(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| {
        config.public.url = "https://chat.example:8443/sotto".to_owned();
        config.registration.mode = RegistrationMode::Invite;
    })
    .await;

    let (_, links) = keys.document("/.well-known/nodeinfo").await;

    let href = links["links"][0]["href"].as_str().unwrap();
    assert_eq!(href, "https://chat.example:8443/sotto/nodeinfo/2.1");
    assert_eq!(keys.document("/nodeinfo/2.1").await.1["openRegistrations"], false);
}
