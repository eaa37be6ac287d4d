//! What the fuzz targets reach. Nothing of it is in a build that is not for them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt as _;
use serde::Deserialize;
use sotto_identity::keys::IdentityKey;
use sotto_ids::{AccountId, DeviceId};
use sotto_kit::{
    clock::{SharedClock, TestClock},
    config::Validate,
    lifecycle::Lifecycle,
};
use sotto_mls::{LeafId, identity::Claim};

use crate::{
    apps::{Apps, AppsConfig, fuzz_key_set},
    config::KeysConfig,
    domain::{
        account_ref::AccountRef,
        invite::Invite,
        key_package::{KeyPackage, Lifetimes, Use},
        mailbox::LinkId,
        public_name::PublicName,
    },
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

/// The key set that an app publishes, as it is fetched.
pub fn app_key_set(data: &[u8]) {
    fuzz_key_set(data);
}

/// Names that stand in queries, paths and bodies: of a person, of an account, of a mailbox,
/// and an invite.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(PublicName { handle, domain }) = text.parse::<PublicName>() {
        assert!(text.starts_with(handle.as_str()), "a handle has one form");
        assert!(!domain.contains('@') && !domain.bytes().any(|byte| byte.is_ascii_uppercase()));
        let again = format!("{}@{domain}", handle.as_str()).parse::<PublicName>();
        assert!(again.is_ok_and(|again| again.handle == handle && again.domain == domain));
    }
    if let Ok(invite) = text.parse::<Invite>() {
        let shown = invite.to_string();
        assert_eq!(shown.len(), 27);
        assert_eq!(shown.parse(), Ok(invite), "an invite reads itself back");
        let letters = |text: &str| -> String {
            text.chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|c| c.to_ascii_lowercase())
                .collect()
        };
        assert_eq!(letters(&shown), letters(text), "an invite has the letters of its text");
    }
    if let Ok(link) = text.parse::<LinkId>() {
        assert_eq!(link.to_string(), text);
    }
    if let Ok(account) = text.parse::<AccountRef>() {
        let uuid = account.uuid();
        assert_eq!(uuid.to_string().parse(), Ok(AccountRef::Uuid(uuid)));
    }
}

/// The bodies of prekey uploads, down to the checks of each key; and a KeyPackage, which
/// nobody who has no private key can make.
pub fn prekey_upload(data: &[u8]) {
    let owner = Claim {
        leaf: LeafId::new(AccountId::new([7; 32]), DeviceId::FIRST),
        signature_key: [9; 32],
    };
    let lifetimes = Lifetimes { now_ms: NOW_MS, longest: Duration::MAX, margin: Duration::ZERO };
    let verdict = KeyPackage::check(data, Use::Once, owner, &lifetimes);
    assert!(verdict.is_err(), "a KeyPackage that nobody signed was taken");
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
