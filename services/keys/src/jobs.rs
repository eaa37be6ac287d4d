//! Background loops.

use std::time::Duration;

use sotto_kit::{fault::chain, lifecycle::Lifecycle};

use crate::{db, error::KeysError, ops::Keys};

/// Looks over the token keys from time to time: publishes the next one of this
/// process, and deletes those of all processes that no living token is signed with.
pub(crate) fn keep_token_keys(keys: Keys, every: Duration, lifecycle: &Lifecycle) {
    let draining = lifecycle.draining();
    lifecycle.spawn("keys.token_keys", async move {
        let mut ticks = tokio::time::interval(every);
        while draining.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = look_over(&keys).await {
                // The key in use goes on; the next turn tries again.
                tracing::warn!(error = chain(&error), "token keys could not be looked over");
            }
        }
    });
}

async fn look_over(keys: &Keys) -> Result<(), KeysError> {
    keys.signer.renew(&keys.db).await?;
    let deleted = db::token_keys::delete_expired(keys.clock.now_ms(), &keys.db).await?;
    if deleted > 0 {
        tracing::info!(deleted, "old token keys deleted");
    }
    Ok(())
}
