//! What opening an account costs.

use reqwest::Method;

use super::{
    Rest,
    wire::{AccountChallenge, ProofOfWork},
};
use crate::ClientError;

impl Rest {
    /// `POST /v1/accounts/challenge`.
    pub(crate) async fn account_challenge(&self) -> Result<AccountChallenge, ClientError> {
        let request = self.request(Method::POST, &["accounts", "challenge"]);
        Ok(Self::json(request.json(&serde_json::json!({}))).await?)
    }
}

/// What is shown to be let in.
#[derive(Default)]
pub(crate) struct Admission {
    pub(crate) invite: Option<String>,
    pub(crate) proof_of_work: Option<ProofOfWork>,
}
