//! The end of the process: every socket is told to come back elsewhere.
//!
//! All at once would be a storm for the gateways that remain, so both the closes and
//! the times at which devices come back are spread over a window.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};
use sotto_kit::clock::millis;
use tokio::time::Instant;

use crate::{gateway::Gateway, registry::Handle, session::io::Event};

/// Sockets that are closed at once in any case.
const MIN_BATCH: usize = 20;

/// How long sockets may take to end after the last was told.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until the process is to end, then closes every socket, and returns when none
/// is left, or none that would end.
pub(crate) async fn drain(gateway: Arc<Gateway>, mut rng: StdRng) {
    gateway.lifecycle.draining().cancelled().await;
    let since = Instant::now();
    let window = gateway.config.drain.window;
    let pause = gateway.config.drain.batch_every;

    let mut handles = gateway.registry.handles();
    handles.shuffle(&mut rng);
    tracing::info!(sockets = handles.len(), "drain began");
    let rounds = usize::try_from(window.as_millis() / pause.as_millis().max(1)).unwrap_or(1).max(1);
    let batch = handles.len().div_ceil(rounds).max(MIN_BATCH);
    let stopped = gateway.lifecycle.stopped();
    let mut told = handles.chunks(batch).peekable();
    while let Some(batch) = told.next() {
        tell(batch, window, &mut rng);
        // Told twice to end, the process takes no more time than it needs.
        if told.peek().is_some() && !stopped.is_cancelled() {
            stopped.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    let deadline = Instant::now() + PATIENCE;
    while gateway.registry.len() > 0 && Instant::now() < deadline {
        // Also those whose upgrade was under way when the drain began.
        tell(&gateway.registry.handles(), window, &mut rng);
        tokio::time::sleep(pause.min(PATIENCE)).await;
    }
    let left = gateway.registry.len();
    tracing::info!(left, duration_ms = millis(since.elapsed()), "drain ended");
}

fn tell(handles: &[Arc<Handle>], window: Duration, rng: &mut StdRng) {
    for handle in handles {
        let reconnect_after_ms = rng.random_range(0..=millis(window));
        let reconnect_after_ms = u32::try_from(reconnect_after_ms).unwrap_or(u32::MAX);
        handle.mailbox.post(Event::Drain { reconnect_after_ms });
    }
}
