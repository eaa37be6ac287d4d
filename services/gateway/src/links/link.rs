//! The near end of one stream: what sockets put on it.

use std::sync::Arc;

use tokio::sync::{Semaphore, TryAcquireError, mpsc};

use super::Item;

/// A stream that is attached. Once it is lost, it takes nothing more.
#[derive(Debug)]
pub(crate) struct Link<I> {
    key: u64,
    /// Items for which the replica owes an outcome, that it takes before it has decided
    /// others.
    credit: Semaphore,
    items: mpsc::Sender<I>,
}

/// An item could not be put on a link at once. It comes back.
#[derive(Debug)]
pub(crate) enum TrySendError<I> {
    /// The link has no credit or no room now.
    Full(Box<I>),
    /// The link is lost.
    Lost(Box<I>),
}

impl<I: Item> Link<I> {
    /// `key` names the replica; `credit` and `queue` bound what it takes at once. The
    /// receiver has what was put on the link.
    pub(crate) fn new(key: u64, credit: usize, queue: usize) -> (Arc<Self>, mpsc::Receiver<I>) {
        let (items, received) = mpsc::channel(queue);
        let credit = Semaphore::new(credit.min(Semaphore::MAX_PERMITS));
        (Arc::new(Self { key, credit, items }), received)
    }

    pub(super) fn key(&self) -> u64 {
        self.key
    }

    /// Whether it takes nothing any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.items.is_closed()
    }

    /// Puts an item on the link without waiting.
    pub(crate) fn try_send(&self, item: I) -> Result<(), TrySendError<I>> {
        let takes_credit = item.takes_credit();
        if takes_credit {
            match self.credit.try_acquire() {
                Ok(permit) => permit.forget(),
                Err(TryAcquireError::NoPermits) => return Err(TrySendError::Full(item.into())),
                Err(TryAcquireError::Closed) => return Err(TrySendError::Lost(item.into())),
            }
        }
        self.items.try_send(item).map_err(|error| {
            if takes_credit {
                self.give_back_credit();
            }
            match error {
                mpsc::error::TrySendError::Full(item) => TrySendError::Full(item.into()),
                mpsc::error::TrySendError::Closed(item) => TrySendError::Lost(item.into()),
            }
        })
    }

    /// Puts an item on the link, once it has credit and room. Gives the item back
    /// where the link is lost by then.
    pub(crate) async fn send(&self, item: Box<I>) -> Result<(), Box<I>> {
        let mut credit = None;
        if item.takes_credit() {
            match self.credit.acquire().await {
                Ok(permit) => credit = Some(permit),
                Err(_) => return Err(item),
            }
        }
        // Credit is spent with the item: whoever gives up waiting here gives it back.
        match self.items.reserve().await {
            Ok(room) => room.send(*item),
            Err(_) => return Err(item),
        }
        if let Some(credit) = credit {
            credit.forget();
        }
        Ok(())
    }

    /// The replica has decided an item that took credit.
    pub(crate) fn give_back_credit(&self) {
        self.credit.add_permits(1);
    }

    /// Turns away all who wait for credit.
    pub(super) fn close(&self) {
        self.credit.close();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};
    use sotto_proto::messages::{Pull, Submit, uplink::Item};

    use super::{Link, TrySendError};

    fn submit(frame: u64) -> Item {
        Item::Submit(Submit { frame, ..Submit::default() })
    }

    #[tokio::test]
    async fn submits_wait_for_credit_and_pulls_do_not() {
        let (link, _received) = Link::new(1, 2, 100);
        link.try_send(submit(1)).unwrap();
        link.try_send(submit(2)).unwrap();

        assert!(matches!(link.try_send(submit(3)), Err(TrySendError::Full(_))));
        link.try_send(Item::Pull(Pull::default())).unwrap();

        let mut waiting = Box::pin(link.send(submit(3).into()));
        assert!((&mut waiting).now_or_never().is_none());
        link.give_back_credit();
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_costs_no_credit() {
        let (link, mut received) = Link::new(1, 2, 1);
        link.try_send(submit(1)).unwrap();
        for _ in 0..5 {
            assert!(matches!(link.try_send(submit(2)), Err(TrySendError::Full(_))));
        }

        received.recv().await.unwrap();

        link.try_send(submit(2)).unwrap();
    }

    #[tokio::test]
    async fn a_crowd_that_waits_for_a_lost_link_is_turned_away() {
        let (link, received) = Link::new(1, 1, 10);
        link.try_send(submit(0)).unwrap();
        let crowd = join_all((1..50).map(|frame| link.send(submit(frame).into())));

        let (results, ()) = tokio::join!(crowd, async {
            drop(received);
            link.close();
        });

        assert!(results.iter().all(Result::is_err));
        assert!(matches!(link.try_send(submit(99)), Err(TrySendError::Lost(_))));
    }
}
