//! The vault: the thread that has the store.
//!
//! Jobs come by a bounded queue. Those that wait are done in one transaction, each
//! in a savepoint of its own, and are answered after the commit: many small writes
//! share one flush to disk, and nobody hears of what is not durable.

pub(crate) mod account_key;
pub(crate) mod accounts;
pub(crate) mod chains;
pub(crate) mod counters;
pub(crate) mod edits;
pub(crate) mod grants;
pub(crate) mod group_outbox;
pub(crate) mod groups;
pub(crate) mod held;
pub(crate) mod key_packages;
pub(crate) mod lanes;
pub(crate) mod messages;
pub(crate) mod mls_values;
mod open;
pub(crate) mod outbox;
pub(crate) mod own;
pub(crate) mod prekeys;
pub(crate) mod presence;
pub(crate) mod reactions;
pub(crate) mod read_marks;
pub(crate) mod receipts;
pub(crate) mod retractions;
pub(crate) mod seen;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod stamp;
mod thread;
pub(crate) mod timers;
pub(crate) mod tombstones;
mod tx;
mod value;
pub(crate) mod votes;

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::{own::Own, tx::Tx};
use crate::{ClientError, Clock, Event, StoreKey, Tuning};

/// Reaches the vault's thread from anywhere.
#[derive(Clone)]
pub(crate) struct Vault {
    commands: mpsc::Sender<Command>,
    ended: CancellationToken,
}

/// What the vault is started with.
pub(crate) struct VaultOptions {
    pub(crate) path: PathBuf,
    pub(crate) key: StoreKey,
    pub(crate) tuning: Tuning,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) signals: Signals,
}

/// Whom the vault tells what it has committed.
pub(crate) struct Signals {
    pub(crate) events: broadcast::Sender<Event>,
    /// Rows in the outbox, and in that of groups.
    pub(crate) outbox: watch::Sender<u64>,
    /// When the first of the messages that are held back is due.
    pub(crate) holds: watch::Sender<Option<u64>>,
    /// When the first chore is due: see [`crate::chores`].
    pub(crate) chores: watch::Sender<Option<u64>>,
}

enum Command {
    Do(Box<dyn Job>),
    Close,
}

/// A piece of work, and whoever waits for it.
trait Job: Send {
    /// Does the work; whether to keep what it changed.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;

    /// Answers, after the transaction ended in `committed`.
    fn settle(self: Box<Self>, committed: Result<(), ClientError>);
}

struct Typed<T, F> {
    work: Option<F>,
    outcome: Option<Result<T, ClientError>>,
    reply: oneshot::Sender<Result<T, ClientError>>,
}

impl<T, F> Job for Typed<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, ClientError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let outcome = match self.work.take() {
            Some(work) => tx.atomically(work),
            None => Err(ClientError::Closed),
        };
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn settle(self: Box<Self>, committed: Result<(), ClientError>) {
        let outcome = match (committed, self.outcome) {
            (Err(failure), None | Some(Ok(_))) => Err(failure),
            (_, Some(outcome)) => outcome,
            (Ok(()), None) => Err(ClientError::Closed),
        };
        // Whoever asked may have stopped waiting; what was done stays done.
        drop(self.reply.send(outcome));
    }
}

impl Vault {
    /// Opens the store on a thread of its own.
    pub(crate) async fn start(options: VaultOptions) -> Result<Self, ClientError> {
        let (commands, queue) = mpsc::channel(options.tuning.vault_queue);
        let (opened, open) = oneshot::channel();
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        std::thread::Builder::new()
            .name("sotto-vault".to_owned())
            .spawn(move || {
                // Dropped last, when the file is closed.
                let _guard = guard;
                thread::run(&options, queue, opened);
            })
            .map_err(|error| ClientError::Store(Box::new(error)))?;
        open.await.unwrap_or(Err(ClientError::Closed))?;
        Ok(Self { commands, ended })
    }

    /// Does `work` in a transaction and answers once it is durable. If it fails,
    /// nothing of it stays.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, ClientError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Typed { work: Some(work), outcome: None, reply };
        self.commands.send(Command::Do(Box::new(job))).await.map_err(|_| ClientError::Closed)?;
        answer.await.unwrap_or(Err(ClientError::Closed))
    }

    /// Does what is in the queue, and closes the file.
    pub(crate) async fn close(&self) {
        // Where nobody takes it, the thread is on its way out already.
        drop(self.commands.send(Command::Close).await);
        self.ended.cancelled().await;
    }
}
