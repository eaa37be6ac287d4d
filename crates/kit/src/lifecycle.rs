//! How a process ends: told once to finish what it has, told twice to stop.

use std::{future::Future, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// The two stages of an end, and the tasks that must see it.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    draining: CancellationToken,
    stopped: CancellationToken,
    tasks: TaskTracker,
    holds: TaskTracker,
}

impl Lifecycle {
    /// A life that nobody has asked to end.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that the end waits for. `name` is for the log.
    ///
    /// The task must watch `draining` or `stopped` by itself.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        #[expect(
            clippy::disallowed_methods,
            reason = "tracked here, so that the end waits for it"
        )]
        tokio::spawn(self.tasks.track_future(async move {
            task.await;
            tracing::trace!(task = name, "task ended");
        }));
    }

    /// Cancelled when the process should finish what it has and take nothing new.
    pub fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Cancelled when the process must let go of everything.
    pub fn stopped(&self) -> CancellationToken {
        self.stopped.clone()
    }

    /// Asks for the first stage.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Asks for the second stage.
    pub fn stop(&self) {
        self.draining.cancel();
        self.stopped.cancel();
    }

    /// Keeps the first stage from ending while the answer lives: for whoever has
    /// something to finish, such as sockets to close.
    pub fn hold(&self) -> TaskTrackerToken {
        self.holds.token()
    }

    /// Waits until the first stage is asked for, and then for everybody who holds it,
    /// but for these at most `longest`. The second stage cuts it short.
    pub async fn drained(&self, longest: Duration) {
        self.draining.cancelled().await;
        self.holds.close();
        tokio::select! {
            _ = tokio::time::timeout(longest, self.holds.wait()) => {}
            () = self.stopped.cancelled() => {}
        }
    }

    /// Whether the first stage has been asked for.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// A life of its own for a part of the process. It stops with the process, which
    /// waits for its tasks; when it drains is said by [`Lifecycle::drain_in_turn`].
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            draining: self.stopped.child_token(),
            stopped: self.stopped.clone(),
            tasks: self.tasks.clone(),
            holds: TaskTracker::new(),
        }
    }

    /// When the process drains, has its parts drain one after another: each begins when
    /// nobody holds the one before, or after `longest`. Who is needed by others goes last.
    pub fn drain_in_turn(&self, parts: Vec<(&'static str, Self)>, longest: Duration) {
        let (life, hold) = (self.clone(), self.hold());
        self.spawn("drain", async move {
            life.draining.cancelled().await;
            for (name, part) in parts {
                tracing::info!(part = name, "drains");
                part.drain();
                part.drained(longest).await;
            }
            drop(hold);
        });
    }

    /// Turns SIGTERM and SIGINT into the stages: the first drains, the second stops.
    pub fn listen_for_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let life = self.clone();
        self.spawn("signals", async move {
            for stage in [Self::drain, Self::stop] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    () = life.stopped.cancelled() => return,
                }
                tracing::info!("asked to end");
                stage(&life);
            }
        });
        Ok(())
    }

    /// Waits until every task has ended, for at most `grace`. Says whether they did.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.stop();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_tasks_that_watch_it() {
        let life = Lifecycle::new();
        let stopped = life.stopped();
        life.spawn("obedient", async move { stopped.cancelled().await });

        assert!(life.finish(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_those_who_hold_it() {
        let life = Lifecycle::new();
        let hold = life.hold();
        life.drain();
        let mut drained = std::pin::pin!(life.drained(Duration::from_secs(60)));

        let early = tokio::time::timeout(Duration::from_secs(1), &mut drained).await;
        drop(hold);

        assert!(early.is_err(), "somebody still held it");
        drained.await;
    }

    /// Sabotage it caught: parts that share the token of the process.
    #[tokio::test(start_paused = true)]
    async fn parts_drain_in_their_turn() {
        let life = Lifecycle::new();
        let (first, last) = (life.part(), life.part());
        let hold = first.hold();
        life.drain_in_turn(
            vec![("first", first.clone()), ("last", last.clone())],
            Duration::from_secs(60),
        );

        life.drain();
        first.draining().cancelled().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let early = last.is_draining();
        drop(hold);
        last.draining().cancelled().await;
        life.drained(Duration::from_secs(60)).await;

        assert!(!early, "somebody still held the first");
        assert!(!last.stopped().is_cancelled(), "it drained, and was not stopped");
        assert!(life.finish(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_told_to_stop_waits_for_no_turn() {
        let life = Lifecycle::new();
        let (first, last) = (life.part(), life.part());
        let _hold = first.hold();
        let parts = vec![("first", first), ("last", last.clone())];
        life.drain_in_turn(parts, Duration::from_secs(60));

        life.stop();

        assert!(last.is_draining());
        assert!(life.finish(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_does_not_wait_for_ever() {
        let life = Lifecycle::new();
        life.spawn("deaf", std::future::pending());

        assert!(!life.finish(Duration::from_secs(1)).await);
    }
}
