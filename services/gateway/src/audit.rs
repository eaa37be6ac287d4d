//! The audit of places: each is renewed and compared, again and again, in batches.
//!
//! It is what makes Redis something that may be lost. A place that Redis forgot is
//! written anew, and the queue read, since hints went nowhere in the meantime. A
//! place that another holds, and still holds a moment later, ends the socket here, had
//! the notice been lost. While Redis is away, each audit has the sockets read their
//! queues; the first that finds it back has them read once more, since nobody could
//! look a place up in between.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, rngs::StdRng};
use sotto_ids::DeviceAddress;
use sotto_store::places::Held;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission, config::PlacesConfig, metrics, registry::Handle, resync::Resync,
    session::io::Event,
};

/// How long a batch may take, beyond what Redis' own timeout allows.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before a place that another holds is looked at again. Whoever took it may
/// give it back: a socket whose peer was gone before it was admitted.
const DOUBT: Duration = Duration::from_millis(300);

/// A socket, and the device on it.
type Placed = (DeviceAddress, Arc<Handle>);

/// See the module.
#[derive(Debug)]
pub(crate) struct Audit {
    admission: Arc<Admission>,
    resync: Arc<Resync>,
    config: PlacesConfig,
    now: Notify,
}

impl Audit {
    pub(crate) fn new(
        admission: Arc<Admission>,
        resync: Arc<Resync>,
        config: PlacesConfig,
    ) -> Self {
        Self { admission, resync, config, now: Notify::new() }
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
            let mut failed = false;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.now.notified() => {}
                }
                failed = self.audit(failed).await;
                pause = self.config.audit_every;
            }
        };
        stopped.run_until_cancelled(audit).await;
    }

    /// Takes whether the audit before failed somewhere, and says the same of this one.
    async fn audit(&self, after_failure: bool) -> bool {
        let handles: Vec<_> = self
            .admission
            .registry
            .handles()
            .into_iter()
            .filter_map(|handle| Some((handle.device()?, handle)))
            .collect();
        let mut failed = false;
        for batch in handles.chunks(self.config.audit_batch) {
            match self.audit_batch(batch).await {
                Some(doubtful) if doubtful.is_empty() => {}
                Some(doubtful) => {
                    tokio::time::sleep(DOUBT).await;
                    self.look_again(doubtful).await;
                }
                None => failed = true,
            }
            tokio::time::sleep(self.config.audit_pause).await;
        }
        if after_failure && !failed {
            self.resync.request();
        }
        failed
    }

    /// Gives the sockets whose place another holds; nothing where Redis fails.
    async fn audit_batch(&self, batch: &[Placed]) -> Option<Vec<Placed>> {
        // A socket that is not in Redis yet may find the place of the one it takes
        // over from: that is no verdict.
        let (placed, others): (Vec<_>, Vec<_>) =
            batch.iter().cloned().partition(|(_, handle)| handle.is_placed());
        let Some(held) = self.renew(&placed).await else {
            for (_, handle) in batch {
                handle.mailbox.post(Event::Missed);
            }
            return None;
        };
        let mut doubtful = Vec::new();
        for ((device, handle), held) in placed.into_iter().zip(held) {
            match held {
                Held::Ours => metrics::places("ours"),
                Held::Lost => {
                    metrics::places("lost");
                    self.write_anew(device, &handle).await;
                }
                Held::Foreign => doubtful.push((device, handle)),
            }
        }
        for (device, handle) in others {
            metrics::places("late");
            self.write_anew(device, &handle).await;
        }
        Some(doubtful)
    }

    /// Ends the sockets whose place another still holds.
    async fn look_again(&self, doubtful: Vec<Placed>) {
        // Where Redis fails now, the next audit finds out.
        let held = self.renew(&doubtful).await.unwrap_or_default();
        for ((device, handle), held) in doubtful.into_iter().zip(held) {
            match held {
                Held::Foreign => {
                    metrics::places("foreign");
                    handle.mailbox.post(Event::Displaced);
                }
                Held::Lost => {
                    metrics::places("lost");
                    self.write_anew(device, &handle).await;
                }
                // For a moment hints went to the other.
                Held::Ours => {
                    metrics::places("ours");
                    handle.mailbox.post(Event::Missed);
                }
            }
        }
    }

    /// What became of the places of these sockets; nothing where Redis fails.
    async fn renew(&self, sockets: &[Placed]) -> Option<Vec<Held>> {
        let places: Vec<_> = sockets
            .iter()
            .map(|(device, handle)| (*device, self.admission.place(handle.connection)))
            .collect();
        let renewed = timeout(BATCH_TIMEOUT, self.admission.places.renew_many(&places));
        let held = renewed.await.ok().and_then(Result::ok);
        if held.is_none() {
            metrics::place_error();
        }
        held
    }

    async fn write_anew(&self, device: DeviceAddress, handle: &Arc<Handle>) {
        self.admission.claim(handle, device).await;
        handle.mailbox.post(Event::Missed);
    }
}

#[cfg(test)]
mod tests {
    use redis::AsyncCommands as _;
    use sotto_ids::ConnectionId;
    use sotto_store::places::Place;

    use super::*;
    use crate::{
        admission::tests::{admission, device, is_displaced, redis, socket},
        config::tests::defaults,
        registry::Registered,
    };

    async fn audit() -> Audit {
        let resync = Arc::new(Resync::new(defaults().resync));
        Audit::new(Arc::new(admission().await), resync, defaults().places)
    }

    async fn placed(audit: &Audit, number: u8) -> (DeviceAddress, Registered) {
        let (device, socket) = (device(number), socket(&audit.admission, u64::from(number)));
        assert!(audit.admission.admit(socket.handle(), device, || false).await);
        (device, socket)
    }

    fn elsewhere() -> Place {
        Place { gateway: "elsewhere".to_owned(), connection: ConnectionId(1) }
    }

    /// Serves what was asked of the resync, if anything was, and says whether this
    /// socket was told to read its queue.
    async fn is_read_again(audit: &Audit, socket: &Registered) -> bool {
        let (resync, registry) = (audit.resync.clone(), audit.admission.registry.clone());
        let told = async {
            socket.handle().mailbox.arrived().await;
            socket.handle().mailbox.take().events().any(|event| matches!(event, Event::Missed))
        };
        tokio::select! {
            biased;
            () = resync.run(registry, CancellationToken::new()) => false,
            told = told => told,
            // A request that was made is served before this one's first turn.
            () = tokio::task::yield_now() => false,
        }
    }

    #[tokio::test]
    async fn the_first_audit_that_finds_redis_back_has_every_queue_read() {
        let audit = audit().await;
        let (device, socket) = placed(&audit, 211).await;
        let mut commands = redis().await.commands();
        assert!(!audit.audit(false).await);
        assert!(!is_read_again(&audit, &socket).await, "nothing was amiss");

        // What is no text cannot be renewed: Redis answers with an error.
        let key = format!("gateway:{{{device}}}:place");
        let _: () = commands.del(&key).await.unwrap();
        let _: () = commands.lpush(&key, "no text").await.unwrap();
        assert!(audit.audit(false).await);
        assert!(is_read_again(&audit, &socket).await, "each audit without Redis says so");
        let _: () = commands.del(&key).await.unwrap();
        let ours = audit.admission.place(socket.handle().connection);
        audit.admission.places.claim(device, &ours).await.unwrap();
        assert!(!audit.audit(true).await);

        assert!(is_read_again(&audit, &socket).await);
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_ends_nobody() {
        let audit = audit().await;
        let (device, socket) = placed(&audit, 212).await;
        let sockets = [(device, socket.handle().clone())];
        let places = &audit.admission.places;
        places.claim(device, &elsewhere()).await.unwrap();

        let doubtful = audit.audit_batch(&sockets).await.unwrap();
        assert_eq!(doubtful.len(), 1);
        assert!(!is_displaced(&socket), "not at once");
        places.claim(device, &audit.admission.place(socket.handle().connection)).await.unwrap();
        audit.look_again(doubtful).await;
        assert!(!is_displaced(&socket));

        places.claim(device, &elsewhere()).await.unwrap();
        let doubtful = audit.audit_batch(&sockets).await.unwrap();
        audit.look_again(doubtful).await;
        assert!(is_displaced(&socket), "another holds it for good");
        places.forget(device, &elsewhere()).await.unwrap();
    }
}
