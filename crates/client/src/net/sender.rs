//! Empties the outbox on to the socket.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use sotto_ids::{AccountUuid, DeviceId};
use sotto_proto::socket::{
    ClientFrame, DeviceMismatch, Error, ServerFrame, client_frame, server_frame::Body,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    End,
    flight::{Flight, Mismatch, Sent},
    introduce::introduce,
};
use crate::{
    ClientError,
    backoff::Backoff,
    client::Inner,
    outbox::{self, Answer, Wanted},
};

/// Answers that are taken together, and noted in one transaction.
const ANSWERS: usize = 256;

/// What a way to the server takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Sends without an answer.
    pub(crate) window: usize,
    /// Bytes of a frame.
    pub(crate) max_frame: usize,
}

/// Sends what is in the outbox, and what is put there, until the socket ends.
pub(crate) async fn run(
    inner: &Arc<Inner>,
    frames: &mpsc::Sender<ClientFrame>,
    mut answers: mpsc::Receiver<ServerFrame>,
    bounds: Bounds,
) -> End {
    let _line = inner.line.open(frames.clone());
    let mut sender = Sender::new(inner, frames, bounds);
    let mut outbox = inner.outbox.clone();
    let mut answered = Vec::with_capacity(ANSWERS);
    loop {
        outbox.mark_unchanged();
        if let Err(end) = sender.fill(std::mem::take(&mut answered)).await {
            return end;
        }
        let wake = sender.flight.next_wake();
        tokio::select! {
            count = answers.recv_many(&mut answered, ANSWERS) => {
                if count == 0 {
                    return End::lost("connection_lost");
                }
            }
            Some((peer, outcome)) = sender.introductions.next(),
                if !sender.introductions.is_empty() =>
            {
                if let Err(end) = sender.introduced(peer, outcome).await {
                    return end;
                }
            }
            changed = outbox.changed() => {
                if changed.is_err() {
                    return End::lost("closed");
                }
            }
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
        sender.flight.wake(Instant::now());
    }
}

struct Sender<'a> {
    inner: &'a Arc<Inner>,
    frames: &'a mpsc::Sender<ClientFrame>,
    max_frame: usize,
    flight: Flight,
    /// Calls-back that are on their way, by the number of their frame.
    retracting: HashMap<u64, u64>,
    introductions: FuturesUnordered<BoxFuture<'static, (AccountUuid, Result<(), ClientError>)>>,
    /// Pauses after introductions that came to nothing.
    backoff: Backoff,
}

impl<'a> Sender<'a> {
    fn new(inner: &'a Arc<Inner>, frames: &'a mpsc::Sender<ClientFrame>, bounds: Bounds) -> Self {
        let tuning = &inner.config.tuning;
        Self {
            inner,
            frames,
            max_frame: bounds.max_frame,
            flight: Flight::new(bounds.window.max(1)),
            retracting: HashMap::new(),
            introductions: FuturesUnordered::new(),
            backoff: Backoff::new(tuning.retry_min, tuning.retry_max),
        }
    }

    /// Notes answers, encrypts what comes next, both in one transaction, and sends
    /// it.
    async fn fill(&mut self, answered: Vec<ServerFrame>) -> Result<(), End> {
        let retracted: Vec<_> = answered.iter().filter_map(|frame| self.retracted(frame)).collect();
        let settled: Vec<_> = answered.into_iter().filter_map(|frame| self.answer(frame)).collect();
        let wanted = Wanted {
            room: self.flight.room(),
            in_flight: self.flight.rows(),
            halted: self.flight.halted(),
            server_now_ms: self.inner.server_clock.server_now_ms(),
            max_frame: self.max_frame,
            calls_back: !self.flight.is_paused(),
            retracting: self.retracting.values().copied().collect(),
        };
        let batch = self
            .inner
            .vault
            .run(move |tx| {
                for seq in retracted {
                    outbox::retracted(tx, seq)?;
                }
                for (seq, answer) in settled {
                    outbox::settle(tx, seq, answer)?;
                }
                outbox::next_batch(tx, wanted)
            })
            .await
            .map_err(|error| {
                tracing::error!(reason = error.reason(), "the outbox failed");
                End::lost(error.reason())
            })?;
        for (seq, peer, send) in batch.sends {
            let id = self.flight.send(Sent { seq, peer });
            let frame = ClientFrame { id, body: Some(client_frame::Body::Send(send)) };
            self.frames.send(frame).await.map_err(|_| End::lost("connection_lost"))?;
        }
        for (seq, retract) in batch.retracts {
            let id = self.flight.frame();
            self.retracting.insert(id, seq);
            let frame = ClientFrame { id, body: Some(client_frame::Body::Retract(retract)) };
            self.frames.send(frame).await.map_err(|_| End::lost("connection_lost"))?;
        }
        for peer in batch.strangers {
            self.flight.mismatch(peer, Mismatch::default());
        }
        for (peer, mismatch) in self.flight.introductions() {
            let inner = Arc::clone(self.inner);
            let introduction =
                async move { (peer, introduce(&inner, peer, mismatch).await) }.boxed();
            self.introductions.push(introduction);
        }
        Ok(())
    }

    /// The call-back that is done with by this answer; one that may pass later is made
    /// again then.
    fn retracted(&mut self, frame: &ServerFrame) -> Option<u64> {
        let seq = self.retracting.remove(&frame.in_reply_to)?;
        match &frame.body {
            Some(Body::Error(error)) if may_pass_later(error) => {
                self.put_off(error);
                None
            }
            _ => Some(seq),
        }
    }

    /// What an answer means for the row that it is about.
    fn answer(&mut self, frame: ServerFrame) -> Option<(u64, Answer)> {
        let Sent { seq, peer } = self.flight.answered(frame.in_reply_to)?;
        let answer = match frame.body? {
            Body::Accepted(accepted) => {
                self.flight.accepted(peer);
                Answer::Accepted { server_time_ms: accepted.server_time_ms }
            }
            Body::DeviceMismatch(mismatch) => {
                self.flight.mismatch(peer, read_mismatch(&mismatch));
                Answer::Encrypt
            }
            Body::Error(error) => self.refused(peer, error)?,
            _ => return None,
        };
        Some((seq, answer))
    }

    /// What a refusal means for the row; `None` where it is to be sent again as it
    /// is.
    fn refused(&mut self, peer: AccountUuid, error: Error) -> Option<Answer> {
        let tuning = &self.inner.config.tuning;
        if error.reason == "clock_skew" && error.server_time_ms != 0 {
            self.inner.server_clock.set(error.server_time_ms);
            self.flight.pause(Instant::now(), tuning.retry_min);
            return Some(Answer::Rename { server_now_ms: error.server_time_ms });
        }
        if !may_pass_later(&error) {
            tracing::debug!(reason = error.reason, "a send was refused");
            return Some(Answer::Failed { reason: error.reason });
        }
        if error.reason == "queue_full" {
            // That is about this peer, and may last for weeks.
            let until = Instant::now() + self.pause_of(&error);
            self.flight.halt(peer, until);
        } else {
            // Until then nothing at all is sent, so that what is refused goes first.
            self.put_off(&error);
        }
        None
    }

    fn put_off(&mut self, error: &Error) {
        let pause = self.pause_of(error);
        self.flight.pause(Instant::now(), pause);
    }

    /// How long to wait after a refusal that may pass.
    fn pause_of(&self, error: &Error) -> Duration {
        let tuning = &self.inner.config.tuning;
        let pause = Duration::from_millis(error.retry_after_ms.into());
        let pause = pause.min(tuning.retry_after_max);
        super::spread(pause, &mut self.inner.rng()).max(tuning.retry_min)
    }

    /// Goes on with a peer, tries later, or gives its messages up.
    async fn introduced(
        &mut self,
        peer: AccountUuid,
        outcome: Result<(), ClientError>,
    ) -> Result<(), End> {
        let error = match outcome {
            Ok(()) if self.flight.goes_in_circles(peer) => {
                ClientError::unavailable("the server keeps naming other devices")
            }
            Ok(()) => {
                self.backoff.reset();
                self.flight.resume(peer);
                return Ok(());
            }
            Err(error) => error,
        };
        tracing::info!(reason = error.reason(), "sessions could not be opened");
        if !is_about_peer(&error) {
            let pause = self.backoff.pause(&mut self.inner.rng());
            let pause = pause.max(self.inner.config.tuning.believed(error.retry_after()));
            self.flight.halt(peer, Instant::now() + pause);
            return Ok(());
        }
        let reason = error.reason().to_owned();
        self.inner
            .vault
            .run(move |tx| outbox::fail_peer(tx, peer, &reason))
            .await
            .map_err(|error| End::lost(error.reason()))?;
        self.flight.resume(peer);
        Ok(())
    }
}

/// Whether the same request may be taken later.
fn may_pass_later(error: &Error) -> bool {
    error.retry_after_ms > 0 || matches!(error.reason.as_str(), "rate_limited" | "read_only")
}

/// Whether an error says that this peer cannot be sent to, rather than that
/// something else is in the way.
fn is_about_peer(error: &ClientError) -> bool {
    match error {
        ClientError::Distrust(_) | ClientError::UnknownAccount => true,
        ClientError::Refused { reason, .. } => {
            matches!(reason.as_str(), "unknown_account" | "not_interoperable")
        }
        _ => false,
    }
}

fn read_mismatch(mismatch: &DeviceMismatch) -> Mismatch {
    let ids = |numbers: &[u32]| {
        numbers.iter().filter_map(|&number| DeviceId::try_from(number).ok()).collect()
    };
    let mut void: std::collections::BTreeSet<_> = ids(&mismatch.extra);
    void.extend(ids(&mismatch.stale));
    Mismatch { missing: ids(&mismatch.missing), void }
}
