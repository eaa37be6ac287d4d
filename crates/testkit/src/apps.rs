//! Apps, as their backends see them: a signing key, and tokens of their users.

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::servers::{random_hex, write_secret};

/// The longest life that Sotto takes of an app's token.
pub const LONGEST_TOKEN: Duration = Duration::from_hours(24);

/// An app with an Ed25519 key.
pub struct App {
    id: String,
    kid: String,
    key: SigningKey,
}

/// The public half of an app's key: a JSON Web Key (RFC 8037).
#[derive(Debug, Clone, Serialize)]
pub struct PublicJwk {
    /// Which of the app's keys it is.
    pub kid: String,
    /// `OKP`.
    pub kty: &'static str,
    /// `Ed25519`.
    pub crv: &'static str,
    /// The public key, base64url without padding.
    pub x: String,
}

#[derive(Serialize, Deserialize)]
struct PrivateJwk {
    kty: String,
    crv: String,
    kid: String,
    x: String,
    d: String,
}

impl App {
    /// An app with a key that nobody had before.
    #[expect(clippy::disallowed_methods, reason = "a key only has to be new")]
    pub fn with_fresh_key(id: &str) -> Self {
        let key = SigningKey::from_bytes(&rand::rng().random());
        Self { id: id.to_owned(), kid: format!("{id}-{}", random_hex(4)), key }
    }

    /// The app whose key lies in `<folder>/<id>.jwk`; it is made where it is missing.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or is no Ed25519 JWK.
    pub fn in_folder(folder: &Path, id: &str) -> anyhow::Result<Self> {
        let path = folder.join(format!("{id}.jwk"));
        if path.is_file() {
            return Self::read(&path, id)
                .with_context(|| format!("{} holds no app's key", path.display()));
        }
        let app = Self::with_fresh_key(id);
        fs::create_dir_all(folder)?;
        let jwk = PrivateJwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            kid: app.kid.clone(),
            x: URL_SAFE_NO_PAD.encode(app.key.verifying_key()),
            d: URL_SAFE_NO_PAD.encode(app.key.to_bytes()),
        };
        write_secret(&path, &serde_json::to_string_pretty(&jwk)?, None)?;
        Ok(app)
    }

    fn read(path: &Path, id: &str) -> anyhow::Result<Self> {
        let jwk: PrivateJwk = serde_json::from_str(&fs::read_to_string(path)?)?;
        ensure!(jwk.kty == "OKP" && jwk.crv == "Ed25519", "it is of another kind");
        let secret: [u8; 32] = URL_SAFE_NO_PAD
            .decode(&jwk.d)?
            .try_into()
            .map_err(|_| anyhow::anyhow!("its secret has not 32 bytes"))?;
        Ok(Self { id: id.to_owned(), kid: jwk.kid, key: SigningKey::from_bytes(&secret) })
    }

    /// The app's name, the issuer of its tokens.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What a deployment registers of it.
    pub fn public_jwk(&self) -> PublicJwk {
        PublicJwk {
            kid: self.kid.clone(),
            kty: "OKP",
            crv: "Ed25519",
            x: URL_SAFE_NO_PAD.encode(self.key.verifying_key()),
        }
    }

    /// A token of one of its users for the deployment `domain`.
    pub fn token(&self, user: &str, domain: &str, lifetime: Duration) -> String {
        let now = now_s();
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.kid });
        let claims = json!({
            "iss": self.id,
            "aud": domain,
            "sub": user,
            "iat": now,
            "exp": now + lifetime.as_secs(),
            "jti": random_hex(16),
        });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// Itself, signing in the name of another app.
    #[must_use]
    pub fn posing_as(&self, id: &str) -> Self {
        Self { id: id.to_owned(), kid: self.kid.clone(), key: self.key.clone() }
    }

    /// The secret of its key, to be searched for.
    pub fn secret(&self) -> [u8; 32] {
        self.key.to_bytes()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "an app's backend has a clock of its own")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_token_verifies_under_the_public_jwk() {
        let app = App::with_fresh_key("socialink");

        let token = app.token("alice", "chat.example", Duration::from_mins(1));

        let (signed, signature) = token.rsplit_once('.').unwrap();
        let jwk = app.public_jwk();
        let x: [u8; 32] = URL_SAFE_NO_PAD.decode(jwk.x).unwrap().try_into().unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        VerifyingKey::from_bytes(&x)
            .unwrap()
            .verify(signed.as_bytes(), &Signature::from_slice(&signature).unwrap())
            .unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], "socialink");
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    }

    #[test]
    fn a_key_in_a_folder_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();

        let first = App::in_folder(dir.path(), "vignette").unwrap();
        let second = App::in_folder(dir.path(), "vignette").unwrap();

        assert_eq!(first.public_jwk().x, second.public_jwk().x);
        assert_eq!(first.public_jwk().kid, second.public_jwk().kid);
    }
}
