//! Background loops.

use std::{io, time::Duration};

use futures_util::StreamExt as _;
use sotto_kit::{clock::millis, fault::chain, lifecycle::Lifecycle};

use crate::{cache, db, error::KeysError, metrics, ops::Keys};

/// Looks over the token keys from time to time: publishes the next one of this
/// process, and deletes those of all processes that no living token is signed with.
/// Invites that are over go with them.
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
    db::invites::delete_expired(keys.clock.now_ms(), &keys.db).await?;
    Ok(())
}

/// Deletes KeyPackages that are over, from time to time, and completes rows of devices that
/// are older than the MLS key in them.
pub(crate) fn keep_key_packages(keys: Keys, lifecycle: &Lifecycle) {
    let draining = lifecycle.draining();
    lifecycle.spawn("keys.key_packages", async move {
        let mut ticks = tokio::time::interval(keys.rules.key_packages.upkeep_every);
        while draining.run_until_cancelled(ticks.tick()).await.is_some() {
            let turn = async {
                if let Err(error) = sweep_key_packages(&keys).await {
                    tracing::warn!(error = chain(&error), "old key packages were not deleted");
                }
                if let Err(error) = complete_devices(&keys).await {
                    tracing::warn!(error = chain(&error), "rows of devices were not completed");
                }
            };
            draining.run_until_cancelled(turn).await;
        }
    });
}

async fn sweep_key_packages(keys: &Keys) -> Result<(), KeysError> {
    loop {
        let (deleted, more) = keys.sweep_key_packages().await?;
        metrics::key_packages_over(deleted);
        if !more {
            return Ok(());
        }
    }
}

/// How many accounts are looked up at once whose devices have to be completed.
const COMPLETED_AT_ONCE: u16 = 100;

async fn complete_devices(keys: &Keys) -> Result<(), KeysError> {
    let mut after = None;
    loop {
        after = keys.fill_in_mls_keys(after, COMPLETED_AT_ONCE).await?;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// How long before Redis is asked again for a channel that broke off.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// How long Redis may take to open a channel.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Listens for messages in mailboxes, once for all who wait in this process.
pub(crate) fn listen_for_messages(keys: Keys, lifecycle: &Lifecycle) {
    let draining = lifecycle.draining();
    lifecycle.spawn("keys.mailboxes", async move {
        draining.run_until_cancelled(hear(&keys)).await;
    });
}

async fn hear(keys: &Keys) {
    let mut is_away = false;
    loop {
        let listening = cache::mailboxes::listen(&keys.redis);
        let listening = tokio::time::timeout(LISTEN_TIMEOUT, listening).await;
        match listening.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
            Ok(mut messages) => {
                is_away = false;
                // Whatever came before this was not heard.
                keys.waiting.wake_all();
                while let Some(link) = messages.next().await {
                    keys.waiting.wake(link);
                }
            }
            Err(error) if !is_away => {
                is_away = true;
                tracing::warn!(error = chain(&error), "messages in mailboxes are not heard of");
            }
            Err(_) => {}
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// Counts the signed prekeys that have grown old, from time to time.
pub(crate) fn count_stale_prekeys(keys: Keys, lifecycle: &Lifecycle) {
    let draining = lifecycle.draining();
    lifecycle.spawn("keys.stale_prekeys", async move {
        let mut ticks = tokio::time::interval(keys.rules.prekeys.stale_count_every);
        while draining.run_until_cancelled(ticks.tick()).await.is_some() {
            let before_ms =
                keys.clock.now_ms().saturating_sub(millis(keys.rules.prekeys.stale_after));
            match db::signed_ec_prekeys::count_older(before_ms, &keys.db).await {
                Ok(count) => metrics::stale_signed_prekeys(count),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "stale prekeys could not be counted");
                }
            }
        }
    });
}
