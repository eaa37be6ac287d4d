//! What becomes of a message that the server did not take.

use std::{sync::Arc, time::Duration};

use sotto_ids::GroupId;
use sotto_proto::socket::{Error, GroupStale};
use tokio::time::sleep;

use crate::{
    backoff::Backoff,
    client::Inner,
    groups::{log, outbox},
    message_id::forget_clock,
    vault::group_outbox,
};

/// The group has moved on: what it moved on by is taken in, and the message is encrypted
/// again.
pub(super) async fn stale_send(inner: &Arc<Inner>, group: GroupId, row: u64, stale: GroupStale) {
    let mut pause = Backoff::new(inner.config.tuning.retry_min, inner.config.tuning.retry_max);
    let mut taken = log::take_moved(inner, group, stale.entries, stale.more).await;
    while let Err(error) = taken {
        tracing::warn!(reason = error.reason(), "a group could not be caught up with");
        if !error.is_temporary() {
            break;
        }
        sleep(pause.pause(&mut inner.rng())).await;
        taken = log::catch_up(inner, group).await;
    }
    let unsealed = inner.vault.run(move |tx| Ok(group_outbox::unseal(tx.db, row)?)).await;
    if let Err(error) = unsealed {
        tracing::error!(reason = error.reason(), "a message was not encrypted again");
    }
}

pub(super) async fn refused_send(inner: &Arc<Inner>, group: GroupId, row: u64, error: &Error) {
    let reason = error.reason.clone();
    let tuning = &inner.config.tuning;
    let passes = error.retry_after_ms > 0
        || matches!(reason.as_str(), "busy" | "keys_away" | "storage" | "unavailable" | "internal");
    let done = match reason.as_str() {
        _ if passes => {
            let asked = Duration::from_millis(error.retry_after_ms.into());
            sleep(tuning.believed(Some(asked)).max(tuning.retry_min)).await;
            Ok(())
        }
        "clock_skew" => {
            inner.server_clock.set(error.server_time_ms);
            inner
                .vault
                .run(move |tx| {
                    forget_clock(tx)?;
                    Ok(group_outbox::rename(tx.db, row)?)
                })
                .await
        }
        _ => {
            // It may be that this device was taken out: then the log says so.
            if let Err(error) = log::catch_up(inner, group).await {
                tracing::info!(reason = error.reason(), "a group could not be caught up with");
            }
            inner.vault.run(move |tx| outbox::refused(tx, row, &reason)).await
        }
    };
    if let Err(error) = done {
        tracing::error!(reason = error.reason(), "an answer was not stored");
    }
}
