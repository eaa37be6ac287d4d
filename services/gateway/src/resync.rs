//! Reading queues again, after hints may have been lost.
//!
//! A hint is lost with the stream that it was on, or with the replica that would have
//! sent it, or for want of Redis, where the place is looked up. Nobody can tell whose it was, so every socket reads its queue once more,
//! a few at a time.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{config::ResyncConfig, registry::Registry, session::io::Event};

/// See the module.
#[derive(Debug)]
pub(crate) struct Resync {
    config: ResyncConfig,
    now: Notify,
    later: Notify,
}

impl Resync {
    pub(crate) fn new(config: ResyncConfig) -> Self {
        Self { config, now: Notify::new(), later: Notify::new() }
    }

    /// Has every socket read its queue. A request that is made while one is served is
    /// served after it; several are served as one.
    pub(crate) fn request(&self) {
        self.now.notify_one();
    }

    /// The same after a delay: what a replica was committing when it was lost is
    /// committed by then, or never.
    pub(crate) fn request_later(&self) {
        self.later.notify_one();
    }

    /// Serves requests until `stopped`.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>, stopped: CancellationToken) {
        let serve = async {
            loop {
                tokio::select! {
                    () = self.now.notified() => {}
                    () = self.later.notified() => tokio::time::sleep(self.config.delay).await,
                }
                self.sweep(&registry).await;
            }
        };
        stopped.run_until_cancelled(serve).await;
    }

    async fn sweep(&self, registry: &Registry) {
        for handles in registry.handles().chunks(self.config.batch) {
            for handle in handles {
                handle.mailbox.post(Event::Missed);
            }
            tokio::time::sleep(self.config.pause).await;
        }
    }
}
