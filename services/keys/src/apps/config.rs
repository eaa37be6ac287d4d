//! The section `[apps]`: who may send users here, and whose users may meet.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sotto_kit::{
    config::{Validate, require},
    limits::{Class, Rate},
};
use url::{Host, Url};

use super::key::AppKey;

/// The section `[apps]`: an app's table by its id, which is the `iss` of its tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppsConfig(pub BTreeMap<String, AppConfig>);

/// The section `[apps.<id>]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// The public keys that sign the tokens of its users: one, or two while they are
    /// being changed; at most 8.
    #[serde(default)]
    pub keys: Vec<Jwk>,
    /// In place of `keys`: where the app publishes them as a JWK set (RFC 7517 section
    /// 5). `https`, or `http` on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<Url>,
    /// The apps whose users may write to its users. It counts where both list each
    /// other.
    #[serde(default)]
    pub interop: Vec<String>,
    /// What all of its users together may ask for, of the classes that have a ceiling.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<Class, Rate>,
}

/// A public key as a JWK (RFC 7517, RFC 8037): Ed25519 or P-256. There is no room
/// for a private one, which stays with the app.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// Its name in the header of a token, unique in its app.
    pub kid: String,
    /// `OKP` or `EC`.
    pub kty: String,
    /// `Ed25519` or `P-256`.
    pub crv: String,
    /// 32 bytes in base64url without padding.
    pub x: String,
    /// The same, for P-256 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Where it is given it must be the algorithm of the curve: `EdDSA` or `ES256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// Where it is given it must be `sig`.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// The most keys of one app.
const MAX_KEYS: usize = 8;

impl Validate for AppsConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        for (id, app) in &self.0 {
            let section = format!("apps.{id}");
            require(problems, is_app_id(id), || {
                format!("{section}: an app's id has 1 to 64 of the characters a-z, 0-9 and -")
            });
            match &app.jwks_url {
                None => require(problems, (1..=MAX_KEYS).contains(&app.keys.len()), || {
                    format!("{section}.keys: must have between 1 and {MAX_KEYS} keys")
                }),
                Some(url) => {
                    require(problems, app.keys.is_empty(), || {
                        format!("{section}: give either keys or jwks_url")
                    });
                    require(problems, may_be_pinned(url), || {
                        format!("{section}.jwks_url: must be https, or http on this machine")
                    });
                }
            }
            let mut kids = BTreeSet::new();
            for jwk in &app.keys {
                require(problems, kids.insert(&jwk.kid), || {
                    format!("{section}.keys: two keys have the kid `{}`", jwk.kid)
                });
                if let Err(flaw) = AppKey::parse(jwk) {
                    problems.push(format!("{section}.keys: the key `{}`: {flaw}", jwk.kid));
                }
            }
            for (class, rate) in &app.limits {
                rate.validate(&format!("{section}.limits.{class}"), problems);
            }
            for other in &app.interop {
                require(problems, self.0.contains_key(other), || {
                    format!("{section}.interop: there is no app `{other}`")
                });
            }
        }
    }
}

/// Whether a key set may be fetched from there: nobody on the way may change it.
fn may_be_pinned(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    is_safe && url.host().is_some() && url.username().is_empty() && url.password().is_none()
}

fn is_app_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of RFC 8037 appendix A.2, and of RFC 7517 appendix A.1.
    const ED25519: &str = r#"{ kid = "ed", kty = "OKP", crv = "Ed25519",
        x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }"#;
    const P256: &str = r#"{ kid = "ec", kty = "EC", crv = "P-256",
        x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" }"#;

    fn problems(toml: &str) -> Vec<String> {
        let toml = toml.replace("\n        ", " ");
        let config: AppsConfig = toml::from_str(&toml).unwrap();
        let mut problems = Vec::new();
        config.validate(&mut problems);
        problems
    }

    fn problem(toml: &str) -> String {
        let problems = problems(toml);
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.join("")
    }

    #[test]
    fn two_apps_that_list_each_other_are_taken() {
        let toml = format!(
            "[one]\nkeys = [{ED25519}, {P256}]\ninterop = [\"two\"]\n\
             [two]\nkeys = [{P256}]\ninterop = [\"one\"]"
        );
        assert_eq!(problems(&toml), [""; 0]);
    }

    #[test]
    fn an_app_without_a_key_is_refused() {
        assert!(problem("[one]\nkeys = []").contains("apps.one.keys"));
    }

    #[test]
    fn a_key_set_is_pinned_where_nobody_on_the_way_can_change_it() {
        for url in [
            "https://app.example/keys.json",
            "http://127.0.0.1:1/k",
            "http://[::1]/k",
            "http://localhost:9000/k",
        ] {
            assert_eq!(problems(&format!("[one]\njwks_url = \"{url}\"")), [""; 0], "{url}");
        }
        for url in [
            "http://app.example/k",
            "ftp://app.example/k",
            "http://localhost.example/k",
            "https://user:pass@app.example/k",
            "file:///etc/passwd",
            "http://127.0.0.1@evil.example/",
        ] {
            let problem = problem(&format!("[one]\njwks_url = \"{url}\""));
            assert!(problem.contains("apps.one.jwks_url"), "{url}: {problem}");
        }
    }

    #[test]
    fn keys_are_either_listed_or_pinned() {
        let both = format!("[one]\nkeys = [{ED25519}]\njwks_url = \"https://app.example/k\"");
        assert!(problem(&both).contains("either keys or jwks_url"));
    }

    #[test]
    fn two_keys_with_one_name_are_refused() {
        assert!(problem(&format!("[one]\nkeys = [{ED25519}, {ED25519}]")).contains("kid `ed`"));
    }

    #[test]
    fn an_unknown_neighbour_is_refused() {
        let toml = format!("[one]\nkeys = [{ED25519}]\ninterop = [\"three\"]");
        assert!(problem(&toml).contains("no app `three`"));
    }

    #[test]
    fn an_id_that_is_no_word_is_refused() {
        assert!(problem(&format!("[\"One!\"]\nkeys = [{ED25519}]")).contains("apps.One!"));
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let wrong = [
            // Too short.
            ED25519.replace("HURo", "HU"),
            // No base64url.
            ED25519.replace("11qY", "11+Y"),
            // A symmetric key in disguise.
            ED25519.replace("OKP", "oct"),
            ED25519.replace("Ed25519", "Ed448"),
            // Not on the curve.
            P256.replace("4Etl", "4Etm"),
            P256.replace("P-256", "P-384"),
            // No name.
            ED25519.replace("\"ed\"", "\"\""),
            // An algorithm that the key does not have.
            ED25519.replace(" }", ", alg = \"HS256\" }"),
            ED25519.replace(" }", ", use = \"enc\" }"),
            // Ed25519 has no y.
            ED25519.replace(" }", ", y = \"AA\" }"),
        ];
        for key in wrong {
            let problem = problem(&format!("[one]\nkeys = [{key}]"));
            assert!(problem.contains("apps.one.keys: the key"), "{problem}");
        }
    }

    #[test]
    fn a_private_key_has_no_place_in_the_configuration() {
        let key = ED25519.replace(" }", ", d = \"AA\" }").replace("\n        ", " ");
        let error = toml::from_str::<AppsConfig>(&format!("[one]\nkeys = [{key}]")).unwrap_err();
        assert!(error.to_string().contains("unknown field `d`"), "{error}");
    }
}
