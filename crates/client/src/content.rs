//! What stands inside a ciphertext.

use prost::Message as _;
use sotto_identity::State;
use sotto_ids::limits::{MAX_CHAIN_OPS, MAX_TEXT_CHARS};
use sotto_proto::content::{self as pb, content::Body as PbBody};
use uuid::Uuid;

use crate::{Body, ClientError, MessageId};

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
    pub(crate) text: String,
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

/// Refuses a text that is empty or too long.
pub(crate) fn check_text(text: &str) -> Result<(), ClientError> {
    let characters = text.chars().count();
    if (1..=MAX_TEXT_CHARS).contains(&characters) {
        Ok(())
    } else {
        Err(ClientError::TextLength { characters })
    }
}

impl Content {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let head = |head: Head| pb::Head { seq: head.seq, hash: head.hash.to_vec() };
        pb::Content {
            v: VERSION,
            message_id: self.id.as_bytes().to_vec(),
            counter: self.counter,
            sent_at_ms: self.sent_at_ms,
            sender_head: self.sender_head.map(head),
            recipient_head: self.recipient_head.map(head),
            body: Some(PbBody::Text(pb::Text { body: self.text.clone() })),
        }
        .encode_to_vec()
    }

    /// Reads a plaintext; the error is a stable word for what is wrong with it.
    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, &'static str> {
        let content = pb::Content::decode(plaintext).map_err(|_| "malformed_content")?;
        if content.v != VERSION {
            return Err("unknown_content");
        }
        let id = Uuid::from_slice(&content.message_id)
            .ok()
            .filter(|id| id.get_version_num() == 7)
            .ok_or("malformed_content")?;
        if content.counter > MAX_COUNTER || content.sent_at_ms > MAX_COUNTER {
            return Err("malformed_content");
        }
        let head = |head: pb::Head| match head.hash.try_into() {
            Ok(hash) if head.seq < MAX_CHAIN_OPS => Ok(Head { seq: head.seq, hash }),
            _ => Err("malformed_content"),
        };
        let Some(PbBody::Text(pb::Text { body: text })) = content.body else {
            return Err("unknown_content");
        };
        check_text(&text).map_err(|_| "text_length")?;
        Ok(Self {
            id: MessageId(id),
            counter: content.counter,
            sent_at_ms: content.sent_at_ms,
            sender_head: content.sender_head.map(head).transpose()?,
            recipient_head: content.recipient_head.map(head).transpose()?,
            text,
        })
    }

    pub(crate) fn into_body(self) -> Body {
        Body::Text(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Content {
        Content {
            id: MessageId(uuid::Builder::from_unix_timestamp_millis(9, &[1; 10]).into_uuid()),
            counter: 7,
            sent_at_ms: 1_700_000_000_123,
            sender_head: Some(Head { seq: 3, hash: [4; 32] }),
            recipient_head: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_text_survives_encoding_byte_for_byte() {
        let text = "Grüße, 你好 👋🏽 \u{0} \r\n\ttab";

        let decoded = Content::decode(&content(text).encode()).ok().unwrap();

        assert_eq!(decoded.text, text);
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
    }
}
