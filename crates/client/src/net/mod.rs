//! The connection to the gateway: kept up while the client is online.

mod ack;
mod close;
mod flight;
pub(crate) mod inbox;
mod introduce;
mod line;
pub(crate) mod poll;
mod presence;
pub(crate) mod sender;
mod session;
mod socket;
mod upkeep;
mod ways;

pub(crate) use self::{line::Line, presence::announce};

#[cfg(test)]
pub(crate) use self::socket::refusal as socket_refusal;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use rand::Rng;
use tokio_util::sync::CancellationToken;

use self::ways::{Way, Ways};
use crate::{Clock, ConnectionState, Event, backoff::Backoff, client::Inner};

/// The server's clock: ours, and how far ours is off as the server last said.
#[derive(Clone)]
pub(crate) struct ServerClock {
    clock: Arc<dyn Clock>,
    offset_ms: Arc<AtomicI64>,
}

impl ServerClock {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, offset_ms: Arc::default() }
    }

    /// The time here, milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The time at the server, as far as it is known.
    pub(crate) fn server_now_ms(&self) -> u64 {
        self.now_ms().saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }

    /// The server has just said what time it is.
    pub(crate) fn set(&self, server_now_ms: u64) {
        let offset_ms = server_now_ms.cast_signed().saturating_sub(self.now_ms().cast_signed());
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }
}

/// The server's word for a token that it does not take.
const AUTHENTICATION_FAILED: &str = "authentication_failed";

/// Our word for a device that waits to be approved.
const REQUEST_PENDING: &str = "request_pending";

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was to end.
    Wanted,
    /// It was lost; a new one may be tried, not before `after` where that is set.
    Lost { reason: String, after: Option<Duration> },
    /// It is of no use to try again.
    Final { reason: String },
    /// Messages went by requests, and need to no longer.
    SocketWorks,
}

impl End {
    fn lost(reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into(), after: None }
    }
}

/// Keeps a connection up until `stop`, or until the server says that it is of no
/// use. Attempts come with growing pauses, and go round the sockets. Where sockets do
/// not open, messages go by requests in the meantime, if the transport allows it.
pub(crate) async fn keep_online(inner: Arc<Inner>, stop: CancellationToken) {
    let tuning = &inner.config.tuning;
    let mut backoff = Backoff::new(tuning.retry_min, tuning.retry_max);
    let mut ways = Ways::new(&inner.config);
    // A token that was kept may have become void; one that was bought just now not.
    let mut may_renew_token = true;
    loop {
        inner.connection.send_replace(ConnectionState::Connecting);
        let mut was_open = false;
        let way = ways.next();
        let end = match &way {
            Way::Socket(url) => Box::pin(session::run(&inner, &stop, url, &mut was_open)).await,
            Way::Rest { base, probe } => {
                let rest = inner.rest.at(base.clone());
                Box::pin(poll::run(&inner, &rest, &stop, probe.as_ref(), &mut was_open)).await
            }
            Way::None => return finish(&inner, "no_sockets"),
        };
        ways.ended(&way, was_open, &end);
        let waits_for_a_person =
            matches!(&end, End::Lost { reason, .. } if reason == REQUEST_PENDING);
        if was_open || waits_for_a_person {
            backoff.reset();
        }
        let (reason, after) = match end {
            End::Wanted => {
                inner.connection.send_replace(ConnectionState::Offline);
                return;
            }
            End::SocketWorks => continue,
            End::Final { reason } if reason == AUTHENTICATION_FAILED && may_renew_token => {
                inner.auth.forget().await;
                may_renew_token = false;
                (reason, None)
            }
            End::Final { reason } => return finish(&inner, &reason),
            End::Lost { reason, after } => (reason, after),
        };
        tracing::debug!(reason, was_open, "connection lost");
        inner.connection.send_replace(ConnectionState::Connecting);
        inner.tell(Event::Disconnected { reason });
        may_renew_token |= was_open;
        let pause = backoff.pause(&mut inner.rng());
        let pause = match after {
            Some(after) => pause.max(spread(after.min(tuning.retry_after_max), &mut inner.rng())),
            None => pause,
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            inner.connection.send_replace(ConnectionState::Offline);
            return;
        }
    }
}

/// Not before `after`, and up to half as long again: a server that tells many the same
/// time is not to see them all at once.
pub(crate) fn spread(after: Duration, rng: &mut impl Rng) -> Duration {
    after.mul_f64(rng.random_range(1.0..=1.5))
}

fn finish(inner: &Inner, reason: &str) {
    tracing::info!(reason, "connection ended for good");
    inner.connection.send_replace(ConnectionState::Stopped { reason: reason.to_owned() });
    inner.tell(Event::Stopped { reason: reason.to_owned() });
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn those_who_were_told_the_same_time_do_not_come_back_together() {
        let after = Duration::from_secs(10);
        let mut rng = StdRng::seed_from_u64(1);

        let mut back: Vec<_> = (0..1_000).map(|_| spread(after, &mut rng)).collect();
        back.sort();

        assert!(back[0] >= after && back[999] <= after.mul_f64(1.5));
        let in_a_tenth = |from: usize| back[from + 100] < back[from] + Duration::from_secs(1);
        assert!((0..900).step_by(100).all(in_a_tenth), "as many in each part of the time");
    }
}
