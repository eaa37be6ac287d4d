//! A registered key of an app. What it is decides how a signature is verified.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::config::Jwk;

/// A public key with the one algorithm that it is used with.
#[derive(Debug, Clone)]
pub(crate) struct AppKey {
    key: DecodingKey,
    algorithm: Algorithm,
}

/// What is wrong with a JWK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwkFlaw {
    #[error("a kid has 1 to 128 characters")]
    Kid,
    #[error("it is neither Ed25519 (kty OKP) nor P-256 (kty EC)")]
    Kind,
    #[error("its alg is not the one of its curve")]
    Algorithm,
    #[error("its use is not sig")]
    Purpose,
    #[error("its coordinates are not a public key of its curve")]
    Coordinates,
}

impl AppKey {
    pub(crate) fn parse(jwk: &Jwk) -> Result<Self, JwkFlaw> {
        if !(1..=128).contains(&jwk.kid.len()) {
            return Err(JwkFlaw::Kid);
        }
        if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err(JwkFlaw::Purpose);
        }
        let key = match (jwk.kty.as_str(), jwk.crv.as_str()) {
            ("OKP", "Ed25519") => Self::ed25519(jwk),
            ("EC", "P-256") => Self::p256(jwk),
            _ => return Err(JwkFlaw::Kind),
        };
        let key = key.ok_or(JwkFlaw::Coordinates)?;
        match &jwk.alg {
            Some(alg) if alg != key.algorithm_name() => Err(JwkFlaw::Algorithm),
            _ => Ok(key),
        }
    }

    fn ed25519(jwk: &Jwk) -> Option<Self> {
        let bytes = coordinate(&jwk.x)?;
        if jwk.y.is_some() {
            return None;
        }
        ParsedPublicKey::new(&ED25519, bytes).ok()?;
        Some(Self { key: DecodingKey::from_ed_der(&bytes), algorithm: Algorithm::EdDSA })
    }

    fn p256(jwk: &Jwk) -> Option<Self> {
        let x = coordinate(&jwk.x)?;
        let y = coordinate(jwk.y.as_deref()?)?;
        // An uncompressed point (SEC 1 section 2.3.3).
        let point = [[4].as_slice(), &x, &y].concat();
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).ok()?;
        Some(Self { key: DecodingKey::from_ec_der(&point), algorithm: Algorithm::ES256 })
    }

    /// The `alg` that a token signed with this key has in its header.
    pub(crate) const fn algorithm_name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::EdDSA => "EdDSA",
            _ => "ES256",
        }
    }

    /// Whether `signature` (base64url, as it stands in the token) is one by this key.
    pub(crate) fn verifies(&self, message: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm)
            .unwrap_or(false)
    }
}

fn coordinate(text: &str) -> Option<[u8; 32]> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}
