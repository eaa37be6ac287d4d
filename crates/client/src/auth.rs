//! Sotto tokens: bought with the app's token and a proof by the device key.

use std::{sync::Arc, time::Duration};

use ed25519_dalek::Signer as _;
use sotto_identity::auth::proof_message;
use sotto_ids::Base64Bytes;
use tokio::sync::Mutex;

use crate::{
    ClientError, Distrust, TokenProvider,
    net::ServerClock,
    rest::{Rest, RestError, wire::TokenRequest},
    vault::{Vault, own},
};

/// Buys tokens and keeps the one that is good.
pub(crate) struct Auth {
    provider: Arc<dyn TokenProvider>,
    domain: String,
    margin: Duration,
    rest: Rest,
    vault: Vault,
    clock: ServerClock,
    kept: Mutex<Option<SottoToken>>,
}

/// A token, and the server's time at which it ends.
#[derive(Clone)]
pub(crate) struct SottoToken {
    pub(crate) text: String,
    pub(crate) expires_at_ms: u64,
}

impl Auth {
    pub(crate) fn new(
        provider: Arc<dyn TokenProvider>,
        domain: String,
        margin: Duration,
        rest: Rest,
        vault: Vault,
        clock: ServerClock,
    ) -> Self {
        Self { provider, domain, margin, rest, vault, clock, kept: Mutex::default() }
    }

    /// The app's own token.
    pub(crate) async fn app_token(&self) -> Result<String, ClientError> {
        self.provider.app_token().await.map_err(ClientError::AppToken)
    }

    /// A token that is good for a while. Whoever asks while one is being bought
    /// gets that one.
    pub(crate) async fn token(&self) -> Result<SottoToken, ClientError> {
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref()
            && !self.is_due(token)
        {
            return Ok(token.clone());
        }
        let token = self.buy().await?;
        *kept = Some(token.clone());
        Ok(token)
    }

    /// A token that was bought just now.
    pub(crate) async fn fresh_token(&self) -> Result<SottoToken, ClientError> {
        self.forget().await;
        self.token().await
    }

    /// The kept token is of no use: the server said so.
    pub(crate) async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    fn is_due(&self, token: &SottoToken) -> bool {
        let margin_ms = u64::try_from(self.margin.as_millis()).unwrap_or(u64::MAX);
        token.expires_at_ms <= self.clock.server_now_ms().saturating_add(margin_ms)
    }

    async fn buy(&self) -> Result<SottoToken, ClientError> {
        let app_token = self.app_token().await?;
        let challenge = self.rest.challenge().await?.challenge;
        let (domain, challenged, vouched) =
            (self.domain.clone(), challenge.0.clone(), app_token.clone());
        let (account_id, device_id, proof) = self
            .vault
            .run(move |tx| {
                let own = own::certified(tx.db)?;
                let message =
                    proof_message(&domain, &challenged, own.account, own.device, &vouched);
                Ok((own.account, own.device, own.device_key.sign(&message)))
            })
            .await?;
        let answer = self
            .rest
            .buy_token(&TokenRequest {
                account_id,
                device_id,
                challenge: &challenge,
                app_token: &app_token,
                proof: Base64Bytes(proof.to_vec()),
            })
            .await?;
        if answer.account_uuid != account_id.uuid() {
            return Err(Distrust::OtherAccount.into());
        }
        Ok(SottoToken { text: answer.token, expires_at_ms: answer.expires_at_ms })
    }

    /// Makes a request with a token, and once more with a fresh one if the server
    /// does not take the first.
    pub(crate) async fn with_token<T, F>(
        &self,
        request: impl Fn(String) -> F,
    ) -> Result<T, RestError>
    where
        F: Future<Output = Result<T, RestError>>,
    {
        let token = self.token().await?;
        match request(token.text).await {
            Err(error) if error.is_status(reqwest::StatusCode::UNAUTHORIZED) => {
                request(self.fresh_token().await?.text).await
            }
            answer => answer,
        }
    }
}
