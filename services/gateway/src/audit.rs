//! The audit of places: each is renewed and compared, again and again, in batches.
//!
//! It is what makes Redis something that may be lost. A place that Redis forgot is
//! written anew, and the queue read, since hints went nowhere in the meantime. A
//! place that another gateway holds ends the socket here, had the notice been lost.
//! While Redis is away, each audit has the sockets read their queues.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, rngs::StdRng};
use sotto_ids::DeviceAddress;
use sotto_store::places::Held;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission, config::PlacesConfig, metrics, registry::Handle, session::io::Event,
};

/// How long a batch may take, beyond what Redis' own timeout allows.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Audit {
    admission: Arc<Admission>,
    config: PlacesConfig,
    now: Notify,
}

impl Audit {
    pub(crate) fn new(admission: Arc<Admission>, config: PlacesConfig) -> Self {
        Self { admission, config, now: Notify::new() }
    }

    /// Asks for an audit at once: Redis was away a moment ago.
    pub(crate) fn request(&self) {
        self.now.notify_one();
    }

    /// Audits until `stopped`. The first time comes at random within a period, so that
    /// gateways that start together do not stay together.
    pub(crate) async fn run(self: Arc<Self>, stopped: CancellationToken, mut rng: StdRng) {
        let mut pause = self.config.audit_every.mul_f64(rng.random_range(0.0..1.0));
        let audit = async {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.now.notified() => {}
                }
                self.audit().await;
                pause = self.config.audit_every;
            }
        };
        stopped.run_until_cancelled(audit).await;
    }

    async fn audit(&self) {
        let handles: Vec<_> = self
            .admission
            .registry
            .handles()
            .into_iter()
            .filter_map(|handle| Some((handle.device()?, handle)))
            .collect();
        for batch in handles.chunks(self.config.audit_batch) {
            self.audit_batch(batch).await;
            tokio::time::sleep(self.config.audit_pause).await;
        }
    }

    async fn audit_batch(&self, batch: &[(DeviceAddress, Arc<Handle>)]) {
        // A socket that is not in Redis yet may find the place of the one it takes
        // over from: that is no verdict.
        let (placed, others): (Vec<_>, Vec<_>) =
            batch.iter().partition(|(_, handle)| handle.is_placed());
        let places: Vec<_> = placed
            .iter()
            .map(|(device, handle)| (*device, self.admission.place(handle.connection)))
            .collect();
        let held = timeout(BATCH_TIMEOUT, self.admission.places.renew_many(&places)).await;
        let Ok(Ok(held)) = held else {
            metrics::place_error();
            for (_, handle) in batch {
                handle.mailbox.post(Event::Missed);
            }
            return;
        };
        for ((device, handle), held) in placed.into_iter().zip(held) {
            match held {
                Held::Ours => metrics::places("ours"),
                Held::Lost => {
                    metrics::places("lost");
                    self.write_anew(*device, handle).await;
                }
                Held::Foreign => {
                    metrics::places("foreign");
                    handle.mailbox.post(Event::Displaced);
                }
            }
        }
        for (device, handle) in others {
            metrics::places("late");
            self.write_anew(*device, handle).await;
        }
    }

    async fn write_anew(&self, device: DeviceAddress, handle: &Arc<Handle>) {
        self.admission.claim(handle, device).await;
        handle.mailbox.post(Event::Missed);
    }
}
