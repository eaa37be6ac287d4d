use reqwest::Method;
use sotto_e2e::raw::Ask;

use super::{Row, ask};
use crate::bad_input::scene::Scene;

#[rustfmt::skip]
pub(super) fn for_everybody(scene: &Scene) -> Vec<Row> {
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
