//! Every documented path takes the documented methods and no other. That each handler is
//! documented, `cargo xtask docs` sees.

use std::collections::BTreeSet;

use reqwest::{Client, Method, StatusCode, header};
use sotto_testkit::Cluster;

use super::{OF_GATEWAY, OF_GROUPS, document, gateway};

/// Caught: a description with one letter of a path changed, one with a method less than the
/// route takes, and one with a method more.
#[tokio::test(flavor = "multi_thread")]
async fn each_path_takes_the_methods_that_its_description_has() {
    let document = document().await;
    let cluster = Cluster::builder().fast_and_forgetful().start().await.unwrap();
    let http = Client::new();

    for (path, methods) in document["paths"].as_object().unwrap() {
        let mut documented: BTreeSet<_> =
            methods.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if documented.contains("GET") {
            documented.insert("HEAD".to_owned());
        }
        let is_of = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
        let base = match path {
            _ if is_of(&OF_GATEWAY) => gateway(&cluster),
            _ if is_of(&OF_GROUPS) => cluster.groups_url(0),
            _ => cluster.rest_url(),
        };
        let url = format!("{base}{}", path.replace(['{', '}'], ""));

        let response = http.request(Method::PATCH, &url).send().await.unwrap();

        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed = response.headers()[header::ALLOW].to_str().unwrap();
        let allowed: BTreeSet<_> = allowed.split(", ").map(str::to_owned).collect();
        assert_eq!(allowed, documented, "{path}");
    }
    cluster.stop().await.unwrap();
}
