//! Apps, as their backends see them: a signing key, and tokens of their users.

use std::sync::Arc;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sotto_keys::{AppConfig, Jwk};

use super::{DOMAIN, NOW_MS, random};

/// The kid of every app here: each app has keys of its own under it.
pub(crate) const KID: &str = "key-1";

#[derive(Clone)]
enum Key {
    Ed25519(Arc<Ed25519KeyPair>),
    Es256(Arc<EcdsaKeyPair>),
}

/// An app with one key.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: &'static str,
    key: Key,
    /// When its tokens are made.
    now_ms: u64,
}

impl App {
    pub(crate) fn ed25519(id: &'static str) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&random::<32>()).unwrap();
        Self { id, key: Key::Ed25519(Arc::new(pair)), now_ms: NOW_MS }
    }

    pub(crate) fn es256(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { id, key: Key::Es256(Arc::new(pair)), now_ms: NOW_MS }
    }

    /// The same app at another time.
    pub(crate) fn at(self, now_ms: u64) -> Self {
        Self { now_ms, ..self }
    }

    /// The app's table in the configuration.
    pub(crate) fn registered(&self, interop: &[&str]) -> (String, AppConfig) {
        let interop = interop.iter().map(|&app| app.to_owned()).collect();
        (self.id.to_owned(), AppConfig { keys: vec![self.jwk()], interop, ..AppConfig::default() })
    }

    pub(crate) fn jwk(&self) -> Jwk {
        let (kty, crv, x, y) = match &self.key {
            Key::Ed25519(pair) => ("OKP", "Ed25519", pair.public_key().as_ref(), None),
            Key::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                ("EC", "P-256", x, Some(y))
            }
        };
        Jwk {
            kid: KID.to_owned(),
            kty: kty.to_owned(),
            crv: crv.to_owned(),
            x: BASE64URL_NOPAD.encode(x),
            y: y.map(|y| BASE64URL_NOPAD.encode(y)),
            alg: None,
            purpose: None,
        }
    }

    /// The bytes of the public key, which an attacker knows too.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        match &self.key {
            Key::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Key::Es256(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The header of a token as it should be.
    pub(crate) fn header(&self) -> Value {
        let alg = match &self.key {
            Key::Ed25519(_) => "EdDSA",
            Key::Es256(_) => "ES256",
        };
        json!({ "alg": alg, "typ": "JWT", "kid": KID })
    }

    /// The claims of a token of one of its users as they should be.
    pub(crate) fn claims(&self, user: &str) -> Value {
        let now_s = self.now_ms / 1000;
        json!({
            "iss": self.id,
            "aud": DOMAIN,
            "sub": user,
            "iat": now_s,
            "exp": now_s + 24 * 60 * 60,
            "jti": super::hex(&random::<16>()),
        })
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = match &self.key {
            Key::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Key::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
                signature.as_ref().to_vec()
            }
        };
        with_signature(&message, &signature)
    }

    /// A good token of one of its users.
    pub(crate) fn token(&self, user: &str) -> String {
        self.sign(&self.header(), &self.claims(user))
    }

    /// A token with one claim changed; `null` leaves it out.
    pub(crate) fn token_with(&self, name: &str, value: Value) -> String {
        self.sign(&self.header(), &changed(self.claims("alice"), name, value))
    }

    /// A token with one member of its header changed; `null` leaves it out.
    pub(crate) fn token_with_header(&self, name: &str, value: Value) -> String {
        self.sign(&changed(self.header(), name, value), &self.claims("alice"))
    }
}

pub(crate) fn changed(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
    object
}

pub(crate) fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

pub(crate) fn with_signature(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", BASE64URL_NOPAD.encode(signature))
}
