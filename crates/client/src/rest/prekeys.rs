//! Uploads of prekeys.

use reqwest::Method;
use serde::Serialize;

use super::{
    Rest, RestError,
    wire::{KeyCount, KeyDigest, KyberKeys, OneTimeKeys, SignedKey},
};

impl Rest {
    /// `GET /v1/keys/count`.
    pub(crate) async fn key_count(&self, token: String) -> Result<KeyCount, RestError> {
        Self::json(self.request(Method::GET, &["keys", "count"]).bearer_auth(token)).await
    }

    /// `GET /v1/keys/digest`.
    pub(crate) async fn key_digest(&self, token: String) -> Result<KeyDigest, RestError> {
        Self::json(self.request(Method::GET, &["keys", "digest"]).bearer_auth(token)).await
    }

    /// `PUT /v1/keys/signed`.
    pub(crate) async fn put_signed(&self, key: &SignedKey, token: String) -> Result<(), RestError> {
        self.put("signed", key, token).await
    }

    /// `PUT /v1/keys/one-time`.
    pub(crate) async fn put_one_time(
        &self,
        keys: &OneTimeKeys,
        token: String,
    ) -> Result<(), RestError> {
        self.put("one-time", keys, token).await
    }

    /// `PUT /v1/keys/kyber`.
    pub(crate) async fn put_kyber(&self, keys: &KyberKeys, token: String) -> Result<(), RestError> {
        self.put("kyber", keys, token).await
    }

    async fn put(&self, kind: &str, body: &impl Serialize, token: String) -> Result<(), RestError> {
        let request = self.request(Method::PUT, &["keys", kind]).bearer_auth(token);
        Self::send(request.json(body)).await.map(drop)
    }
}
