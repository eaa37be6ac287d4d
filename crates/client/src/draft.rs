//! A message that is to be written.

use std::time::Duration;

use crate::{Body, MessageId};

/// A message that is to be written: see [`crate::Client::send`].
#[derive(Clone, Debug)]
pub struct Draft {
    pub(crate) body: Body,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) expire_after: ExpireAfter,
    pub(crate) queue_ttl: Option<Duration>,
    pub(crate) urgent: bool,
}

/// Where the timer of a message comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExpireAfter {
    /// The conversation has it.
    AsConversation,
    /// It has one of its own, or none.
    Own(Option<Duration>),
}

impl Draft {
    /// A message with this body.
    pub fn new(body: Body) -> Self {
        Self {
            body,
            reply_to: None,
            expire_after: ExpireAfter::AsConversation,
            queue_ttl: None,
            urgent: false,
        }
    }

    /// A text of 1 to 10,000 characters.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Body::Text(text.into()))
    }

    /// It answers this message, which may be deleted or unknown by now.
    #[must_use]
    pub fn reply_to(mut self, message: MessageId) -> Self {
        self.reply_to = Some(message);
        self
    }

    /// It is deleted so long after it was read, on all devices; with `None` never.
    /// Whole seconds, up to a year. Without this, as the conversation has it: see
    /// [`crate::Client::set_timer`].
    #[must_use]
    pub fn expire_after(mut self, after: Option<Duration>) -> Self {
        self.expire_after = ExpireAfter::Own(after);
        self
    }

    /// The server deletes copies that nobody has fetched after this time. Whole
    /// seconds; the server has a longest time of its own.
    #[must_use]
    pub fn queue_ttl(mut self, ttl: Duration) -> Self {
        self.queue_ttl = Some(ttl);
        self
    }

    /// The server does not let it wait for others to go with it.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }
}

/// For whom a message is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeleteFor {
    /// For oneself, on all of one's devices. Nothing of it stays.
    Me,
    /// For everybody: only what one wrote oneself. A mark stays in its place.
    Everyone,
}
