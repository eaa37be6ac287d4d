//! What waits for one socket, put there by the rest of the process.
//!
//! Posting never waits: links serve thousands of sockets and may not be held up by
//! one. What could grow without bound is dropped beyond a bound, since its truth is
//! elsewhere: deliveries wait in the queue, from where they are pulled once the
//! session hears that some were missed. Everything else is bounded by nature:
//! outcomes by the sends a session may have undecided, pages by the one it asks for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sotto_proto::messages::outcome;
use tokio::sync::Notify;

use crate::{
    config::MailboxConfig,
    metrics,
    session::io::{Event, Page, Stored},
};

/// What waits, at most one of each but of outcomes and deliveries.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    outcomes: Vec<(u64, outcome::Result)>,
    page: Option<Page>,
    deliveries: Vec<Stored>,
    delivery_bytes: usize,
    missed: bool,
    prekeys_low: Option<(u32, u32)>,
    tick: bool,
    cut: Option<Cut>,
    drain: Option<u32>,
}

/// What ends a socket though it takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Displaced,
    Revoked,
}

impl Mail {
    /// Gives it out as events. A page goes before deliveries: those that it holds are
    /// then known already.
    pub(crate) fn events(self) -> impl Iterator<Item = Event> {
        let outcomes =
            self.outcomes.into_iter().map(|(frame, result)| Event::Outcome { frame, result });
        let prekeys_low = self
            .prekeys_low
            .map(|(one_time_ec, one_time_kyber)| Event::PrekeysLow { one_time_ec, one_time_kyber });
        outcomes
            .chain(self.page.map(Event::Page))
            .chain(self.deliveries.into_iter().map(Event::Delivery))
            .chain(self.missed.then_some(Event::Missed))
            .chain(prekeys_low)
            .chain(self.tick.then_some(Event::Tick))
            .chain(self.cut.map(|cut| match cut {
                Cut::Displaced => Event::Displaced,
                Cut::Revoked => Event::Revoked,
            }))
            .chain(self.drain.map(|reconnect_after_ms| Event::Drain { reconnect_after_ms }))
    }

    fn put(&mut self, event: Event, bounds: MailboxConfig) {
        match event {
            Event::Outcome { frame, result } => self.outcomes.push((frame, result)),
            Event::Page(page) => self.page = Some(page),
            Event::Delivery(stored) => self.put_delivery(stored, bounds),
            Event::Missed => self.missed = true,
            Event::PrekeysLow { one_time_ec, one_time_kyber } => {
                self.prekeys_low = Some((one_time_ec, one_time_kyber));
            }
            Event::Tick => self.tick = true,
            // To be revoked is worse: a displaced device may connect again.
            Event::Displaced => self.cut = self.cut.or(Some(Cut::Displaced)),
            Event::Revoked => self.cut = Some(Cut::Revoked),
            Event::Drain { reconnect_after_ms } => self.drain = Some(reconnect_after_ms),
        }
    }

    fn put_delivery(&mut self, stored: Stored, bounds: MailboxConfig) {
        let bytes = self.delivery_bytes + stored.encoded.len();
        let fits = self.deliveries.is_empty()
            || (self.deliveries.len() < bounds.max_items && bytes <= bounds.max_bytes.0);
        if fits && !self.missed {
            self.delivery_bytes = bytes;
            self.deliveries.push(stored);
        } else if !self.missed {
            self.missed = true;
            metrics::lagging();
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mailbox {
    bounds: MailboxConfig,
    mail: Mutex<Mail>,
    arrived: Notify,
    cut: Notify,
}

impl Mailbox {
    pub(crate) fn new(bounds: MailboxConfig) -> Self {
        Self { bounds, mail: Mutex::default(), arrived: Notify::new(), cut: Notify::new() }
    }

    /// Puts an event in. Never waits.
    pub(crate) fn post(&self, event: Event) {
        let cuts = matches!(event, Event::Displaced | Event::Revoked);
        self.lock().put(event, self.bounds);
        self.arrived.notify_one();
        if cuts {
            self.cut.notify_one();
        }
    }

    /// Returns when something has been put in since `take`.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Returns when something was put in that ends the socket: for a session that
    /// waits for a peer who takes nothing.
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }

    /// Takes all that waits.
    pub(crate) fn take(&self) -> Mail {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sotto_ids::EnvelopeId;
    use sotto_kit::config::ByteSize;

    use super::*;

    fn delivery(bytes: usize) -> Event {
        let id = EnvelopeId::try_from([0x70; 16].as_slice()).unwrap();
        Event::Delivery(Stored { id, encoded: Bytes::from(vec![0; bytes]) })
    }

    fn mailbox(max_items: usize, max_bytes: usize) -> Mailbox {
        Mailbox::new(MailboxConfig { max_items, max_bytes: ByteSize(max_bytes) })
    }

    fn names(mailbox: &Mailbox) -> Vec<String> {
        let name = |event: Event| {
            let debug = format!("{event:?}");
            debug.split([' ', '(']).next().unwrap().to_owned()
        };
        mailbox.take().events().map(name).collect()
    }

    #[test]
    fn deliveries_beyond_the_bound_are_missed() {
        let mailbox = mailbox(2, 1 << 20);
        for _ in 0..5 {
            mailbox.post(delivery(1));
        }

        assert_eq!(names(&mailbox), ["Delivery", "Delivery", "Missed"]);
        assert!(names(&mailbox).is_empty());
    }

    #[test]
    fn bytes_count_too_but_one_delivery_always_fits() {
        let mailbox = mailbox(100, 10);
        mailbox.post(delivery(50));
        mailbox.post(delivery(1));

        assert_eq!(names(&mailbox), ["Delivery", "Missed"]);
    }

    #[test]
    fn what_is_not_a_delivery_is_never_dropped() {
        let mailbox = mailbox(1, 1);
        mailbox.post(delivery(1));
        mailbox.post(delivery(1));
        mailbox.post(Event::Tick);
        mailbox.post(Event::Displaced);
        mailbox.post(Event::Page(Page { envelopes: vec![], last: true, failed: false }));

        assert_eq!(names(&mailbox), ["Page", "Delivery", "Missed", "Tick", "Displaced"]);
    }
}
