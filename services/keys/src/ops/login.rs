use std::{fmt, time::Duration};

use sotto_identity::{auth::proof_message, keys::verify_ed25519};
use sotto_ids::{AccountId, AccountUuid, DeviceAddress, DeviceId};
use sotto_kit::{
    fault::Fault as _,
    limits::{Class, Subject, Take},
};

use super::Keys;
use crate::{cache, domain::from_bigint, error::KeysError, metrics, signer::Bearer};

/// A challenge that was given out.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) bytes: [u8; 32],
    pub(crate) expires_in: Duration,
}

/// A device that asks for a token.
pub(crate) struct Login {
    pub(crate) account_id: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) challenge: Vec<u8>,
    /// Who the user is in the app.
    pub(crate) app_token: String,
    /// Ed25519 by the device key over `sotto_identity::auth::proof_message`.
    pub(crate) proof: Vec<u8>,
}

impl fmt::Debug for Login {
    /// Nothing of it has a place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// What a device gets.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) expires_at_ms: u64,
    pub(crate) account: AccountUuid,
    /// The app that vouched.
    pub(crate) app: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires_at_ms", &self.expires_at_ms).finish_non_exhaustive()
    }
}

impl Keys {
    /// Gives out a challenge, for one login.
    #[tracing::instrument(name = "keys.challenge", skip_all)]
    pub(crate) async fn challenge(&self) -> Result<Challenge, KeysError> {
        let bytes = self.rng.bytes();
        let expires_in = self.rules.auth.challenge_ttl;
        cache::challenges::insert(&bytes, expires_in, &self.redis).await?;
        metrics::challenge_issued();
        Ok(Challenge { bytes, expires_in })
    }

    /// Sells a token for the word of an app and a proof by the device key, and binds
    /// the user of the app to the account where it is bound to none.
    #[tracing::instrument(name = "keys.login", skip_all)]
    pub(crate) async fn login(&self, login: Login) -> Result<Token, KeysError> {
        let result = self.check_and_sign(login).await;
        match &result {
            Ok(token) => metrics::token_issued(&token.app),
            Err(error) => metrics::token_refused(error.reason()),
        }
        result
    }

    async fn check_and_sign(&self, login: Login) -> Result<Token, KeysError> {
        let now_ms = self.clock.now_ms();
        let user = self.apps.verify(&login.app_token, now_ms).await?;
        // Before the proof is looked at: each challenge is worth one try.
        let challenge: [u8; 32] =
            login.challenge.as_slice().try_into().map_err(|_| KeysError::UnknownChallenge)?;
        if !cache::challenges::take(&challenge, &self.redis).await? {
            return Err(KeysError::UnknownChallenge);
        }

        let account = login.account_id.uuid();
        let device = DeviceAddress::new(account, login.device);
        self.find_account(login.account_id.into()).await?;
        let found = self.check_live(device).await?;
        let message = proof_message(
            &self.domain,
            &challenge,
            login.account_id,
            login.device,
            &login.app_token,
        );
        if !verify_ed25519(&found.key, &message, &login.proof) {
            return Err(KeysError::WrongProof);
        }
        // Not before: whoever knows the name of an account must not be able to use up
        // what it may log in.
        let tokens = [Subject::Account(account), Subject::App(&user.app)];
        let tokens = tokens.map(|subject| Take::one(Class::Token, subject));
        self.limits.take(&tokens).await.check()?;

        let mut connection = self.db.acquire().await?;
        self.bind(&user, account, now_ms, &mut connection).await?;
        drop(connection);

        let bearer = Bearer {
            account_id: login.account_id,
            device: login.device,
            app: user.app.clone(),
            not_after_ms: found.not_after_ms.map(from_bigint),
        };
        let (text, expires_at_ms) = self.signer.sign(bearer, &self.db).await?;
        Ok(Token { text, expires_at_ms, account, app: user.app })
    }
}
