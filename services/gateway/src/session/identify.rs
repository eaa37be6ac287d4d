//! Whose token, or ticket, it is.

use sotto_kit::{auth::AuthError, fault::Fault as _};
use tokio::time::timeout;

use super::{
    close::CloseCode,
    io::{Identity, Refusal},
};
use crate::gateway::Gateway;

/// Verifies a token. Takes no longer than `session.verify_timeout`.
pub(crate) async fn by_token(gateway: &Gateway, token: &str) -> Result<Identity, Refusal> {
    let verified = timeout(gateway.session.verify_timeout, gateway.verifier.verify(token));
    match verified.await {
        Ok(Ok(caller)) => Ok(Identity {
            device: caller.device,
            app: caller.app,
            token_expires_at_ms: caller.expires_at_ms,
        }),
        Ok(Err(error)) => Err(Refusal {
            reason: error.reason(),
            detail: error.public_message(),
            close: close_code(&error),
        }),
        Err(_) => Err(Refusal {
            reason: "token_keys_unavailable",
            detail: "the token cannot be verified now".to_owned(),
            close: CloseCode::Unavailable,
        }),
    }
}

const fn close_code(error: &AuthError) -> CloseCode {
    match error {
        AuthError::Expired => CloseCode::TokenExpired,
        AuthError::Missing | AuthError::Malformed | AuthError::Invalid => {
            CloseCode::AuthenticationFailed
        }
        AuthError::KeysUnavailable(_) => CloseCode::Unavailable,
    }
}
