//! Waiting for a condition rather than for a time.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

/// How long to leave a condition alone before it is looked at again.
const PAUSE: Duration = Duration::from_millis(10);

/// A condition did not come about in time.
#[derive(Debug)]
pub struct TimedOut {
    what: String,
    waited: Duration,
    last: String,
}

impl std::fmt::Display for TimedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, waited, last } = self;
        write!(f, "waited {waited:.1?} for {what}; the last state was: {last}")
    }
}

impl std::error::Error for TimedOut {}

/// Looks at a condition again and again until it is `Ok`, and gives what it held.
///
/// `Err` means not yet, and carries the state to be shown if it stays so. `what`
/// completes the sentence "waited 10 s for ...".
///
/// # Errors
///
/// [`TimedOut`] with the last state.
pub async fn until<T, State, F>(
    timeout: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Result<T, TimedOut>
where
    State: Debug,
    F: Future<Output = Result<T, State>>,
{
    let start = Instant::now();
    let deadline = tokio::time::Instant::now() + timeout;
    let mut last = "(the first look took longer)".to_owned();
    loop {
        match tokio::time::timeout_at(deadline, condition()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(state)) => last = format!("{state:?}"),
            Err(_) => {}
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(TimedOut { what: what.to_owned(), waited: start.elapsed(), last });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// [`until`] for tests.
///
/// # Panics
///
/// With the last state, when the condition does not come about in time.
pub async fn wait_for<T, State, F>(timeout: Duration, what: &str, condition: impl FnMut() -> F) -> T
where
    State: Debug,
    F: Future<Output = Result<T, State>>,
{
    match until(timeout, what, condition).await {
        Ok(value) => value,
        Err(timed_out) => panic!("{timed_out}"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn it_gives_what_the_condition_held() {
        let looks = Cell::new(0);

        let value = until(Duration::from_secs(5), "the third look", || async {
            looks.set(looks.get() + 1);
            if looks.get() == 3 { Ok("there") } else { Err(looks.get()) }
        })
        .await
        .unwrap();

        assert_eq!((value, looks.get()), ("there", 3));
    }

    #[tokio::test]
    async fn it_shows_the_last_state_when_the_condition_never_comes() {
        let error = until(Duration::from_millis(30), "rain", || async { Err::<(), _>("dry") })
            .await
            .unwrap_err();

        assert!(error.to_string().contains("for rain; the last state was: \"dry\""), "{error}");
    }

    #[tokio::test]
    async fn a_look_that_hangs_does_not_hang_the_wait() {
        let error =
            until(Duration::from_millis(30), "ever", std::future::pending::<Result<(), ()>>)
                .await
                .unwrap_err();

        assert!(error.to_string().contains("for ever"), "{error}");
    }
}
