//! The public keys of Sotto tokens, fetched from the keys service.

use std::time::Duration;

use sotto_kit::auth::{TokenKey, TokenKeys, TokenKeysUnavailable};
use sotto_proto::keys::{TokenKeysRequest, keys_service_client::KeysServiceClient};
use tonic::{Request, transport::Channel};

/// How long the keys service may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct RemoteTokenKeys(KeysServiceClient<Channel>);

impl RemoteTokenKeys {
    /// `keys`: the keys service.
    pub(crate) fn new(keys: Channel) -> Self {
        Self(KeysServiceClient::new(keys))
    }
}

#[async_trait::async_trait]
impl TokenKeys for RemoteTokenKeys {
    async fn fetch(&self) -> Result<Vec<TokenKey>, TokenKeysUnavailable> {
        let mut request = Request::new(TokenKeysRequest {});
        request.set_timeout(TIMEOUT);
        let mut keys = self.0.clone();
        let answer = keys.token_keys(request);
        let response = tokio::time::timeout(TIMEOUT, answer)
            .await
            .map_err(|late| TokenKeysUnavailable(late.into()))?
            .map_err(|status| TokenKeysUnavailable(status.into()))?;
        let keys = response.into_inner().keys.into_iter().filter_map(|key| {
            // A key of another length is of a kind that this version does not know.
            let public_key = key.public_key.try_into().ok()?;
            Some(TokenKey { kid: key.kid, public_key, not_after_ms: key.not_after_ms })
        });
        Ok(keys.collect())
    }
}
