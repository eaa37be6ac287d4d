//! The keys that Sotto tokens are signed with.
//!
//! Each process makes its own, keeps the private half in memory and publishes the
//! public half in the database, where every replica finds the keys of all others. A
//! key is published some time before it is first used, so that whoever verifies
//! tokens knows it by then; the first key of a process cannot wait.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::HEXLOWER;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rand::{RngCore as _, rngs::StdRng};
use sotto_ids::{AccountId, DeviceId};
use sotto_kit::{
    auth::{SottoClaims, TOKEN_TYP, TokenKey, TokenKeys, TokenKeysUnavailable},
    clock::{SharedClock, millis},
};
use sqlx::PgPool;

use crate::{config::TokenConfig, db, domain::from_bigint, error::KeysError};

/// How long before its first use a key is published: longer than anybody goes on
/// with a key set that was fetched before.
const PUBLISH_AHEAD: Duration = Duration::from_mins(2);

/// PKCS #8 around the 32 bytes of an Ed25519 seed (RFC 8410 section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A source of randomness that many hold.
#[derive(Clone)]
pub(crate) struct SharedRng(Arc<Mutex<StdRng>>);

impl SharedRng {
    pub(crate) fn new(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }

    /// Random bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}

impl fmt::Debug for SharedRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRng(..)")
    }
}

/// Signs tokens, and changes its key from time to time.
pub(crate) struct TokenSigner {
    domain: Arc<str>,
    config: TokenConfig,
    rng: SharedRng,
    clock: SharedClock,
    /// In the order of their use: the one in use and, for a while, the one after.
    keys: ArcSwap<Vec<Arc<SigningKey>>>,
    renewing: tokio::sync::Mutex<()>,
}

/// Whom a token is for.
pub(crate) struct Bearer {
    pub(crate) account_id: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) app: String,
    /// When the certificate of the device ends, if it does.
    pub(crate) not_after_ms: Option<u64>,
}

struct SigningKey {
    kid: String,
    key: EncodingKey,
    use_until_ms: u64,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("config", &self.config).finish_non_exhaustive()
    }
}

impl TokenSigner {
    /// `domain` is the issuer and the audience of the tokens.
    pub(crate) fn new(
        domain: Arc<str>,
        config: TokenConfig,
        rng: SharedRng,
        clock: SharedClock,
    ) -> Self {
        Self {
            domain,
            config,
            rng,
            clock,
            keys: ArcSwap::default(),
            renewing: tokio::sync::Mutex::new(()),
        }
    }

    /// Publishes the next key where it is time to.
    pub(crate) async fn renew(&self, db: &PgPool) -> Result<(), KeysError> {
        if !self.is_due(self.clock.now_ms()) {
            return Ok(());
        }
        let _one_at_a_time = self.renewing.lock().await;
        let now_ms = self.clock.now_ms();
        if !self.is_due(now_ms) {
            return Ok(());
        }
        let keys = self.keys.load_full();
        // Without a key that is good for now, the new one cannot wait.
        let use_from_ms = keys.last().map_or(now_ms, |newest| newest.use_until_ms.max(now_ms));
        let (next, public_key) = self.make(use_from_ms);
        let not_after_ms = next.use_until_ms + millis(self.config.life);
        db::token_keys::insert(&next.kid, &public_key, not_after_ms, db).await?;
        let still_used = keys.iter().filter(|key| key.use_until_ms > now_ms).cloned();
        self.keys.store(Arc::new(still_used.chain([Arc::new(next)]).collect()));
        Ok(())
    }

    /// Whether the newest key is about to end, or there is none.
    fn is_due(&self, now_ms: u64) -> bool {
        let soon_ms = now_ms + millis(PUBLISH_AHEAD);
        self.keys.load().last().is_none_or(|newest| newest.use_until_ms <= soon_ms)
    }

    fn make(&self, use_from_ms: u64) -> (SigningKey, [u8; 32]) {
        let seed = self.rng.bytes::<32>();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("every seed is a key");
        let mut public_key = [0; 32];
        public_key.copy_from_slice(pair.public_key().as_ref());
        let key = SigningKey {
            kid: HEXLOWER.encode(&self.rng.bytes::<8>()),
            key: EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), &seed].concat()),
            use_until_ms: use_from_ms + millis(self.config.key_rotation),
        };
        (key, public_key)
    }

    /// Signs a token that ends after the configured life, or with the certificate of
    /// its device where that is sooner. Says when, in milliseconds since 1970.
    pub(crate) async fn sign(
        &self,
        bearer: Bearer,
        db: &PgPool,
    ) -> Result<(String, u64), KeysError> {
        let Bearer { account_id, device, app, not_after_ms } = bearer;
        let key = self.current(db).await?;
        let now_s = self.clock.now_ms() / 1000;
        let life_ends_s = now_s + self.config.life.as_secs();
        // Whole seconds, so that it may end a little before the certificate.
        let exp = not_after_ms.map_or(life_ends_s, |end_ms| life_ends_s.min(end_ms / 1000));
        if exp <= now_s {
            return Err(KeysError::DeviceExpired);
        }
        let claims = SottoClaims {
            iss: self.domain.to_string(),
            aud: self.domain.to_string(),
            sub: account_id,
            did: device,
            app,
            jti: HEXLOWER.encode(&self.rng.bytes::<16>()),
            iat: now_s,
            exp,
        };

        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYP.to_owned());
        header.kid = Some(key.kid.clone());
        let token = encode(&header, &claims, &key.key).map_err(KeysError::Signing)?;
        Ok((token, claims.exp * 1000))
    }

    async fn current(&self, db: &PgPool) -> Result<Arc<SigningKey>, KeysError> {
        // As long as a key is in use, failing to publish the next one can wait.
        let renewed = self.renew(db).await;
        let now_ms = self.clock.now_ms();
        let keys = self.keys.load();
        // They stand in the order of their use, so the next one waits for its turn.
        let in_use = keys.iter().find(|key| now_ms < key.use_until_ms);
        match (in_use, renewed) {
            (Some(key), _) => Ok(Arc::clone(key)),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(KeysError::Damaged("token key")),
        }
    }
}

/// The public keys of all replicas, from the database.
#[derive(Debug, Clone)]
pub(crate) struct PublishedKeys {
    pub(crate) db: PgPool,
    pub(crate) clock: SharedClock,
}

impl PublishedKeys {
    pub(crate) async fn list(&self) -> sqlx::Result<Vec<TokenKey>> {
        let rows = db::token_keys::list_live(self.clock.now_ms(), &self.db).await?;
        let keys = rows.into_iter().map(|row| TokenKey {
            kid: row.kid,
            public_key: row.public_key,
            not_after_ms: from_bigint(row.not_after_ms),
        });
        Ok(keys.collect())
    }
}

#[async_trait::async_trait]
impl TokenKeys for PublishedKeys {
    async fn fetch(&self) -> Result<Vec<TokenKey>, TokenKeysUnavailable> {
        self.list().await.map_err(|error| TokenKeysUnavailable(Box::new(error)))
    }
}
