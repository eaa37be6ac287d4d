//! The face of the SDK.

pub(crate) mod account;
mod contacts;
mod conversation;
mod devices;
mod document;
mod groups;
mod history;
pub(crate) mod identity;
mod link;
mod privacy;
pub(crate) mod recover;
mod verification;

pub use link::PendingLink;

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use prost::bytes::Bytes;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::sync::{Mutex, broadcast, watch};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    ClientConfig, ClientError, ConnectionState, Event, EventStream, PrekeyCount, TokenProvider,
    auth::Auth,
    chores,
    groups::{Groups, key_packages},
    net::{self, Line, ServerClock},
    prekeys::{self, Fill},
    receive,
    rest::Rest,
    vault::{Signals, Vault, VaultOptions, own},
};

/// One device of one person: its store, its keys, its connection.
///
/// Cheap to clone; all clones are the same client. When the last one is dropped
/// the connection ends and the store is closed; [`Client::close`] waits for that.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    _ends_with_the_last: Arc<DropGuard>,
}

/// What the tasks of a client share.
pub(crate) struct Inner {
    pub(crate) config: ClientConfig,
    pub(crate) vault: Vault,
    pub(crate) rest: Rest,
    pub(crate) auth: Auth,
    pub(crate) server_clock: ServerClock,
    pub(crate) connection: watch::Sender<ConnectionState>,
    /// Rows in the outbox.
    pub(crate) outbox: watch::Receiver<u64>,
    /// With which the next socket goes on where the last one ended.
    resume_ticket: std::sync::Mutex<Option<Bytes>>,
    /// To the socket, for what is not worth keeping.
    pub(crate) line: Line,
    pub(crate) groups: Groups,
    events: broadcast::Sender<Event>,
    tasks: TaskTracker,
    closing: CancellationToken,
    online: Mutex<Option<Online>>,
}

/// A wish to be online, and the task that sees to it.
struct Online {
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Inner {
    pub(crate) fn tell(&self, event: Event) {
        // Nobody may be listening.
        drop(self.events.send(event));
    }

    /// The events from here on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The ticket of the last socket. Each is good once.
    pub(crate) fn take_resume_ticket(&self) -> Option<Bytes> {
        self.resume_ticket.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the ticket of a socket that has opened; an empty one is none.
    pub(crate) fn keep_resume_ticket(&self, ticket: &Bytes) {
        let kept = (!ticket.is_empty()).then(|| ticket.clone());
        *self.resume_ticket.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    /// Randomness for pauses.
    #[expect(clippy::unused_self, reason = "where randomness comes from is this type's affair")]
    pub(crate) fn rng(&self) -> StdRng {
        StdRng::from_os_rng()
    }
}

impl Client {
    /// Opens the store, or makes it, and starts the client. Offline at first.
    ///
    /// Call it on a tokio runtime: network tasks run there.
    ///
    /// # Errors
    /// `wrong_store_key`, `store_in_use`, `store_too_new`, `store`, `config`.
    pub async fn open(
        config: ClientConfig,
        tokens: Arc<dyn TokenProvider>,
    ) -> Result<Self, ClientError> {
        // Another provider that the app has installed is as good.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        if config.sockets.is_empty() {
            return Err(ClientError::Config("there is no socket"));
        }
        let tuning = &config.tuning;
        let (events, _) = broadcast::channel(tuning.event_buffer.max(1));
        let (outbox_sender, outbox) = watch::channel(0);
        let (holds_sender, holds) = watch::channel(None);
        let (chores_sender, chores_due) = watch::channel(None);
        let vault = Vault::start(VaultOptions {
            path: config.store_path.clone(),
            key: config.store_key.clone(),
            tuning: tuning.clone(),
            clock: Arc::clone(&config.clock),
            signals: Signals {
                events: events.clone(),
                outbox: outbox_sender,
                holds: holds_sender,
                chores: chores_sender,
            },
        })
        .await?;
        let rest = Rest::new(&config.rest, tuning.request_timeout)?;
        let server_clock = ServerClock::new(Arc::clone(&config.clock));
        let auth = Auth::new(
            tokens,
            config.domain.clone(),
            tuning.token_margin,
            rest.clone(),
            vault.clone(),
            server_clock.clone(),
        );
        let closing = CancellationToken::new();
        let inner = Arc::new(Inner {
            config,
            vault,
            rest,
            auth,
            server_clock,
            connection: watch::Sender::new(ConnectionState::Offline),
            outbox,
            resume_ticket: std::sync::Mutex::default(),
            line: Line::default(),
            groups: Groups::default(),
            events,
            tasks: TaskTracker::new(),
            closing: closing.clone(),
            online: Mutex::default(),
        });
        inner.tasks.spawn(release_held(Arc::clone(&inner), holds));
        let (chores, until) = (chores::run(Arc::clone(&inner), chores_due), closing.clone());
        inner.tasks.spawn(async move {
            // `None`: the client is closing.
            let _ended: Option<()> = until.run_until_cancelled(Box::pin(chores)).await;
        });
        Ok(Self { inner, _ends_with_the_last: Arc::new(closing.drop_guard()) })
    }

    /// Ends the connection and closes the store. Other clones of the client are of
    /// no use afterwards.
    pub async fn close(self) {
        self.go_offline().await;
        self.inner.closing.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.vault.close().await;
    }

    /// Starts to connect, and to keep connected. Returns at once; see
    /// [`Self::wait_connected`]. Online already, it does nothing.
    ///
    /// # Errors
    /// `not_registered`.
    pub async fn go_online(&self) -> Result<(), ClientError> {
        self.inner.vault.run(|tx| own::load(tx.db).map(drop)).await?;
        let mut online = self.inner.online.lock().await;
        if online.as_ref().is_some_and(|online| !online.ended.is_cancelled()) {
            return Ok(());
        }
        let stop = self.inner.closing.child_token();
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let (inner, wanted) = (Arc::clone(&self.inner), stop.clone());
        self.inner.connection.send_replace(ConnectionState::Connecting);
        self.inner.tasks.spawn(async move {
            let _guard = guard;
            Box::pin(net::keep_online(inner, wanted)).await;
        });
        *online = Some(Online { stop, ended });
        Ok(())
    }

    /// Ends the connection, and waits for that.
    pub async fn go_offline(&self) {
        let mut online = self.inner.online.lock().await;
        if let Some(online) = online.take() {
            net::announce(&self.inner, false).await;
            online.stop.cancel();
            online.ended.cancelled().await;
        }
    }

    /// How the connection stands, now and from here on.
    pub fn connection(&self) -> watch::Receiver<ConnectionState> {
        self.inner.connection.subscribe()
    }

    /// Waits until the socket is open.
    ///
    /// # Errors
    /// `timed_out`; the server's reason where the connection has ended for good.
    pub async fn wait_connected(&self, within: Duration) -> Result<(), ClientError> {
        self.wait_for(within, |state| {
            matches!(state, ConnectionState::Draining | ConnectionState::Online)
        })
        .await
    }

    /// Waits until all that waited at the server has come in.
    ///
    /// # Errors
    /// As [`Self::wait_connected`].
    pub async fn wait_drained(&self, within: Duration) -> Result<(), ClientError> {
        self.wait_for(within, |state| matches!(state, ConnectionState::Online)).await
    }

    async fn wait_for(
        &self,
        within: Duration,
        reached: impl Fn(&ConnectionState) -> bool,
    ) -> Result<(), ClientError> {
        let mut states = self.connection();
        let done = |state: &ConnectionState| {
            reached(state) || matches!(state, ConnectionState::Stopped { .. })
        };
        let state = tokio::time::timeout(within, states.wait_for(done))
            .await
            .map_err(|_| ClientError::TimedOut)?
            .map_err(|_| ClientError::Closed)?;
        match &*state {
            ConnectionState::Stopped { reason } => Err(ClientError::Refused {
                reason: reason.clone(),
                detail: "the connection has ended for good".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Waits until the outbox is empty: each message accepted, or refused for good.
    ///
    /// # Errors
    /// `timed_out`, with the outbox still there for later.
    pub async fn flush(&self, within: Duration) -> Result<(), ClientError> {
        let mut outbox = self.inner.outbox.clone();
        let emptied = outbox.wait_for(|&rows| rows == 0);
        let emptied = tokio::time::timeout(within, emptied).await;
        emptied.map_err(|_| ClientError::TimedOut)?.map_err(|_| ClientError::Closed)?;
        Ok(())
    }

    /// The events from here on. A reader that is more than
    /// [`crate::Tuning::event_buffer`] behind misses some.
    pub fn events(&self) -> EventStream {
        EventStream::new(self.inner.events.subscribe())
    }

    /// The stock of this device's prekeys at the server.
    ///
    /// # Errors
    /// `not_registered`, `unavailable` and what the server refuses.
    pub async fn prekey_count(&self) -> Result<PrekeyCount, ClientError> {
        let rest = &self.inner.rest;
        let count = self.inner.auth.with_token(|token| rest.key_count(token)).await?;
        Ok(PrekeyCount { one_time_ec: count.one_time_ec, one_time_kyber: count.one_time_kyber })
    }

    /// Fills up the stock of prekeys and KeyPackages and replaces those that are too old, as
    /// each connect does by itself.
    ///
    /// # Errors
    /// As [`Self::prekey_count`].
    pub async fn maintain_prekeys(&self) -> Result<(), ClientError> {
        let Inner { vault, rest, auth, .. } = &*self.inner;
        prekeys::maintain(vault, rest, auth, Fill::IfLow).await?;
        key_packages::maintain(vault, rest, auth, Fill::IfLow).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &*self.inner.connection.borrow())
            .finish_non_exhaustive()
    }
}

/// Shows messages that were held back, once their time is up.
///
/// While there is no connection on which the missing one could come, or what
/// waits at the server is still coming in, they wait longer.
async fn release_held(inner: Arc<Inner>, mut holds: watch::Receiver<Option<u64>>) {
    let mut connection = inner.connection.subscribe();
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let hold_ms = ms(inner.config.tuning.hold);
    let offline_ms = ms(inner.config.tuning.hold_offline);
    let closing = inner.closing.clone();
    let releasing = async {
        loop {
            let due_ms = *holds.borrow_and_update();
            let drained = *connection.borrow_and_update() == ConnectionState::Online;
            let extra_ms = if drained { 0 } else { offline_ms };
            let now_ms = inner.server_clock.now_ms();
            let left_ms = due_ms.map(|due| due.saturating_add(extra_ms).saturating_sub(now_ms));
            // More than that is left only where the clock was put back.
            let most_ms = hold_ms.saturating_add(extra_ms);
            if left_ms.is_some_and(|left_ms| left_ms == 0 || left_ms > most_ms) {
                let up_to_ms = now_ms.saturating_sub(extra_ms);
                let released = inner.vault.run(move |tx| receive::release_due(tx, up_to_ms)).await;
                if let Err(error) = released {
                    tracing::error!(reason = error.reason(), "held messages were not shown");
                    tokio::time::sleep(inner.config.tuning.retry_max).await;
                }
                continue;
            }
            let wait = left_ms.map(Duration::from_millis);
            let changed = async {
                tokio::select! {
                    held = holds.changed() => held.is_ok(),
                    state = connection.changed() => state.is_ok(),
                    () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => true,
                }
            };
            if !changed.await {
                return;
            }
        }
    };
    // `None`: the client is closing.
    let _ended: Option<()> = closing.run_until_cancelled(Box::pin(releasing)).await;
}
