//! What is to be done at a time of its own: receipts go out, messages delete
//! themselves, and what others said of themselves ceases to hold.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    ClientError, Event,
    client::Inner,
    kinds::{delete, presence, receipt},
    vault::{Tx, messages},
};

/// Messages that are deleted in one transaction.
const DELETED_AT_ONCE: usize = 256;

/// The longest sleep, after which the clock is looked at again.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Does what is due.
pub(crate) fn work(tx: &mut Tx<'_>) -> Result<(), ClientError> {
    let now_ms = tx.now_ms;
    receipt::send_due(tx, now_ms)?;
    presence::end(tx, now_ms)?;
    for (name, message) in messages::ended(tx.db, now_ms, DELETED_AT_ONCE)? {
        delete::purge(tx, name, &message)?;
        tx.tell(Event::MessageExpired { id: message.id, peer: message.peer });
    }
    tx.chores_changed();
    Ok(())
}

/// Does what is due, each time, until the client is closed.
pub(crate) async fn run(inner: Arc<Inner>, mut due: watch::Receiver<Option<u64>>) {
    loop {
        let due_ms = *due.borrow_and_update();
        let left_ms = due_ms.map(|due_ms| due_ms.saturating_sub(inner.server_clock.now_ms()));
        if left_ms == Some(0) {
            if let Err(error) = inner.vault.run(work).await {
                tracing::error!(reason = error.reason(), "what was due could not be done");
                tokio::time::sleep(inner.config.tuning.retry_max).await;
            }
            continue;
        }
        let sleep = left_ms.map_or(LONGEST_SLEEP, Duration::from_millis).min(LONGEST_SLEEP);
        tokio::select! {
            changed = due.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(sleep) => {}
        }
    }
}
