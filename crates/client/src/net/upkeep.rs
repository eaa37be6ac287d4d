//! What goes on beside the messages while a socket is open: prekeys and tokens.

use std::{sync::Arc, time::Duration};

use sotto_proto::socket::{Authenticate, ClientFrame, client_frame::Body};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::timeout,
};

use crate::{
    ClientError, Event,
    backoff::Backoff,
    client::Inner,
    groups::key_packages,
    prekey_check::{self, Verdict},
    prekeys::{self, Fill},
    vault::{read_marks, receipts, seen, tombstones},
};

/// How often a device that stays connected looks whether its prekeys are too old:
/// with the default rotation, every six hours.
const CHECKS_PER_ROTATION: u32 = 28;

/// Keeps the stock of prekeys up: now, whenever it is said to be low, and now and
/// then. What fails is tried again.
pub(super) async fn prekeys(inner: &Arc<Inner>, low: &Notify) {
    let tuning = &inner.config.tuning;
    let mut backoff = Backoff::new(tuning.retry_min, tuning.retry_max);
    let mut fill = Fill::IfLow;
    loop {
        match prekeys::maintain(&inner.vault, &inner.rest, &inner.auth, fill).await {
            Ok(()) => {
                backoff.reset();
                keep_key_packages(inner, fill).await;
                forget_old_envelopes(inner).await;
                compare_prekeys(inner).await;
                let looked_over = tuning.prekey_rotation / CHECKS_PER_ROTATION;
                fill = match timeout(looked_over, low.notified()).await {
                    Ok(()) => Fill::Now,
                    Err(_) => Fill::IfLow,
                };
            }
            Err(error) => {
                tracing::warn!(reason = error.reason(), "the prekeys could not be kept up");
                let pause = backoff.pause(&mut inner.rng());
                tokio::time::sleep(pause.max(tuning.believed(error.retry_after()))).await;
            }
        }
    }
}

/// Keeps the stock of KeyPackages up. Messages do not depend on it.
async fn keep_key_packages(inner: &Inner, fill: Fill) {
    if let Err(error) = key_packages::maintain(&inner.vault, &inner.rest, &inner.auth, fill).await {
        tracing::warn!(reason = error.reason(), "the KeyPackages could not be kept up");
    }
}

/// Now and then, looks whether the server still has the prekeys that were published.
async fn compare_prekeys(inner: &Inner) {
    match prekey_check::check_if_due(&inner.vault, &inner.rest, &inner.auth).await {
        Ok(Verdict::Same) => {}
        Ok(Verdict::Differed { restored }) => {
            tracing::warn!(restored, "the prekeys at the server were not those of this device");
            inner.tell(Event::PrekeysDiffered { restored });
        }
        Err(error) => {
            tracing::info!(reason = error.reason(), "the prekeys could not be compared");
        }
    }
}

async fn forget_old_envelopes(inner: &Inner) {
    let keep_ms = u64::try_from(inner.config.tuning.seen_retention.as_millis()).unwrap_or(u64::MAX);
    let forgotten = inner
        .vault
        .run(move |tx| {
            let before_ms = tx.now_ms.saturating_sub(keep_ms);
            tombstones::forget(tx.db, before_ms)?;
            read_marks::forget(tx.db, before_ms)?;
            receipts::forget_strays(tx.db, before_ms)?;
            Ok(seen::forget(tx.db, before_ms)?)
        })
        .await;
    if let Err(error) = forgotten {
        tracing::warn!(reason = error.reason(), "handled envelopes were not forgotten");
    }
}

/// Renews the token on the socket before each ends. `expires_at_ms` is the server's
/// word for the one that counts.
pub(super) async fn token(
    inner: &Arc<Inner>,
    frames: &mpsc::Sender<ClientFrame>,
    mut expires_at_ms: watch::Receiver<u64>,
) {
    let tuning = &inner.config.tuning;
    let margin_ms = u64::try_from(tuning.token_margin.as_millis()).unwrap_or(u64::MAX);
    let mut backoff = Backoff::new(tuning.retry_min, tuning.retry_max);
    // Requests of this loop have odd numbers, those of the outbox even ones.
    let mut frame = 1;
    loop {
        let ends_ms = *expires_at_ms.borrow_and_update();
        let left_ms =
            ends_ms.saturating_sub(inner.server_clock.server_now_ms()).saturating_sub(margin_ms);
        tokio::time::sleep(Duration::from_millis(left_ms)).await;
        match renewed(inner, frames, frame).await {
            Ok(()) => {
                frame += 2;
                backoff.reset();
                // Nothing came of it where the server is silent; then try again.
                drop(timeout(tuning.connect_timeout, expires_at_ms.changed()).await);
            }
            Err(error) => {
                tracing::warn!(reason = error.reason(), "the token could not be renewed");
                tokio::time::sleep(backoff.pause(&mut inner.rng())).await;
            }
        }
    }
}

async fn renewed(
    inner: &Inner,
    frames: &mpsc::Sender<ClientFrame>,
    frame: u64,
) -> Result<(), ClientError> {
    let token = inner.auth.fresh_token().await?.text;
    let body = Some(Body::Authenticate(Authenticate { token }));
    frames.send(ClientFrame { id: frame, body }).await.map_err(|_| ClientError::Closed)
}
