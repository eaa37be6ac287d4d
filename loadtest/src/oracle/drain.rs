use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::Oracle;

/// How often the end of a drain is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Envelopes that still wait at the server, by the device they are for.
pub type Queued = BTreeMap<u32, u64>;

/// The proof that the system was given its time: only with one can a message be called
/// lost.
#[derive(Debug, Clone)]
pub struct Drain {
    pub(super) ended: Instant,
    pub(super) queued: Queued,
    took: Duration,
    is_complete: bool,
}

impl Drain {
    /// Waits until nothing is open and nothing is queued, and has been so for `quiet`, in
    /// which a message could still be shown a second time. Gives up after `bound`, by when
    /// everything must have arrived.
    ///
    /// Nothing may be written any more, every part of the system must run, and every
    /// receiver must be connected. `queue` counts what waits at the server.
    ///
    /// # Errors
    ///
    /// Those of `queue` when it is asked last.
    pub async fn wait<E>(
        oracle: &Oracle,
        bound: Duration,
        quiet: Duration,
        queue: impl AsyncFn() -> Result<Queued, E>,
    ) -> Result<Self, E> {
        let started = Instant::now();
        let mut quiet_since = None;
        loop {
            let out_of_time = started.elapsed() >= bound;
            let is_still =
                oracle.interim().open == 0 && queue().await.is_ok_and(|queued| queued.is_empty());
            let now = Instant::now();
            if is_still {
                quiet_since.get_or_insert(now);
            } else {
                quiet_since = None;
            }
            let is_complete = quiet_since.is_some_and(|since| now - since >= quiet);
            if is_complete || out_of_time {
                let queued = queue().await?;
                let ended = Instant::now();
                return Ok(Self { ended, queued, took: ended - started, is_complete });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How long it took, the quiet time included.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Whether everything came to rest, rather than time running out.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}
