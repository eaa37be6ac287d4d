use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sotto_client::{Body, Direction, Event, EventStream};

use super::{
    outgoing::{Fate, Outgoing},
    text,
};
use crate::{
    latency::Latency,
    oracle::{Oracle, Shown},
};

/// What all devices have heard, beside the messages themselves.
#[derive(Debug, Default)]
pub struct Heard {
    /// From when a message was meant to be written to when it was shown.
    pub delivery: Latency,
    /// Events that a device missed: its story has gaps, and the run is worth nothing.
    missed: AtomicU64,
    /// What was not as it should be, by its reason.
    troubles: Mutex<BTreeMap<String, u64>>,
}

impl Heard {
    /// Events that were missed.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// What was not as it should be: how often, by its reason.
    pub fn troubles(&self) -> BTreeMap<String, u64> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn trouble(&self, what: String) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        *troubles.entry(what).or_default() += 1;
    }
}

/// Tells the oracle what a device shows, until its client is closed.
pub(super) async fn listen(
    mut events: EventStream,
    outgoing: Arc<Outgoing>,
    oracle: Arc<Oracle>,
    heard: Arc<Heard>,
) {
    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) if message.direction == Direction::Received => {
                match &message.body {
                    Body::Text(text) => {
                        if let Some(letter) = text::read(text)
                            && let Shown::First(took) = oracle.shown(letter)
                        {
                            heard.delivery.record(took);
                        }
                    }
                    Body::Unreadable { reason } => heard.trouble(format!("unreadable: {reason}")),
                    _ => {}
                }
            }
            Event::MessageAccepted { id, .. } => outgoing.decided(id, Fate::Accepted, &oracle),
            Event::MessageFailed { id, reason, .. } => {
                heard.trouble(format!("refused: {reason}"));
                outgoing.decided(id, Fate::Refused, &oracle);
            }
            Event::Stopped { reason } => heard.trouble(format!("connection stopped: {reason}")),
            Event::EnvelopeRefused { reason } => {
                heard.trouble(format!("envelope refused: {reason}"));
            }
            Event::ForkSuspected { .. } => heard.trouble("fork suspected".to_owned()),
            Event::Missed(count) => drop(heard.missed.fetch_add(count, Ordering::Relaxed)),
            _ => {}
        }
    }
}
