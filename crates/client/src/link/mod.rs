//! Linking a second device through a mailbox at the server.
//!
//! The new device opens a mailbox and shows a text: where the mailbox is, and a key
//! made for this one link. The person carries the text to a device that holds the
//! account key, so the server never sees the key. Whatever then goes through the
//! mailbox is sealed to that key or comes from its owner, and the server can read
//! nothing of it, and put nothing of its own in its place.

pub(crate) mod messages;
pub(crate) mod seal;
mod text;

pub use text::DeviceLink;

/// The slots of a mailbox; each takes one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slot {
    /// From the device that approves.
    Request,
    /// From the new device.
    Answer,
}

impl Slot {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
        }
    }
}

/// Reads what a mailbox may hold: sealed, and as it is once it is opened.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    use messages::Invitation;

    seal::fuzz(data);
    if let Ok(invitation) = Invitation::decode(data) {
        // What was understood is written as something that is understood alike.
        let written = invitation.encode();
        let again = Invitation::decode(&written).expect("our own encoding");
        assert_eq!(again.encode(), written);
    }
    if let Ok(op) = messages::decode_answer(data) {
        let again = messages::decode_answer(&messages::encode_answer(op.clone()));
        assert_eq!(again.ok(), Some(op));
    }
}
