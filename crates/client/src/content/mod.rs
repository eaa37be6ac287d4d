//! What stands inside a ciphertext.

mod body;
mod kind;
mod padding;

use prost::Message as _;
use sotto_identity::State;
use sotto_ids::limits::{MAX_CHAIN_OPS, MAX_TIMER_SECONDS};
use sotto_proto::content as pb;

#[cfg(test)]
pub(crate) use self::padding::padded_len;
pub(crate) use self::{
    body::{check, check_text, timer, timer_seconds},
    kind::{Kind, Reference, Sync, check_emoji, options},
    padding::{pad, unpad},
};
use crate::{Body, MessageId};

const VERSION: u32 = 1;

/// Counters and times go into the store as signed 64-bit numbers, with room to add.
pub(crate) const MAX_COUNTER: u64 = 1 << 62;

/// A content that was checked.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) id: MessageId,
    /// 0 where the sender does not count.
    pub(crate) counter: u64,
    pub(crate) sent_at_ms: u64,
    pub(crate) sender_head: Option<Head>,
    pub(crate) recipient_head: Option<Head>,
    /// Seconds from being read to being deleted; 0 for never.
    pub(crate) expire_after_s: u32,
    pub(crate) reply_to: Option<Reference>,
    pub(crate) kind: Kind,
}

/// How far somebody says that a chain goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) hash: [u8; 32],
}

impl Head {
    pub(crate) fn of(state: &State) -> Self {
        Self { seq: state.seq, hash: *state.head.as_bytes() }
    }
}

fn head_to_pb(head: Head) -> pb::Head {
    pb::Head { seq: head.seq, hash: head.hash.to_vec() }
}

fn head_from_pb(head: pb::Head) -> Result<Head, &'static str> {
    match head.hash.try_into() {
        Ok(hash) if head.seq < MAX_CHAIN_OPS => Ok(Head { seq: head.seq, hash }),
        _ => Err("malformed_content"),
    }
}

impl Content {
    /// Something that is not counted yet, and says nothing of chains.
    pub(crate) fn new(id: MessageId, sent_at_ms: u64, kind: Kind) -> Self {
        Self {
            id,
            counter: 0,
            sent_at_ms,
            sender_head: None,
            recipient_head: None,
            expire_after_s: 0,
            reply_to: None,
            kind,
        }
    }

    /// The bytes, not padded yet.
    pub(crate) fn encode(&self) -> Vec<u8> {
        pb::Content {
            v: VERSION,
            message_id: self.id.as_bytes().to_vec(),
            counter: self.counter,
            sent_at_ms: self.sent_at_ms,
            sender_head: self.sender_head.map(head_to_pb),
            recipient_head: self.recipient_head.map(head_to_pb),
            expire_after_s: self.expire_after_s,
            reply_to: self.reply_to.map(Reference::to_pb),
            body: self.kind.to_pb(),
        }
        .encode_to_vec()
    }

    /// Reads what was padded; the error is a stable word for what is wrong with it.
    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, &'static str> {
        let content = pb::Content::decode(plaintext).map_err(|_| "malformed_content")?;
        if content.v != VERSION {
            return Err(UNKNOWN);
        }
        let id = kind::message_id(&content.message_id)?;
        if id.0.get_version_num() != 7
            || content.counter > MAX_COUNTER
            || content.sent_at_ms > MAX_COUNTER
        {
            return Err("malformed_content");
        }
        if content.expire_after_s > MAX_TIMER_SECONDS {
            return Err("timer_length");
        }
        Ok(Self {
            id,
            counter: content.counter,
            sent_at_ms: content.sent_at_ms,
            sender_head: content.sender_head.map(head_from_pb).transpose()?,
            recipient_head: content.recipient_head.map(head_from_pb).transpose()?,
            expire_after_s: content.expire_after_s,
            reply_to: content.reply_to.as_ref().map(Reference::from_pb).transpose()?,
            kind: Kind::from_pb(content.body)?,
        })
    }
}

/// The word for what a later version can read.
pub(crate) const UNKNOWN: &str = "unknown_content";

/// What stored bytes say, as far as this version knows. What an earlier one could not
/// read shows up by itself once this one can.
pub(crate) fn stored_body(content: &[u8]) -> Body {
    match Content::decode(content).map(|content| content.kind) {
        Ok(Kind::Body(body)) => body,
        Ok(_) | Err(UNKNOWN) => Body::Unsupported,
        Err(reason) => Body::Unreadable { reason: reason.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use sotto_ids::limits::MAX_TEXT_CHARS;

    use super::*;

    fn content(text: &str) -> Content {
        let id = MessageId(uuid::Builder::from_unix_timestamp_millis(9, &[1; 10]).into_uuid());
        let kind = Kind::Body(Body::Text(text.to_owned()));
        Content {
            counter: 7,
            sender_head: Some(Head { seq: 3, hash: [4; 32] }),
            ..Content::new(id, 1_700_000_000_123, kind)
        }
    }

    #[test]
    fn a_text_survives_encoding_byte_for_byte() {
        let text = "Grüße, 你好 👋🏽 \u{0} \r\n\ttab";

        let decoded = Content::decode(&content(text).encode()).ok().unwrap();

        assert!(decoded.kind == Kind::Body(Body::Text(text.to_owned())));
        assert_eq!((decoded.counter, decoded.sent_at_ms), (7, 1_700_000_000_123));
        assert!(decoded.sender_head == Some(Head { seq: 3, hash: [4; 32] }));
    }

    #[test]
    fn texts_are_bounded_on_both_ends() {
        let longest = "é".repeat(MAX_TEXT_CHARS);
        assert!(check_text(&longest).is_ok());
        assert!(Content::decode(&content(&longest).encode()).is_ok());

        for wrong in [String::new(), format!("{longest}e")] {
            assert_eq!(check_text(&wrong).unwrap_err().reason(), "text_length");
            assert_eq!(Content::decode(&content(&wrong).encode()).err(), Some("text_length"));
        }
    }

    #[test]
    fn a_head_that_no_chain_can_have_is_malformed() {
        let with = |seq| Some(Head { seq, hash: [4; 32] });
        let last = Content { sender_head: with(MAX_CHAIN_OPS - 1), ..content("hi") };
        assert!(Content::decode(&last.encode()).is_ok());

        for seq in [MAX_CHAIN_OPS, u64::MAX] {
            let senders = Content { sender_head: with(seq), ..content("hi") };
            let recipients = Content { recipient_head: with(seq), ..content("hi") };
            for wrong in [senders, recipients] {
                assert_eq!(Content::decode(&wrong.encode()).err(), Some("malformed_content"));
            }
        }
    }

    #[test]
    fn what_a_later_version_sends_is_named_as_such() {
        let later = pb::Content { v: 2, ..Default::default() }.encode_to_vec();
        assert_eq!(Content::decode(&later).err(), Some("unknown_content"));
        assert_eq!(Content::decode(b"\xFF\xFF").err(), Some("malformed_content"));
        assert_eq!(Content::decode(b"").err(), Some("unknown_content"));
        assert!(stored_body(&later) == Body::Unsupported);
    }
}
