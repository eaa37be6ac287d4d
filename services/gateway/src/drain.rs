//! The end of the process: every socket is told to come back elsewhere.
//!
//! All at once would be a storm for the gateways that remain. So sockets are closed in
//! batches, a pause apart, of the size with which the last is closed at the end of the
//! window; and those of a batch are told different times to come back.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};
use sotto_kit::clock::millis;
use tokio::time::Instant;

use crate::{config::DrainConfig, gateway::Gateway, metrics, registry::Handle, session::io::Event};

/// How long sockets may take to end after the last was told.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the log says how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Waits until the process is to end, then closes every socket, and returns when none
/// is left, or none that would end.
pub(crate) async fn drain(gateway: Arc<Gateway>, mut rng: StdRng) {
    gateway.lifecycle.draining().cancelled().await;
    let since = Instant::now();
    let config = &gateway.config.drain;
    let stopped = gateway.lifecycle.stopped();

    let mut handles = gateway.registry.handles();
    handles.shuffle(&mut rng);
    let batch = batch(handles.len(), config);
    tracing::info!(sockets = handles.len(), batch, "drain began");
    metrics::draining(handles.len());
    let mut reported = since;
    for (number, told) in handles.chunks(batch).enumerate() {
        // Told twice to end, the process takes no more time than it needs, and what is
        // not spread here is spread by the devices.
        if number > 0 && !stopped.is_cancelled() {
            stopped.run_until_cancelled(tokio::time::sleep(config.batch_every)).await;
        }
        tell(told, within(config, stopped.is_cancelled()), &mut rng);
        let left = handles.len().saturating_sub((number + 1) * batch);
        metrics::draining(left);
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            tracing::info!(told = handles.len() - left, left, "drain goes on");
        }
    }

    let deadline = Instant::now() + PATIENCE;
    while gateway.registry.len() > 0 && Instant::now() < deadline {
        // Also those whose upgrade was under way when the drain began.
        tell(&gateway.registry.handles(), within(config, stopped.is_cancelled()), &mut rng);
        tokio::time::sleep(config.batch_every.min(PATIENCE)).await;
    }
    let left = gateway.registry.len();
    tracing::info!(left, duration_ms = millis(since.elapsed()), "drain ended");
}

/// How many of so many sockets are closed at once.
fn batch(sockets: usize, config: &DrainConfig) -> usize {
    let rounds = config.window.as_millis() / config.batch_every.as_millis().max(1);
    let rounds = usize::try_from(rounds).unwrap_or(usize::MAX).max(1);
    sockets.div_ceil(rounds).max(config.min_batch)
}

/// The time within which the devices that are told now come back.
fn within(config: &DrainConfig, hurried: bool) -> Duration {
    if hurried { config.reconnect_within + config.window } else { config.reconnect_within }
}

fn tell(handles: &[Arc<Handle>], within: Duration, rng: &mut StdRng) {
    for handle in handles {
        let reconnect_after_ms = rng.random_range(0..=millis(within));
        let reconnect_after_ms = u32::try_from(reconnect_after_ms).unwrap_or(u32::MAX);
        handle.mailbox.post(Event::Drain { reconnect_after_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::defaults;

    /// I-8. Caught with the size fixed at `min_batch`: 20,000 take 50 s, longer than the
    /// process is given.
    #[test]
    fn any_number_of_sockets_is_closed_within_the_window_and_few_are_closed_sooner() {
        let config = defaults().drain;
        let takes = |sockets: usize| {
            let batches = sockets.div_ceil(batch(sockets, &config));
            config.batch_every * u32::try_from(batches - 1).unwrap()
        };

        for sockets in [1, 20, 400, 5_000, 12_000, 20_000, 200_000] {
            assert!(takes(sockets) <= config.window, "{sockets}: {:?}", takes(sockets));
        }
        assert_eq!(batch(400, &config), 20, "at least 400 a second");
        assert!(takes(400) < Duration::from_secs(1));
        assert!(takes(20_000) > config.window / 2, "no faster than it must be");
    }
}
