use std::time::Duration;

use sotto_ids::{AccountId, DeviceId, GroupId};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{ClientError, Message, MessageId, Presence};

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
    /// A device of the other side has a message of ours.
    MessageDelivered {
        /// Which.
        id: MessageId,
        /// Whose device.
        peer: AccountId,
        /// The device.
        device: DeviceId,
    },
    /// A message of ours was read.
    MessageRead {
        /// Which.
        id: MessageId,
        /// By whom.
        peer: AccountId,
        /// On which device.
        device: DeviceId,
    },
    /// A message has another text.
    MessageEdited(Box<Message>),
    /// A message was deleted, by its writer for everybody, or for oneself on another
    /// device.
    MessageDeleted {
        /// Which.
        id: MessageId,
        /// In the conversation with whom.
        peer: AccountId,
    },
    /// The time of a message that deletes itself was up.
    MessageExpired {
        /// Which.
        id: MessageId,
        /// In the conversation with whom.
        peer: AccountId,
    },
    /// Somebody reacted to a message, or took that back: see
    /// [`crate::Client::reactions`].
    Reacted {
        /// To which.
        message: MessageId,
        /// In the conversation with whom.
        peer: AccountId,
        /// Who.
        by: AccountId,
    },
    /// Somebody voted, changed their vote or took it back: see
    /// [`crate::Client::poll_result`].
    Voted {
        /// In which poll.
        poll: MessageId,
        /// In the conversation with whom.
        peer: AccountId,
        /// Who.
        by: AccountId,
    },
    /// Messages were read on another device of one's own.
    ReadElsewhere {
        /// In the conversation with whom.
        peer: AccountId,
        /// How many are unread now.
        unread: u64,
    },
    /// Somebody writes to us, is here, has gone, or has not said so again in time.
    Presence {
        /// Who.
        peer: AccountId,
        /// What is known of them now.
        presence: Presence,
    },
    /// A content made no sense from whom it came, and was dropped: an edit of somebody
    /// else's message, a vote for an option that is not there.
    ContentRefused {
        /// In the conversation with whom.
        peer: AccountId,
        /// A stable word for the cause: `not_author`, `not_a_text`, `not_a_poll`,
        /// `poll_options`, `too_many_edits`, `other_conversation`, `own_receipt`,
        /// `not_own`, `sync_kind`, `not_for_groups`, or as for [`crate::Body::Unreadable`].
        reason: String,
    },
    /// Somebody who is no contact has added this device to a group: see
    /// [`crate::Client::accept_group`].
    GroupInvited {
        /// To which.
        group: GroupId,
        /// By whom.
        by: AccountId,
        /// What it is called; empty where that is not known yet.
        name: String,
    },
    /// This device is in a group now.
    GroupJoined {
        /// In which.
        group: GroupId,
        /// Who added it.
        by: AccountId,
        /// What it is called; empty where that is not known yet.
        name: String,
    },
    /// People came into a group or went, or other people are its admins.
    GroupMembersChanged {
        /// Which.
        group: GroupId,
        /// Who made the change.
        by: AccountId,
        /// Who came.
        added: Vec<AccountId>,
        /// Who went.
        removed: Vec<AccountId>,
    },
    /// A group is called something else, or looks different.
    GroupRenamed {
        /// Which.
        group: GroupId,
        /// What it is called now.
        name: String,
    },
    /// This device is in a group no longer.
    GroupLeft {
        /// Which.
        group: GroupId,
        /// Somebody took it out; it did not leave by itself.
        removed: bool,
    },
    /// This device had lost its place in a group, and has come in again by itself. What was
    /// said in between it cannot read.
    GroupRejoined {
        /// Which.
        group: GroupId,
    },
    /// The server has a change of a group that is not to be followed. Nothing comes in there
    /// from now on, until an admin begins it anew.
    GroupCommitRefused {
        /// Which.
        group: GroupId,
        /// A stable word for the cause: `leaf_uncertified` where a member is in it that no
        /// chain certifies, or the rule of the group that is broken, such as `add`, `remove`
        /// or `policy`.
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

impl Event {
    /// A stable word for programs that pass events on, for those that a user interface
    /// shows in a conversation.
    pub fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Message(_) => "dm-received",
            Self::MessageAccepted { .. } => "dm-sent",
            Self::MessageFailed { .. } => "dm-failed",
            Self::MessageDelivered { .. } => "dm-delivered",
            Self::MessageRead { .. } => "dm-read",
            Self::MessageEdited(_) => "dm-edited",
            Self::MessageDeleted { .. } => "dm-deleted",
            Self::MessageExpired { .. } => "dm-expired",
            Self::Reacted { .. } => "dm-reaction",
            Self::Voted { .. } => "poll-vote",
            Self::ReadElsewhere { .. } => "read-elsewhere",
            Self::GroupInvited { .. } => "group-invited",
            Self::GroupJoined { .. } => "group-joined",
            Self::GroupMembersChanged { .. } => "group-members",
            Self::GroupRenamed { .. } => "group-renamed",
            Self::GroupLeft { .. } => "group-left",
            Self::GroupRejoined { .. } => "group-rejoined",
            Self::GroupCommitRefused { .. } => "group-refused",
            Self::Presence { presence, .. } if presence.typing => "typing-indicator",
            Self::Presence { .. } => "presence",
            _ => return None,
        })
    }
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
