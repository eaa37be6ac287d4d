//! What there is to ask of a deployment, as its documents say.

use std::collections::BTreeSet;

/// The endpoints of `docs/api/openapi.json` and the frames of the proto that are not
/// among these names.
pub(crate) fn missing<'n>(rows: impl IntoIterator<Item = &'n str>) -> BTreeSet<String> {
    let plain = |name: &str| {
        // What a part of a path is called says nothing about what it is.
        let parts = name.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let rows: BTreeSet<_> = rows.into_iter().map(plain).collect();
    let all = endpoints().into_iter().chain(frames());
    all.filter(|name| !rows.contains(&plain(name))).collect()
}

fn endpoints() -> Vec<String> {
    // Tests run in the folder of their package.
    let text = std::fs::read_to_string("../docs/api/openapi.json").unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let methods = ["get", "put", "post", "delete", "patch", "options", "trace"];
    let of_path = |(path, item): (&String, &serde_json::Value)| {
        let taken = methods.into_iter().filter(|method| item.get(*method).is_some());
        taken.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    let all: Vec<_> = paths.iter().flat_map(of_path).collect();
    assert!(all.len() > 20, "{all:?}");
    all
}

fn frames() -> Vec<String> {
    let text = std::fs::read_to_string("../proto/sotto/socket/v1/socket.proto").unwrap();
    let (_, frame) = text.split_once("message ClientFrame").unwrap();
    let (_, bodies) = frame.split_once("oneof body {").unwrap();
    let (bodies, _) = bodies.split_once('}').unwrap();
    let kind = |line: &str| Some(format!("frame {}", line.split_whitespace().next()?));
    let all: Vec<_> = bodies.lines().filter(|line| line.contains('=')).filter_map(kind).collect();
    assert!(all.len() > 4, "{all:?}");
    all
}
