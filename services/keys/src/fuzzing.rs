//! What the fuzz targets reach. Nothing of it is in a build that is not for them.

use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use serde::Deserialize;
use sotto_identity::keys::IdentityKey;
use sotto_kit::{
    clock::{SharedClock, TestClock},
    config::Validate,
    lifecycle::Lifecycle,
};

use crate::{
    apps::{Apps, AppsConfig},
    config::KeysConfig,
    http,
};

const NOW_MS: u64 = 1_750_000_000_000;

/// The public key of RFC 8037 appendix A.2.
const APPS: &str = r#"
    [apps.socialink]
    keys = [{ kid = "1", kty = "OKP", crv = "Ed25519",
              x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }]
"#;

#[derive(Deserialize)]
struct File {
    keys: KeysConfig,
    apps: AppsConfig,
}

impl Validate for File {
    fn validate(&self, problems: &mut Vec<String>) {
        self.keys.validate(problems);
        self.apps.validate(problems);
    }
}

fn apps() -> &'static Apps {
    static APPS_OF_RUN: OnceLock<Apps> = OnceLock::new();
    APPS_OF_RUN.get_or_init(|| {
        let defaults = include_str!("../config.default.toml")
            .replace("\n[apps]\n", &APPS.replace("\n              ", " "));
        let file = sotto_kit::config::load::<File>(&defaults, &[]).expect("it is valid");
        let clock: SharedClock = Arc::new(TestClock::new(NOW_MS));
        let File { keys, apps } = file;
        Apps::new(&apps, "chat.example".to_owned(), keys.auth, keys.jwks, &clock, &Lifecycle::new())
            .expect("one app")
    })
}

/// A token of an app. Nobody here has the private key, so none is taken.
pub fn app_token(data: &[u8]) {
    let Ok(token) = std::str::from_utf8(data) else { return };
    let verdict = apps().verify(token, NOW_MS).now_or_never().expect("listed keys are at hand");
    assert!(verdict.is_err(), "a token that nobody signed was taken");
}

/// The bodies of prekey uploads, down to the checks of each key.
pub fn prekey_upload(data: &[u8]) {
    // The basepoint: a key of the right form.
    let mut key = [0; 33];
    (key[0], key[1]) = (5, 9);
    if let Ok(identity) = IdentityKey::try_from(key.as_slice()) {
        http::fuzz_uploads(data, &identity);
    }
}

/// The other JSON bodies.
pub fn request_bodies(data: &[u8]) {
    http::fuzz_bodies(data);
}
