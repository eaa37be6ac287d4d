//! Challenges and tokens.

use reqwest::Method;

use super::{
    Rest,
    wire::{Challenge, TokenAnswer, TokenRequest},
};
use crate::ClientError;

impl Rest {
    /// `POST /v1/auth/challenge`.
    pub(crate) async fn challenge(&self) -> Result<Challenge, ClientError> {
        let request = self.request(Method::POST, &["auth", "challenge"]);
        Ok(Self::json(request.json(&serde_json::json!({}))).await?)
    }

    /// `POST /v1/auth/token`.
    pub(crate) async fn buy_token(
        &self,
        request: &TokenRequest<'_>,
    ) -> Result<TokenAnswer, ClientError> {
        let call = self.request(Method::POST, &["auth", "token"]).json(request);
        Ok(Self::json(call).await?)
    }
}
