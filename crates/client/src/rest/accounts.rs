//! Accounts, chains and bundles.

use prost::Message as _;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sotto_identity::SignedOp;
use sotto_ids::{AccountId, DeviceId, Handle};

use super::{
    Rest, RestError,
    registration::Admission,
    wire::{Bundles, BundlesRequest, HandleOwner, NewAccount, NewOps},
};
use crate::{ClientError, Distrust};

impl Rest {
    /// `POST /v1/accounts`. The same bytes again are fine.
    pub(crate) async fn create_account(
        &self,
        genesis: &SignedOp,
        ops: &[SignedOp],
        app_token: &str,
        admission: &Admission,
    ) -> Result<(), RestError> {
        let body = NewAccount {
            genesis: genesis.into(),
            ops: ops.iter().map(Into::into).collect(),
            app_token,
            invite: admission.invite.as_deref(),
            proof_of_work: admission.proof_of_work.clone(),
        };
        Self::send(self.request(Method::POST, &["accounts"]).json(&body)).await.map(drop)
    }

    /// `POST /v1/accounts/{account}/ops`. A recovery needs no token: its words are
    /// above any.
    pub(crate) async fn append_ops(
        &self,
        account: AccountId,
        ops: &[SignedOp],
        token: Option<String>,
    ) -> Result<(), RestError> {
        let body = NewOps { ops: ops.iter().map(Into::into).collect() };
        let mut request = self.request(Method::POST, &["accounts", &account.to_string(), "ops"]);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Self::send(request.json(&body)).await.map(drop)
    }

    /// `GET /v1/accounts/{account}/ops?from=`. The name is an account id or UUID.
    pub(crate) async fn chain(&self, name: &str, from: u64) -> Result<Vec<SignedOp>, ClientError> {
        let request = self.request_with(
            Method::GET,
            &["accounts", name, "ops"],
            &[("from", &from.to_string())],
        );
        let body = match Self::send(request).await {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => {
                return Err(ClientError::UnknownAccount);
            }
            answer => answer?,
        };
        let mut rest = body.as_slice();
        let mut ops = Vec::new();
        while !rest.is_empty() {
            let op = SignedOp::decode_length_delimited(&mut rest);
            ops.push(op.map_err(|_| Distrust::Malformed)?);
        }
        Ok(ops)
    }

    /// `POST /v1/accounts/{account}/bundles`. Each call uses prekeys up.
    pub(crate) async fn bundles(
        &self,
        account: AccountId,
        device_ids: Vec<DeviceId>,
        have: u64,
        token: String,
    ) -> Result<Bundles, RestError> {
        let path = ["accounts", &account.to_string(), "bundles"];
        let body = BundlesRequest { device_ids, have };
        Self::json(self.request(Method::POST, &path).bearer_auth(token).json(&body)).await
    }

    /// `GET /.well-known/chat-identity?handle=`. What it says is compared member by member,
    /// so it stays JSON here.
    pub(crate) async fn identity_document(&self, name: &str) -> Result<Value, ClientError> {
        let request =
            self.request_under(".well-known", Method::GET, &["chat-identity"], &[("handle", name)]);
        match Self::json(request).await {
            Err(error) if error.is("unknown_handle") => Err(ClientError::UnknownAccount),
            answer => Ok(answer?),
        }
    }

    /// `GET /v1/u/{handle}`.
    pub(crate) async fn handle_owner(&self, handle: &Handle) -> Result<AccountId, ClientError> {
        let request = self.request(Method::GET, &["u", handle.as_str()]);
        match Self::json::<HandleOwner>(request).await {
            Ok(owner) => Ok(owner.account_id),
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => {
                Err(ClientError::UnknownAccount)
            }
            Err(error) => Err(error.into()),
        }
    }
}
