//! Items on their way to the links of replicas. Where a link has no room, one item waits for
//! it and others wait behind that one; whoever asks should then ask for no more.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
};

use super::io::Event;
use crate::{
    links::{Item, Link, TrySendError},
    metrics::Meters,
};

/// An item on its way to a link that has no room; it comes back where the link is lost.
type Waiting<I> = Pin<Box<dyn Future<Output = Result<(), Box<I>>>>>;

/// Where items go.
pub(crate) trait Way {
    /// What they are.
    type Item: Item;

    /// The link that this one takes, if any replica is attached.
    fn link(&mut self, item: &Self::Item) -> Option<Arc<Link<Self::Item>>>;

    /// The answer to one that no replica took, where one is owed.
    fn unavailable(&self, item: &Self::Item) -> Option<Event>;
}

/// See the module.
pub(crate) struct Lane<W: Way> {
    way: W,
    meters: Meters,
    waiting: Option<Waiting<W::Item>>,
    /// What comes after the one that waits.
    backlog: VecDeque<W::Item>,
}

impl<W: Way> fmt::Debug for Lane<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("backlog", &self.backlog.len()).finish_non_exhaustive()
    }
}

impl<W: Way> Lane<W> {
    pub(crate) fn new(way: W, meters: Meters) -> Self {
        Self { way, meters, waiting: None, backlog: VecDeque::new() }
    }

    pub(crate) const fn way(&mut self) -> &mut W {
        &mut self.way
    }

    /// Whether something waits for a link with room.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.is_some()
    }

    /// Puts an item behind those that wait. Gives its answer where no replica takes it.
    pub(crate) fn put(&mut self, item: W::Item) -> Option<Event> {
        if self.waiting.is_some() {
            self.backlog.push_back(item);
            return None;
        }
        self.put_now(item)
    }

    /// Returns once the item that waits has found room, or its link is lost; never where
    /// none waits. May be dropped while it waits. The result is for [`Self::go_on`].
    pub(crate) async fn room(&mut self) -> Result<(), Box<W::Item>> {
        match &mut self.waiting {
            Some(waiting) => waiting.await,
            None => pending().await,
        }
    }

    /// Puts what waited behind the one that has found room. Gives the answers of those
    /// that no replica takes.
    pub(crate) fn go_on(&mut self, sent: Result<(), Box<W::Item>>) -> Vec<Event> {
        self.waiting = None;
        let mut failed: Vec<_> = sent.err().and_then(|item| self.fail(&item)).into_iter().collect();
        while self.waiting.is_none()
            && let Some(item) = self.backlog.pop_front()
        {
            failed.extend(self.put_now(item));
        }
        failed
    }

    fn put_now(&mut self, item: W::Item) -> Option<Event> {
        let Some(link) = self.way.link(&item) else {
            return self.fail(&item);
        };
        match link.try_send(item) {
            Ok(()) => None,
            Err(TrySendError::Lost(item)) => self.fail(&item),
            Err(TrySendError::Full(item)) => {
                self.meters.waits.increment(1);
                self.waiting = Some(Box::pin(async move { link.send(item).await }));
                None
            }
        }
    }

    fn fail(&self, item: &W::Item) -> Option<Event> {
        let answer = self.way.unavailable(item);
        if matches!(answer, Some(Event::Outcome { .. } | Event::GroupOutcome { .. })) {
            self.meters.unavailable.increment(1);
        }
        answer
    }
}
