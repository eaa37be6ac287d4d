//! A key set as an app publishes it (RFC 7517 section 5).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::{config::Jwk, key::AppKey};

/// The most keys of a set that are looked at.
const MAX_KEYS: usize = 64;

/// The document is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwksFlaw {
    #[error("it is no JWK set")]
    NoSet,
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    #[error("it has no key that can be used here")]
    NoUsableKey,
    #[error("two of its keys have one kid")]
    SharedKid,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Published {
    kid: String,
    kty: String,
    crv: String,
    x: String,
    #[serde(default)]
    y: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
}

/// The keys of a set that can be used here, by kid. Others are passed over, as the RFC
/// wants it: a symmetric key, an RSA key, one without a name or for encryption.
pub(crate) fn parse(document: &[u8]) -> Result<HashMap<String, AppKey>, JwksFlaw> {
    let set: Set = serde_json::from_slice(document).map_err(|_| JwksFlaw::NoSet)?;
    if set.keys.len() > MAX_KEYS {
        return Err(JwksFlaw::TooMany);
    }
    let mut keys = HashMap::new();
    for (kid, key) in set.keys.into_iter().filter_map(usable) {
        if keys.insert(kid, key).is_some() {
            return Err(JwksFlaw::SharedKid);
        }
    }
    if keys.is_empty() { Err(JwksFlaw::NoUsableKey) } else { Ok(keys) }
}

fn usable(key: Value) -> Option<(String, AppKey)> {
    let Published { kid, kty, crv, x, y, alg, purpose } = serde_json::from_value(key).ok()?;
    let jwk = Jwk { kid, kty, crv, x, y, alg, purpose };
    let key = AppKey::parse(&jwk).ok()?;
    Some((jwk.kid, key))
}

/// Reads a set twice, the second time with its keys the other way round: their order says
/// nothing.
#[cfg(fuzzing)]
pub(crate) fn fuzz(document: &[u8]) {
    let read = parse(document);
    if let Ok(keys) = &read {
        assert!((1..=MAX_KEYS).contains(&keys.len()));
        assert!(keys.keys().all(|kid| (1..=128).contains(&kid.len())));
        assert!(keys.values().all(|key| matches!(key.algorithm_name(), "EdDSA" | "ES256")));
    }
    let Ok(Set { mut keys }) = serde_json::from_slice(document) else {
        assert_eq!(read.err(), Some(JwksFlaw::NoSet));
        return;
    };
    keys.reverse();
    let reversed = parse(serde_json::json!({ "keys": keys }).to_string().as_bytes());
    match (read, reversed) {
        (Ok(read), Ok(reversed)) => {
            assert!(
                read.len() == reversed.len() && read.keys().all(|kid| reversed.contains_key(kid))
            );
        }
        (read, reversed) => assert_eq!(read.err(), reversed.err()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of RFC 8037 appendix A.2.
    const ED25519: &str = r#"{ "kid": "ed", "kty": "OKP", "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "key_ops": ["verify"] }"#;

    fn set(keys: &str) -> Result<Vec<String>, JwksFlaw> {
        let keys = parse(format!("{{\"keys\": [{keys}]}}").as_bytes())?;
        Ok(keys.into_keys().collect())
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let others = r#", {"kid": "s", "kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": "AQ", "e": "AQ"},
            {"kid": 7}, "text", null"#;
        assert_eq!(set(&format!("{ED25519}{others}")).unwrap(), ["ed"]);
    }

    #[test]
    fn a_set_without_a_usable_key_is_no_set() {
        assert_eq!(set(""), Err(JwksFlaw::NoUsableKey));
        assert_eq!(set(r#"{"kid": "s", "kty": "oct", "k": ""}"#), Err(JwksFlaw::NoUsableKey));
        for text in ["", "[]", "{}", "{\"keys\": {}}", "<html>"] {
            assert_eq!(parse(text.as_bytes()).err(), Some(JwksFlaw::NoSet), "{text}");
        }
    }

    #[test]
    fn a_set_that_is_ambiguous_or_endless_is_refused() {
        assert_eq!(set(&format!("{ED25519}, {ED25519}")), Err(JwksFlaw::SharedKid));
        let many = vec!["{}"; MAX_KEYS + 1].join(", ");
        assert_eq!(set(&many), Err(JwksFlaw::TooMany));
    }
}
