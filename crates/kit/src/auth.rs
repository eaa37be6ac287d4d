//! Who calls: the Sotto token, as every role verifies it.
//!
//! The keys service signs a token for ten minutes; the other roles know its public
//! keys and need nobody to verify one.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::header, web};
use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, DeviceAddress, DeviceId};

use crate::{
    clock::{SharedClock, millis},
    fault::{Code, Fault, Problem, chain},
};

/// The `typ` of a Sotto token's header: no other JWT passes for one.
pub const TOKEN_TYP: &str = "sotto+jwt";

/// How long a fetched key set is used before it is fetched again.
const REFRESH_EVERY: Duration = Duration::from_secs(60);

/// The least time between two fetches that tokens with unknown keys can cause.
const REFETCH_PAUSE: Duration = Duration::from_secs(1);

/// The claims of a Sotto token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SottoClaims {
    /// The deployment's domain, which is also the audience.
    pub iss: String,
    /// The deployment's domain.
    pub aud: String,
    /// The account.
    pub sub: AccountId,
    /// The device.
    pub did: DeviceId,
    /// The app that the token was bought with.
    pub app: String,
    /// Random.
    pub jti: String,
    /// Seconds since 1970 when it was issued.
    pub iat: u64,
    /// Seconds since 1970 when it ends.
    pub exp: u64,
}

/// An authenticated device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account_id: AccountId,
    /// The device, by the short name of its account.
    pub device: DeviceAddress,
    /// The app that the token was bought with.
    pub app: String,
    /// When the token ends.
    pub expires_at_ms: u64,
}

/// A public key that Sotto tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// Its name in the token's header.
    pub kid: String,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// No token signed with it lives longer.
    pub not_after_ms: u64,
}

/// The key set could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("the token keys could not be fetched")]
pub struct TokenKeysUnavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where the public keys come from: the database in keys, gRPC elsewhere.
#[async_trait::async_trait]
pub trait TokenKeys: Send + Sync + fmt::Debug {
    /// All keys that a token may be signed with now.
    async fn fetch(&self) -> Result<Vec<TokenKey>, TokenKeysUnavailable>;
}

/// Why a token was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The request has no `Authorization: Bearer` header.
    #[error("the request has no bearer token")]
    Missing,
    /// It is no JWT of ours: another type, algorithm or shape.
    #[error("the token is malformed")]
    Malformed,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its signature, issuer or audience is wrong, or nobody knows its key.
    #[error("the token is not valid here")]
    Invalid,
    /// Nobody can say, since the keys could not be fetched.
    #[error("the token cannot be verified now")]
    KeysUnavailable(#[from] TokenKeysUnavailable),
}

impl Fault for AuthError {
    fn code(&self) -> Code {
        match self {
            Self::Missing | Self::Malformed | Self::Expired | Self::Invalid => {
                Code::Unauthenticated
            }
            Self::KeysUnavailable(_) => Code::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Malformed => "token_malformed",
            Self::Expired => "token_expired",
            Self::Invalid => "token_invalid",
            Self::KeysUnavailable(_) => "token_keys_unavailable",
        }
    }
}

/// Verifies Sotto tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TokenVerifier(Arc<Inner>);

struct Inner {
    domain: String,
    keys: ArcSwap<HashMap<String, KnownKey>>,
    source: Arc<dyn TokenKeys>,
    clock: SharedClock,
    asked_at_ms: AtomicU64,
    /// Whether the set came when it was last asked for.
    came: AtomicBool,
    fetching: tokio::sync::Mutex<()>,
}

struct KnownKey {
    key: DecodingKey,
    not_after_ms: u64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("source", &self.source).finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// A verifier for one deployment.
    pub fn new(domain: String, source: Arc<dyn TokenKeys>, clock: SharedClock) -> Self {
        Self(Arc::new(Inner {
            domain,
            keys: ArcSwap::default(),
            source,
            clock,
            asked_at_ms: AtomicU64::new(0),
            came: AtomicBool::new(false),
            fetching: tokio::sync::Mutex::new(()),
        }))
    }

    /// Says whose token this is.
    ///
    /// # Errors
    ///
    /// See [`AuthError`].
    pub async fn verify(&self, token: &str) -> Result<Caller, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::Malformed)?;
        if header.typ.as_deref() != Some(TOKEN_TYP) || header.alg != Algorithm::EdDSA {
            return Err(AuthError::Malformed);
        }
        let kid = header.kid.ok_or(AuthError::Malformed)?;
        self.know(&kid).await?;

        let keys = self.0.keys.load();
        let known = keys.get(&kid).ok_or(AuthError::Invalid)?;
        let claims = decode::<SottoClaims>(token, &known.key, &self.0.validation())
            .map_err(|_| AuthError::Invalid)?
            .claims;

        let now_ms = self.0.clock.now_ms();
        let expires_at_ms = claims.exp.saturating_mul(1000).min(known.not_after_ms);
        if expires_at_ms <= now_ms {
            return Err(AuthError::Expired);
        }
        Ok(Caller {
            account_id: claims.sub,
            device: DeviceAddress::new(claims.sub.uuid(), claims.did),
            app: claims.app,
            expires_at_ms,
        })
    }

    /// Sees to it that what is known of this key is as new as it has to be.
    ///
    /// A key that is known is used while the set is fetched anew by somebody else, and
    /// while it cannot be. One that is not known may be brand new: if the set was asked
    /// for within the last second, the answer waits until it may be asked for again. So a
    /// flood of unknown keys costs a fetch a second, and no token that is good is
    /// refused.
    async fn know(&self, kid: &str) -> Result<(), AuthError> {
        let inner = &self.0;
        if inner.knows(kid) {
            if inner.age_ms() >= millis(REFRESH_EVERY)
                && let Ok(_one_at_a_time) = inner.fetching.try_lock()
                && let Err(error) = inner.fetch().await
            {
                // An old set is better than none: its keys say themselves when they end.
                tracing::warn!(error = chain(&error), "the token keys could not be renewed");
            }
            return Ok(());
        }
        let pause_ms = millis(REFETCH_PAUSE).saturating_sub(inner.age_ms());
        if pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        // One fetch at a time; those who waited for it find that it is done.
        let _one_at_a_time = inner.fetching.lock().await;
        if inner.knows(kid) {
            return Ok(());
        }
        if inner.age_ms() >= millis(REFETCH_PAUSE) {
            inner.fetch().await?;
        } else if !inner.came.load(Ordering::Acquire) {
            // It may well be a key of the set that did not come.
            return Err(TokenKeysUnavailable("they were asked for a moment ago".into()).into());
        }
        Ok(())
    }
}

impl Inner {
    fn knows(&self, kid: &str) -> bool {
        self.keys.load().contains_key(kid)
    }

    /// How long ago the set was last asked for, whether it came or not.
    fn age_ms(&self) -> u64 {
        self.clock.now_ms().saturating_sub(self.asked_at_ms.load(Ordering::Acquire))
    }

    async fn fetch(&self) -> Result<(), TokenKeysUnavailable> {
        self.asked_at_ms.store(self.clock.now_ms(), Ordering::Release);
        // Nor has it where whoever fetches it gives up.
        self.came.store(false, Ordering::Release);
        let fetched = self.source.fetch().await?;
        self.keys.store(Arc::new(fetched.into_iter().map(TokenKey::into_known).collect()));
        self.came.store(true, Ordering::Release);
        Ok(())
    }

    fn validation(&self) -> Validation {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.domain]);
        validation.set_audience(&[&self.domain]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Against our own clock, below.
        validation.validate_exp = false;
        validation
    }
}

impl TokenKey {
    fn into_known(self) -> (String, KnownKey) {
        let key = DecodingKey::from_ed_der(&self.public_key);
        (self.kid, KnownKey { key, not_after_ms: self.not_after_ms })
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
pub fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Who makes a request. What is behind the same request gets the same answer, without
/// verifying the token again.
///
/// # Errors
///
/// See [`AuthError`].
///
/// # Panics
///
/// Where the app was built without a `web::Data<TokenVerifier>`: a mistake in the
/// assembly that no request can cause.
pub async fn authenticate(request: &HttpRequest) -> Result<Caller, Problem> {
    if let Some(caller) = request.extensions().get::<Caller>() {
        return Ok(caller.clone());
    }
    let verifier = request
        .app_data::<web::Data<TokenVerifier>>()
        .expect("an app with callers has a token verifier");
    let token = bearer(request).ok_or(AuthError::Missing)?;
    let caller = verifier.verify(token).await?;
    request.extensions_mut().insert(caller.clone());
    Ok(caller)
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    /// # Panics
    ///
    /// As [`authenticate`] does.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { authenticate(&request).await })
    }
}

#[cfg(test)]
mod tests;
