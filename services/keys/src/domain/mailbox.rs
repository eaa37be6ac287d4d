//! The mailbox through which a new device and one of the account find each other
//! (linking). The server sees two messages go by and can read neither.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, de};
use sotto_kit::fault::{Code, Fault};
use utoipa::ToSchema;

/// The largest message.
pub(crate) const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// The name of a mailbox: 24 random bytes, in text base64url. Whoever knows it may use
/// the mailbox, so it is in no log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LinkId([u8; 24]);

impl LinkId {
    pub(crate) const fn new(random: [u8; 24]) -> Self {
        Self(random)
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkId(..)")
    }
}

/// The text is no name of a mailbox.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a link id is 24 bytes in base64url without padding")]
pub(crate) struct MalformedLinkId;

impl FromStr for LinkId {
    type Err = MalformedLinkId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| MalformedLinkId)?;
        bytes.try_into().map(Self).map_err(|_| MalformedLinkId)
    }
}

impl<'de> Deserialize<'de> for LinkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The two places of a mailbox, each for one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Slot {
    /// The first one.
    Request,
    /// The one that answers it.
    Answer,
}

impl Slot {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
        }
    }
}

/// Why a mailbox cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// There is no such mailbox: nobody opened it, or its time is over.
    #[error("there is no such mailbox, or its time is over")]
    NoSuchLink,
    /// Another message is there already.
    #[error("another message is there already")]
    SlotTaken,
    /// A message has at least one byte.
    #[error("a message has at least one byte")]
    Empty,
    /// As many requests wait in this process as may.
    #[error("too many requests wait here")]
    TooManyWaiting,
}

impl Fault for MailboxError {
    fn code(&self) -> Code {
        match self {
            Self::NoSuchLink => Code::NotFound,
            Self::SlotTaken => Code::Conflict,
            Self::Empty => Code::InvalidInput,
            Self::TooManyWaiting => Code::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoSuchLink => "no_such_link",
            Self::SlotTaken => "link_slot_taken",
            Self::Empty => "link_message_empty",
            Self::TooManyWaiting => "too_many_waiting",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_id_survives_its_text_form_and_shows_itself_nowhere_else() {
        let id = LinkId::new([0xfb; 24]);
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse::<LinkId>().unwrap(), id);
        assert_eq!(format!("{id:?}"), "LinkId(..)");
    }

    #[test]
    fn other_texts_are_no_link_ids() {
        for text in ["", "a", &"a".repeat(31), &"a".repeat(33), &"+".repeat(32)] {
            assert!(text.parse::<LinkId>().is_err(), "{text}");
        }
    }
}
