//! The read-only switch: for maintenance, all that would change something is put off,
//! while reading goes on. Who keeps the switch is in `sotto-store`.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    clock::SharedClock,
    fault::{Code, Fault},
};

/// When a write may come again where nobody said how long it lasts.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A time in which nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// What people are told, where the operator gave a reason.
    pub reason: Option<String>,
    /// When it ends, where the operator said so.
    pub until_ms: Option<u64>,
}

/// Nothing is changed for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be changed for now{}", .reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default())]
pub struct ReadOnlyError {
    /// What the operator says.
    pub reason: Option<String>,
    /// When to come again.
    pub retry_after: Duration,
}

impl ReadOnlyError {
    /// The database refuses to write, and nobody said why or for how long.
    pub const fn of_database() -> Self {
        Self { reason: None, retry_after: RETRY_AFTER }
    }
}

impl Fault for ReadOnlyError {
    fn code(&self) -> Code {
        Code::Unavailable
    }

    fn reason(&self) -> &'static str {
        "read_only"
    }

    /// The operator's words are meant for everybody.
    fn public_message(&self) -> String {
        self.to_string()
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after)
    }
}

/// The switch as a process sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadOnly {
    state: watch::Receiver<Option<Arc<Maintenance>>>,
    clock: SharedClock,
}

impl ReadOnly {
    /// What `state` says, by a clock that tells when it ends.
    pub const fn new(state: watch::Receiver<Option<Arc<Maintenance>>>, clock: SharedClock) -> Self {
        Self { state, clock }
    }

    /// A switch that nobody can move: for tools, and for tests of something else.
    pub fn never(clock: SharedClock) -> Self {
        Self::new(watch::channel(None).1, clock)
    }

    /// The maintenance that there is now.
    pub fn current(&self) -> Option<Arc<Maintenance>> {
        let now_ms = self.clock.now_ms();
        let lasts = |now: &Arc<Maintenance>| now.until_ms.is_none_or(|until| now_ms < until);
        self.state.borrow().clone().filter(lasts)
    }

    /// Refuses while there is maintenance. Call it before anything is changed. It costs a
    /// look at memory.
    ///
    /// # Errors
    ///
    /// `read_only`.
    pub fn check(&self) -> Result<(), ReadOnlyError> {
        let Some(maintenance) = self.current() else {
            return Ok(());
        };
        let left =
            |until_ms: u64| Duration::from_millis(until_ms.saturating_sub(self.clock.now_ms()));
        Err(ReadOnlyError {
            reason: maintenance.reason.clone(),
            retry_after: maintenance.until_ms.map_or(RETRY_AFTER, left),
        })
    }

    /// Waits until the switch is moved. Ends at once where nobody holds it any more.
    pub async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;

    fn maintenance(until_ms: Option<u64>) -> Arc<Maintenance> {
        Arc::new(Maintenance { reason: Some("moving house".into()), until_ms })
    }

    #[test]
    fn a_write_is_put_off_until_the_maintenance_ends() {
        let clock = Arc::new(TestClock::new(1_000));
        let (switch, state) = watch::channel(None);
        let read_only = ReadOnly::new(state, clock.clone());
        assert!(read_only.check().is_ok());

        switch.send_replace(Some(maintenance(Some(5_000))));
        let refused = read_only.check().unwrap_err();
        clock.advance(Duration::from_secs(4));

        assert_eq!(refused.retry_after, Duration::from_secs(4));
        assert!(refused.public_message().contains("moving house"));
        assert!(read_only.check().is_ok(), "its time is over");
    }

    #[test]
    fn without_an_end_it_lasts_until_it_is_switched_off() {
        let (switch, state) = watch::channel(Some(maintenance(None)));
        let read_only = ReadOnly::new(state, Arc::new(TestClock::new(u64::MAX)));

        assert_eq!(read_only.check().unwrap_err().retry_after, RETRY_AFTER);
        switch.send_replace(None);

        assert!(read_only.check().is_ok());
    }
}
