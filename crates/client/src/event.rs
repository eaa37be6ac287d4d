use std::time::Duration;

use sotto_ids::AccountId;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{ClientError, Message, MessageId};

/// Something happened. What matters for the history is in the store before its
/// event is sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message came in and is shown, also one that could not be read.
    Message(Box<Message>),
    /// A message of ours is durable at the server.
    MessageAccepted {
        /// Which.
        id: MessageId,
        /// To whom.
        peer: AccountId,
        /// The server's clock.
        server_time_ms: u64,
    },
    /// A message of ours was refused for good.
    MessageFailed {
        /// Which.
        id: MessageId,
        /// To whom.
        peer: AccountId,
        /// A stable word for the cause.
        reason: String,
    },
    /// The socket is open.
    Connected,
    /// All that waited at the server has been taken in.
    QueueEmpty,
    /// While this device was away its queue at the server was full, and messages
    /// were turned away. Comes before [`Self::QueueEmpty`].
    QueueOverflow {
        /// The server's clock when the first of them was.
        since_ms: u64,
        /// How many, at least.
        turned_away: u64,
    },
    /// The socket is gone, or did not open; a new one is tried for.
    Disconnected {
        /// A stable word for the cause.
        reason: String,
    },
    /// The connection ended for good; [`crate::Client::go_online`] starts anew.
    Stopped {
        /// A stable word for the cause.
        reason: String,
    },
    /// The chain of a contact, or one's own, has moved: devices may have changed.
    ChainMoved {
        /// Whose.
        account: AccountId,
    },
    /// The account key of a contact is another one: so is the safety number, and
    /// it should be compared again. See [`crate::Client::accept_identity`].
    IdentityChanged {
        /// Whose.
        account: AccountId,
        /// Nothing is sent to them until the person agrees.
        held: bool,
    },
    /// The server did not have the prekeys that this device published, and has them
    /// again; or it still does not, and the device should be looked at.
    PrekeysDiffered {
        /// They are as they should be again.
        restored: bool,
    },
    /// Two views of one chain contradict each other. Where both are proven, nothing
    /// more is sent to that account.
    ForkSuspected {
        /// Whose.
        account: AccountId,
    },
    /// An envelope was dropped, since its sender could not be verified.
    EnvelopeRefused {
        /// A stable word for the cause.
        reason: String,
    },
    /// So many events were lost to this reader, which was too slow. The store has
    /// what they were about: see [`crate::Client::messages_after`].
    Missed(u64),
}

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Not wanted.
    Offline,
    /// Tried for.
    Connecting,
    /// Open, and what waited at the server is coming in.
    Draining,
    /// Open, and nothing waits at the server.
    Online,
    /// Ended for good.
    Stopped {
        /// A stable word for the cause.
        reason: String,
    },
}

/// The events of a client from the moment of [`crate::Client::events`] on.
#[derive(Debug)]
pub struct EventStream {
    receiver: broadcast::Receiver<Event>,
}

impl EventStream {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` once the client is closed.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(Event::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The first event from here on that `matches`; those before it are dropped.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] when none comes in time, and
    /// [`ClientError::Closed`].
    pub async fn wait_for(
        &mut self,
        within: Duration,
        mut matches: impl FnMut(&Event) -> bool,
    ) -> Result<Event, ClientError> {
        let found = async {
            while let Some(event) = self.next().await {
                if matches(&event) {
                    return Ok(event);
                }
            }
            Err(ClientError::Closed)
        };
        tokio::time::timeout(within, found).await.unwrap_or(Err(ClientError::TimedOut))
    }
}
