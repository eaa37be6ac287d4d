//! Says that this device is here, to those who may see it.

use std::sync::Arc;

use crate::{ClientError, ConnectionState, client::Inner, kinds::presence};

/// Says it once all that waited has come in, and again with each heartbeat.
pub(super) async fn run(inner: &Arc<Inner>) {
    let mut connection = inner.connection.subscribe();
    let online = connection.wait_for(|state| *state == ConnectionState::Online);
    if online.await.is_err() {
        return;
    }
    loop {
        announce(inner, true).await;
        tokio::time::sleep(inner.config.tuning.presence_heartbeat).await;
    }
}

/// Says that this device is here, or goes. What cannot be said is not said.
pub(crate) async fn announce(inner: &Inner, online: bool) {
    let server_now_ms = inner.server_clock.server_now_ms();
    let sealed = inner.vault.run(move |tx| presence::announce(tx, online, server_now_ms)).await;
    match sealed {
        Ok(sends) => {
            for send in sends {
                inner.line.send(send);
            }
        }
        Err(ClientError::Closed) => {}
        Err(error) => tracing::debug!(reason = error.reason(), "presence was not said"),
    }
}
