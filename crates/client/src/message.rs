use std::{fmt, str::FromStr, time::Duration};

use sotto_ids::{AccountId, AccountUuid, DeviceId, GroupId};
use uuid::Uuid;

use crate::{CalendarEvent, ClientError, ContactCard, ConversationId, Location, Poll};

/// Names a message on every device that has it: a UUIDv7 that its writer made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(crate) Uuid);

impl MessageId {
    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for MessageId {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        Uuid::from_str(text).map(Self).map_err(|_| ClientError::MalformedName)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageId(..)")
    }
}

/// One message of a conversation, sent or received.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its place in the order in which this device showed messages: rises by
    /// one or more from each to the next, over all conversations.
    pub position: u64,
    /// Its name. What could not be read has one made here.
    pub id: MessageId,
    /// Where it stands.
    pub conversation: ConversationId,
    /// Whom the conversation is with; in a group, who wrote it. All zeros where it came to a
    /// group and could not be decrypted, so that nobody knows.
    pub peer: AccountId,
    /// The group that it stands in, where it is one.
    pub group: Option<GroupId>,
    /// Where it stands in the log of its group, once it does: see
    /// [`crate::GroupDevice::delivered`].
    pub group_seq: Option<u64>,
    /// Who wrote it.
    pub direction: Direction,
    /// The writer's device.
    pub device: DeviceId,
    /// What it says.
    pub body: Body,
    /// The writer's clock when it was written, milliseconds since 1970. For what
    /// could not be read, the server's.
    pub sent_at_ms: u64,
    /// The server's clock when it became durable there; `None` until then.
    pub server_time_ms: Option<u64>,
    /// This device's clock when it was stored here.
    pub stored_at_ms: u64,
    /// How far it got.
    pub state: MessageState,
    /// What it answers. There may be no such message, or none any more.
    pub reply_to: Option<Reply>,
    /// The writer's clock when it was last edited.
    pub edited_at_ms: Option<u64>,
    /// It is deleted so long after it was read.
    pub expire_after: Option<Duration>,
    /// This device's clock when it will be deleted; set once it is read, and for a
    /// message of ours once the server has accepted it.
    pub expires_at_ms: Option<u64>,
    /// When it was read, on whichever of one's devices; `None` while it counts as
    /// unread, and for messages of ours.
    pub read_at_ms: Option<u64>,
}

/// The message that another one answers. With [`crate::Client::message`] it can be
/// looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Whose message it is.
    pub author: AccountUuid,
    /// Which.
    pub id: MessageId,
}

impl fmt::Debug for Message {
    /// Names nobody and quotes nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("position", &self.position)
            .field("direction", &self.direction)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Which way a message went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Written on this device, or on another of one's own.
    Sent,
    /// Came from a device of the peer. A note to oneself that was written on another
    /// device came in too.
    Received,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Plain text, 1 to 10,000 characters.
    Text(String),
    /// A place.
    Location(Location),
    /// Somebody's details.
    Contact(ContactCard),
    /// A question with answers to choose from.
    Poll(Poll),
    /// An appointment.
    Event(CalendarEvent),
    /// From here on, messages of this conversation are deleted so long after they
    /// were read; or no longer.
    TimerChanged {
        /// `None`: they stay.
        after: Option<Duration>,
    },
    /// Its writer deleted it for everybody.
    Deleted,
    /// Something of a kind that this version does not know. It is kept as it came,
    /// and a version that knows it shows it.
    Unsupported,
    /// Something arrived that could not be read. It is kept, so that nothing
    /// goes missing unnoticed.
    Unreadable {
        /// A stable word for the cause.
        ///
        /// Of the ciphertext: `decryption_failed`, `session_not_found`,
        /// `session_broken`, `prekey_not_found`, `malformed_ciphertext`,
        /// `unknown_ciphertext_type`, `unknown_ciphertext_version`, `low_order_key`,
        /// `protocol`. Of its sender: `identity_mismatch`, `sender_not_in_chain`. Of
        /// what was in it: `malformed_content`, `malformed_padding`, and the name of
        /// the limit that it breaks, such as `text_length` or `poll_options`. Of this
        /// device: `not_taken_in`, where it failed at this message alone.
        reason: String,
    },
}

impl Body {
    /// The text, where there is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A stable word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Location(_) => "location",
            Self::Contact(_) => "contact",
            Self::Poll(_) => "poll",
            Self::Event(_) => "event",
            Self::TimerChanged { .. } => "timer_changed",
            Self::Deleted => "deleted",
            Self::Unsupported => "unsupported",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}

impl fmt::Debug for Body {
    /// Quotes nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { reason } => {
                f.debug_struct("Unreadable").field("reason", reason).finish()
            }
            other => write!(f, "Body({})", other.kind()),
        }
    }
}

/// How far a message got. It only goes on from `Queued` to `Accepted`, `Delivered` and
/// `Read`; a device of the peer that says less than another did changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageState {
    /// Pending: in the outbox, durable here.
    Queued,
    /// Sent: durable at the server.
    Accepted,
    /// A device of the peer says that it has it. [`crate::Client::receipts`] says
    /// which.
    Delivered,
    /// A device of the peer says that it was read.
    Read,
    /// Refused for good.
    Failed {
        /// A stable word for the cause: the server's, [`crate::Distrust::reason`],
        /// or `frame_too_large`, where a long text to many devices does not fit into
        /// a frame.
        reason: String,
    },
    /// Came in and is stored.
    Received,
}

impl MessageState {
    /// A stable word for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed { .. } => "failed",
            Self::Received => "received",
        }
    }
}
