//! From delivered frames to the store, and on to acknowledgements.

use std::{collections::HashMap, sync::Arc};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use sotto_ids::{AccountUuid, EnvelopeId};
use sotto_proto::socket::{Envelope, QueueOverflow};
use tokio::sync::mpsc;

use super::End;
use crate::{
    ClientError, ConnectionState, Distrust, Event,
    backoff::Backoff,
    chain::{self, Whose},
    client::Inner,
    content::Head,
    receive::{self, Intake},
    vault::chains,
};

/// Chains that are looked up at once on a sender's word.
const MAX_CLAIMS: usize = 16;

/// What a server delivers.
pub(crate) enum Delivered {
    Envelope(Envelope),
    /// Messages were turned away while this device was away.
    QueueOverflow(QueueOverflow),
    /// All that waited when the socket opened has been delivered.
    QueueEmpty,
}

/// What came of looking somebody up.
enum Done {
    /// The chain of a sender was fetched, or cannot be.
    Sender(AccountUuid, Result<(), ClientError>),
    /// A claim was looked into.
    Claim(AccountUuid),
}

/// Takes in what is delivered until the socket ends.
///
/// Frames that wait are taken together, as one transaction costs one flush to
/// disk. Envelopes of an unknown sender wait until its chain is there, and all
/// later ones of that sender behind them.
pub(crate) struct Inbox {
    inner: Arc<Inner>,
    acks: mpsc::Sender<EnvelopeId>,
    waiting: HashMap<AccountUuid, Vec<Envelope>>,
    lookups: FuturesUnordered<BoxFuture<'static, Done>>,
    claims: Vec<AccountUuid>,
    /// The server's queue is empty, and this has not been told yet.
    queue_empty: bool,
}

impl Inbox {
    pub(crate) fn new(inner: Arc<Inner>, acks: mpsc::Sender<EnvelopeId>) -> Self {
        Self {
            inner,
            acks,
            waiting: HashMap::new(),
            lookups: FuturesUnordered::new(),
            claims: Vec::new(),
            queue_empty: false,
        }
    }

    pub(crate) async fn run(mut self, mut delivered: mpsc::Receiver<Delivered>) -> End {
        let most = self.inner.config.tuning.receive_batch.max(1);
        let mut batch = Vec::with_capacity(most);
        loop {
            let step = tokio::select! {
                count = delivered.recv_many(&mut batch, most) => {
                    if count == 0 {
                        return End::lost("connection_lost");
                    }
                    let envelopes = batch.drain(..).filter_map(|one| match one {
                        Delivered::Envelope(envelope) => Some(envelope),
                        Delivered::QueueOverflow(overflow) => {
                            let QueueOverflow { since_ms, turned_away } = overflow;
                            self.inner.tell(Event::QueueOverflow { since_ms, turned_away });
                            None
                        }
                        Delivered::QueueEmpty => {
                            self.queue_empty = true;
                            None
                        }
                    });
                    let envelopes = envelopes.collect();
                    self.take_in(envelopes, false).await
                }
                Some(done) = self.lookups.next(), if !self.lookups.is_empty() => {
                    self.looked_up(done).await
                }
            };
            if let Err(error) = step {
                // Nothing is acknowledged that is not stored; it comes again.
                tracing::error!(reason = error.reason(), "envelopes could not be stored");
                return End::lost(error.reason());
            }
            self.tell_queue_empty();
        }
    }

    /// Tells that all that waited has been taken in, once it has.
    fn tell_queue_empty(&mut self) {
        if self.queue_empty && self.waiting.is_empty() {
            self.queue_empty = false;
            self.inner.connection.send_replace(ConnectionState::Online);
            self.inner.tell(Event::QueueEmpty);
        }
    }

    async fn take_in(&mut self, batch: Vec<Envelope>, fresh: bool) -> Result<(), ClientError> {
        let batch: Vec<_> = batch.into_iter().filter_map(|envelope| self.queue(envelope)).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let intake = self.inner.vault.run(move |tx| receive::take_in(tx, batch, fresh)).await?;
        let Intake { acks, unknown, claims } = intake;
        self.acknowledge(acks).await;
        for (account, envelope) in unknown {
            self.waiting.entry(account).or_insert_with(|| {
                self.lookups.push(look_up(Arc::clone(&self.inner), account));
                Vec::new()
            });
            if let Some(waiting) = self.waiting.get_mut(&account) {
                waiting.push(envelope);
            }
        }
        for (account, head) in claims {
            self.look_into(account, head);
        }
        Ok(())
    }

    /// Puts an envelope behind those of its sender that wait, if any do.
    fn queue(&mut self, envelope: Envelope) -> Option<Envelope> {
        if self.waiting.is_empty() {
            return Some(envelope);
        }
        let sender = AccountUuid::try_from(envelope.sender.as_ref()).ok();
        match sender.and_then(|sender| self.waiting.get_mut(&sender)) {
            Some(waiting) => {
                waiting.push(envelope);
                None
            }
            None => Some(envelope),
        }
    }

    async fn looked_up(&mut self, done: Done) -> Result<(), ClientError> {
        let (account, outcome) = match done {
            Done::Sender(account, outcome) => (account, outcome),
            Done::Claim(account) => {
                self.claims.retain(|one| *one != account);
                return Ok(());
            }
        };
        let envelopes = self.waiting.remove(&account).unwrap_or_default();
        match outcome {
            Ok(()) => self.take_in(envelopes, true).await,
            // That says nothing of the sender.
            Err(error) if error.is_of_the_store() => Err(error),
            // Nor does this: it may be a proxy that answered, or a database that lags. The
            // envelopes are not acknowledged, so they come again.
            Err(ClientError::Distrust(Distrust::Malformed | Distrust::Rollback)) => Ok(()),
            Err(error) => {
                let reason = error.reason().to_owned();
                let acks = self
                    .inner
                    .vault
                    .run(move |tx| receive::refuse_all(tx, &envelopes, &reason))
                    .await?;
                self.acknowledge(acks).await;
                Ok(())
            }
        }
    }

    async fn acknowledge(&mut self, ids: Vec<EnvelopeId>) {
        for id in ids {
            // Closed only when the session ends, and then they come again.
            if self.acks.send(id).await.is_err() {
                return;
            }
        }
    }

    fn look_into(&mut self, account: AccountUuid, head: Head) {
        if self.claims.contains(&account) || self.claims.len() >= MAX_CLAIMS {
            return;
        }
        self.claims.push(account);
        self.lookups.push(check_claim(Arc::clone(&self.inner), account, head).boxed());
    }
}

/// Fetches a sender's chain; tries again until that works or cannot.
fn look_up(inner: Arc<Inner>, account: AccountUuid) -> BoxFuture<'static, Done> {
    async move {
        let tuning = &inner.config.tuning;
        let mut backoff = Backoff::new(tuning.retry_min, tuning.retry_max);
        loop {
            let whose = Whose::Uuid(account);
            match chain::refresh(&inner.vault, &inner.rest, whose).await {
                Ok(_) => return Done::Sender(account, Ok(())),
                Err(error) if error.is_temporary() => {
                    let pause = backoff.pause(&mut inner.rng());
                    tokio::time::sleep(pause.max(tuning.believed(error.retry_after()))).await;
                }
                Err(error) => return Done::Sender(account, Err(error)),
            }
        }
    }
    .boxed()
}

/// Looks whether the server shows us the op that a sender has seen of a chain. If
/// it does not, one of the two is lied to.
async fn check_claim(inner: Arc<Inner>, account: AccountUuid, head: Head) -> Done {
    let refreshed = chain::refresh(&inner.vault, &inner.rest, Whose::Uuid(account)).await;
    let checked = match refreshed {
        Ok(_) => {
            inner
                .vault
                .run(move |tx| {
                    if receive::check_claim(tx, account, head)?
                        || chains::hash_at(tx.db, account, 0)?.is_none()
                    {
                        return Ok(());
                    }
                    receive::suspect(tx, account)
                })
                .await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = checked {
        tracing::debug!(reason = error.reason(), "a claim could not be looked into");
    }
    Done::Claim(account)
}
