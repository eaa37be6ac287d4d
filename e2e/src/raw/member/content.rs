//! What stands inside a message, as docs/protocol.md has it.

use prost::Message as _;
use sotto_ids::ClientMsgId;
use sotto_proto::content::{Content, Text, content::Body};

use crate::raw::now_ms;

/// Short content is padded to a multiple of this.
const STEP: usize = 160;

/// A short text, padded.
pub(super) fn of_text(id: ClientMsgId, text: &str) -> Vec<u8> {
    let content = Content {
        v: 1,
        message_id: id.as_bytes().to_vec(),
        sent_at_ms: now_ms(),
        body: Some(Body::Text(Text { body: text.to_owned() })),
        ..Content::default()
    };
    let mut plaintext = content.encode_to_vec();
    let size = (plaintext.len() + 1).next_multiple_of(STEP);
    plaintext.push(0x80);
    plaintext.resize(size, 0);
    plaintext
}
