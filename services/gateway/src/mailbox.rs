//! What waits for one socket, put there by the rest of the process.
//!
//! Posting never waits: links serve thousands of sockets and may not be held up by
//! one. What could grow without bound is dropped beyond a bound, since its truth is
//! elsewhere: deliveries wait in the queue, from where they are pulled once the
//! session hears that some were missed; entries of groups stand in the log, which the device
//! reads once it hears where that ends. What is ephemeral is dropped for good. Everything
//! else is bounded by nature: outcomes by the sends a session may have undecided, pages by the
//! one it asks for, what is said of groups by those that the device is in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use sotto_ids::GroupId;
use sotto_proto::{groups, messages::outcome, socket::GroupHead};
use tokio::sync::Notify;

use crate::{
    config::MailboxConfig,
    groups::{Broadcast, Group},
    metrics,
    session::io::{Event, Page, Stored},
};

/// What waits, at most one of each but of outcomes and deliveries.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    outcomes: Vec<(u64, outcome::Result)>,
    page: Option<Page>,
    deliveries: Vec<Stored>,
    ephemeral: Vec<Bytes>,
    broadcasts: Vec<Arc<Broadcast>>,
    /// Of deliveries, of what is stored nowhere, and of entries of groups.
    bytes: usize,
    missed: bool,
    group_outcomes: Vec<(u64, groups::outcome::Result)>,
    group_heads: Option<Vec<GroupHead>>,
    /// Groups whose entries there was no room for, or which may have been lost before.
    behind: HashMap<GroupId, Arc<Group>>,
    prekeys_low: Option<(u32, u32)>,
    key_packages_low: Option<u32>,
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
        let group_outcomes = self
            .group_outcomes
            .into_iter()
            .map(|(frame, result)| Event::GroupOutcome { frame, result });
        let group_heads = self.group_heads.map(|heads| Event::GroupHeads { heads, complete: true });
        // Where they end by now: what was published since has not been kept for them.
        let behind: Vec<_> = self.behind.values().map(|group| group.head()).collect();
        let behind =
            (!behind.is_empty()).then_some(Event::GroupHeads { heads: behind, complete: false });
        let key_packages_low =
            self.key_packages_low.map(|key_packages| Event::KeyPackagesLow { key_packages });
        outcomes
            .chain(group_outcomes)
            .chain(self.page.map(Event::Page))
            .chain(self.deliveries.into_iter().map(Event::Delivery))
            .chain(self.ephemeral.into_iter().map(Event::Ephemeral))
            .chain(self.missed.then_some(Event::Missed))
            .chain(group_heads)
            .chain(self.broadcasts.into_iter().map(Event::Broadcast))
            .chain(behind)
            .chain(prekeys_low)
            .chain(key_packages_low)
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
            Event::Ephemeral(encoded) => self.put_ephemeral(encoded, bounds),
            Event::Missed => self.missed = true,
            Event::PrekeysLow { one_time_ec, one_time_kyber } => {
                self.prekeys_low = Some((one_time_ec, one_time_kyber));
            }
            Event::GroupOutcome { frame, result } => self.group_outcomes.push((frame, result)),
            Event::Broadcast(broadcast) => self.put_broadcast(broadcast, bounds),
            Event::GroupBehind(group) => {
                self.behind.insert(group.id(), group);
            }
            // The gateway says all of them or none.
            Event::GroupHeads { heads, .. } => self.group_heads = Some(heads),
            Event::KeyPackagesLow { key_packages } => self.key_packages_low = Some(key_packages),
            Event::Tick => self.tick = true,
            // To be revoked is worse: a displaced device may connect again.
            Event::Displaced => self.cut = self.cut.or(Some(Cut::Displaced)),
            Event::Revoked => self.cut = Some(Cut::Revoked),
            Event::Drain { reconnect_after_ms } => self.drain = Some(reconnect_after_ms),
        }
    }

    fn put_delivery(&mut self, stored: Stored, bounds: MailboxConfig) {
        let length = stored.encoded.len();
        let fits = self.deliveries.is_empty() || self.fits(length, bounds);
        if fits && !self.missed {
            self.bytes += length;
            self.deliveries.push(stored);
        } else if !self.missed {
            self.missed = true;
            metrics::lagging();
        }
    }

    /// What nobody keeps is not worth the place of what somebody does: where there is no
    /// room, it is gone.
    fn put_ephemeral(&mut self, encoded: Bytes, bounds: MailboxConfig) {
        if self.fits(encoded.len(), bounds) && !self.missed {
            self.bytes += encoded.len();
            self.ephemeral.push(encoded);
        } else {
            metrics::ephemeral_dropped();
        }
    }

    /// Where one is left out, so are those of the same group that come after it: the device
    /// reads them all.
    fn put_broadcast(&mut self, broadcast: Arc<Broadcast>, bounds: MailboxConfig) {
        let (group, length) = (broadcast.group(), broadcast.length());
        if self.behind.contains_key(&group.id()) {
            return;
        }
        let alone = self.deliveries.is_empty() && self.broadcasts.is_empty();
        if alone || self.fits(length, bounds) {
            self.bytes += length;
            self.broadcasts.push(broadcast);
        } else {
            metrics::group_hints("slow", 1);
            self.behind.insert(group.id(), group.clone());
        }
    }

    fn fits(&self, length: usize, bounds: MailboxConfig) -> bool {
        let items = self.deliveries.len() + self.ephemeral.len() + self.broadcasts.len();
        items < bounds.max_items && self.bytes + length <= bounds.max_bytes.0
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
    use sotto_ids::{AccountId, ClientMsgId, DeviceAddress, DeviceId, EnvelopeId};
    use sotto_kit::config::ByteSize;

    use super::*;

    fn delivery(bytes: usize) -> Event {
        let device = DeviceAddress::new(AccountId::new([1; 32]).uuid(), DeviceId::FIRST);
        let id = EnvelopeId::derive(device, device, ClientMsgId::new(1, [1; 10]));
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

    /// I-6. Caught with the comparison of the number taken out: all five are kept.
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
    fn what_is_ephemeral_is_dropped_where_there_is_no_room() {
        let mailbox = mailbox(3, 10);
        mailbox.post(Event::Ephemeral(Bytes::from_static(b"large, and larger")));
        assert!(names(&mailbox).is_empty());

        mailbox.post(delivery(5));
        for _ in 0..5 {
            mailbox.post(Event::Ephemeral(Bytes::from_static(b"typing")));
        }
        mailbox.post(delivery(1));
        assert_eq!(names(&mailbox), ["Delivery", "Delivery"], "no room for any");

        for _ in 0..5 {
            mailbox.post(Event::Ephemeral(Bytes::from_static(b"t")));
        }
        assert_eq!(names(&mailbox), ["Ephemeral", "Ephemeral", "Ephemeral"]);
        assert!(names(&mailbox).is_empty(), "and nothing was missed");
    }

    #[test]
    fn what_is_not_a_delivery_is_never_dropped() {
        let mailbox = mailbox(1, 1);
        mailbox.post(delivery(1));
        mailbox.post(delivery(1));
        mailbox.post(Event::Tick);
        mailbox.post(Event::Displaced);
        mailbox.post(Event::Page(Page::default()));

        assert_eq!(names(&mailbox), ["Page", "Delivery", "Missed", "Tick", "Displaced"]);
    }
}
