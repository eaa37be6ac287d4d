//! App tokens: JWTs by which an app vouches for one of its users.
//!
//! What a token says of itself is believed in this order, and nothing before its
//! turn: the issuer and the kid pick a registered key; that key, not the header,
//! says which algorithm is used; the signature is verified; then the claims count.
//! A key is never fetched from where a token points to, and never taken out of one.

use serde::Deserialize;
use sotto_kit::fault::{Code, Fault};

use super::{AppUser, Apps, NoKeySet};

/// Longer tokens are not looked at.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest name of a key.
const MAX_KID_BYTES: usize = 128;

/// The longest name that an app may have for a user.
const MAX_SUBJECT_BYTES: usize = 255;

/// Why the token of an app is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppTokenError {
    /// It is no JWT in compact form, is over 8 KiB, or has a critical extension.
    #[error("the app token is no JWT that is understood here")]
    Malformed,
    /// Its `typ` is not `JWT`.
    #[error("the app token's typ is not JWT")]
    WrongType,
    /// Its header brings a key, or says where to fetch one.
    #[error("the app token brings a key along, or says where to find one")]
    BringsKey,
    /// No registered app has this `iss`.
    #[error("the app token's iss is no app of this deployment")]
    UnknownApp,
    /// The app has no key of this `kid`, or the token names none.
    #[error("the app token's kid is no registered key of its app")]
    UnknownKey,
    /// The header names another algorithm than the registered key has.
    #[error("the app token's alg is not the one of its key")]
    WrongAlgorithm,
    /// The signature does not verify.
    #[error("the app token's signature does not verify")]
    BadSignature,
    /// `aud` is not this deployment.
    #[error("the app token's aud is not this deployment")]
    WrongAudience,
    /// `sub`, `iat` or `exp` is missing or malformed.
    #[error("the app token lacks sub (1 to 255 bytes), iat or exp, or one is malformed")]
    MalformedClaims,
    /// It is valid for longer than this deployment allows.
    #[error("the app token is valid for too long, or ends before it begins")]
    LivesTooLong,
    /// Its time has not come.
    #[error("the app token is not valid yet")]
    NotYetValid,
    /// Its time is over.
    #[error("the app token has expired")]
    Expired,
    /// The key set that the app publishes has not come yet.
    #[error("the keys of the app cannot be fetched now")]
    KeysUnavailable,
}

impl Fault for AppTokenError {
    fn code(&self) -> Code {
        match self {
            Self::KeysUnavailable => Code::Unavailable,
            _ => Code::Unauthenticated,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "app_token_malformed",
            Self::WrongType => "app_token_wrong_type",
            Self::BringsKey => "app_token_brings_key",
            Self::UnknownApp => "app_token_unknown_app",
            Self::UnknownKey => "app_token_unknown_key",
            Self::WrongAlgorithm => "app_token_wrong_algorithm",
            Self::BadSignature => "app_token_bad_signature",
            Self::WrongAudience => "app_token_wrong_audience",
            Self::MalformedClaims => "app_token_malformed_claims",
            Self::LivesTooLong => "app_token_lives_too_long",
            Self::NotYetValid => "app_token_not_yet_valid",
            Self::Expired => "app_token_expired",
            Self::KeysUnavailable => "app_keys_unavailable",
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    /// RFC 7515 section 4.1.11: whoever does not know an extension refuses.
    #[serde(default)]
    crit: Option<serde_json::Value>,
    /// Sections 4.1.2 to 4.1.6, and what is taken for one of them by mistake: whoever
    /// signs could name its own key.
    #[serde(default)]
    jku: Option<serde_json::Value>,
    #[serde(default)]
    jwk: Option<serde_json::Value>,
    #[serde(default)]
    x5u: Option<serde_json::Value>,
    #[serde(default)]
    x5c: Option<serde_json::Value>,
    #[serde(default)]
    jwks_uri: Option<serde_json::Value>,
}

impl Header {
    fn brings_key(&self) -> bool {
        [&self.jku, &self.jwk, &self.x5u, &self.x5c, &self.jwks_uri]
            .into_iter()
            .any(Option::is_some)
    }
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

#[derive(Deserialize)]
struct Audience {
    aud: OneOrMany,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Times are whole seconds since 1970.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    iat: u64,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
}

impl Apps {
    /// Whom the token vouches for.
    pub(crate) async fn verify(&self, token: &str, now_ms: u64) -> Result<AppUser, AppTokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AppTokenError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(AppTokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(AppTokenError::Malformed)?;
        let header: Header = part(header).ok_or(AppTokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(AppTokenError::Malformed);
        }
        if header.typ.as_deref() != Some("JWT") {
            return Err(AppTokenError::WrongType);
        }
        if header.brings_key() {
            return Err(AppTokenError::BringsKey);
        }

        let issuer: Issuer = part(payload).ok_or(AppTokenError::UnknownApp)?;
        let app = self.registered.get(&issuer.iss).ok_or(AppTokenError::UnknownApp)?;
        let kid = header.kid.filter(|kid| kid.len() <= MAX_KID_BYTES);
        let kid = kid.ok_or(AppTokenError::UnknownKey)?;
        let key = app.keys.find(&kid).await.map_err(|NoKeySet| AppTokenError::KeysUnavailable)?;
        let key = key.ok_or(AppTokenError::UnknownKey)?;
        if header.alg != key.algorithm_name() {
            return Err(AppTokenError::WrongAlgorithm);
        }
        if !key.verifies(message, signature) {
            return Err(AppTokenError::BadSignature);
        }

        let audience: Audience = part(payload).ok_or(AppTokenError::WrongAudience)?;
        if !audience.aud.names(&self.domain) {
            return Err(AppTokenError::WrongAudience);
        }
        let claims: Claims = part(payload).ok_or(AppTokenError::MalformedClaims)?;
        self.check_times(&claims, now_ms / 1000)?;
        if !(1..=MAX_SUBJECT_BYTES).contains(&claims.sub.len()) || claims.sub.contains('\0') {
            return Err(AppTokenError::MalformedClaims);
        }
        Ok(AppUser { app: issuer.iss, subject: claims.sub })
    }

    fn check_times(&self, claims: &Claims, now_s: u64) -> Result<(), AppTokenError> {
        let life = claims.exp.checked_sub(claims.iat).ok_or(AppTokenError::LivesTooLong)?;
        if life > self.max_life_s {
            return Err(AppTokenError::LivesTooLong);
        }
        let latest_start = now_s.saturating_add(self.leeway_s);
        if claims.iat > latest_start || claims.nbf.is_some_and(|nbf| nbf > latest_start) {
            return Err(AppTokenError::NotYetValid);
        }
        if claims.exp.saturating_add(self.leeway_s) <= now_s {
            return Err(AppTokenError::Expired);
        }
        Ok(())
    }
}

impl OneOrMany {
    fn names(&self, domain: &str) -> bool {
        match self {
            Self::One(name) => name == domain,
            Self::Many(names) => names.iter().any(|name| name == domain),
        }
    }
}

/// A part of a token: JSON in base64url without padding.
fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let json = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    serde_json::from_slice(&json).ok()
}
