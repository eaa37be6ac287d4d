//! Messages of a group.

use openmls::prelude::ProcessedMessageContent;
use sotto_ids::{AccountId, AccountUuid, ClientMsgId, DeviceAddress, DeviceId};
use sotto_mls::LeafId;
use sotto_proto::socket::GroupEntry;
use uuid::Uuid;

use crate::{
    ClientError, ConversationId, Direction, Event, MessageId, MessageState,
    content::{self, Content, Kind, MAX_COUNTER},
    groups::{open::Open, outbox, protocol_message},
    kinds::{self, Written},
    message_id::message_id,
    vault::{
        Own, Tx, group_outbox,
        groups::Group,
        messages::{self, NewMessage, Stored},
    },
};

/// Takes a message in. What cannot be read is shown as such, and spoils nothing else.
pub(super) fn take(
    tx: &mut Tx<'_>,
    own: &Own,
    row: &Group,
    open: &mut Open,
    entry: &GroupEntry,
) -> Result<(), ClientError> {
    let id = ClientMsgId::try_from(entry.client_msg_id.as_ref()).ok();
    if let Some(id) = id
        && let Some(sent) = group_outbox::named(tx.db, row.id, id)?
    {
        return outbox::accepted(tx, own, &sent, entry.seq, entry.server_time_ms);
    }
    let (leaf, plaintext) = match decrypt(open, entry) {
        Decrypted::Message(leaf, plaintext) => (leaf, plaintext),
        Decrypted::Own => return Ok(()),
        Decrypted::Unreadable(reason) => return show(tx, row, entry, None, unreadable(reason)),
    };
    let taken = tx.atomically(|tx| read(tx, own, row, entry, leaf, plaintext));
    match taken {
        Err(error) if error.is_of_the_store() => Err(error),
        Err(error) => {
            tracing::error!(reason = error.reason(), "a group's message could not be taken in");
            show(tx, row, entry, Some(leaf), unreadable("not_taken_in"))
        }
        Ok(()) => Ok(()),
    }
}

enum Decrypted {
    Message(LeafId, Vec<u8>),
    /// Written here: it stands in the history already.
    Own,
    Unreadable(&'static str),
}

fn decrypt(open: &mut Open, entry: &GroupEntry) -> Decrypted {
    let Some(message) = protocol_message(&entry.message) else {
        return Decrypted::Unreadable("malformed_ciphertext");
    };
    let Ok(processed) = open.mls.process_message(&open.provider, message) else {
        return Decrypted::Unreadable("decryption_failed");
    };
    let leaf = LeafId::of_credential(processed.credential());
    match (processed.into_content(), leaf) {
        (ProcessedMessageContent::ApplicationMessage(message), Ok(leaf)) => {
            Decrypted::Message(leaf, message.into_bytes())
        }
        (ProcessedMessageContent::OwnPrivateMessage, _) => Decrypted::Own,
        _ => Decrypted::Unreadable("malformed_ciphertext"),
    }
}

fn unreadable(reason: &str) -> Stored {
    Stored::Unreadable(reason.to_owned())
}

fn read(
    tx: &mut Tx<'_>,
    own: &Own,
    row: &Group,
    entry: &GroupEntry,
    leaf: LeafId,
    plaintext: Vec<u8>,
) -> Result<(), ClientError> {
    let Some(plaintext) = content::unpad(plaintext) else {
        return show(tx, row, entry, Some(leaf), unreadable("malformed_padding"));
    };
    let content = match Content::decode(&plaintext) {
        Ok(content) => content,
        Err(content::UNKNOWN) => {
            return show(tx, row, entry, Some(leaf), Stored::Content(plaintext));
        }
        Err(reason) => return show(tx, row, entry, Some(leaf), unreadable(reason)),
    };
    let author = DeviceAddress::new(leaf.account.uuid(), leaf.device);
    let at = Written {
        own,
        author,
        by: leaf.account,
        peer: leaf.account,
        group: Some((row.id, Some(entry.seq))),
        server_time_ms: entry.server_time_ms.min(MAX_COUNTER),
        stored_at_ms: tx.now_ms,
    };
    match content.kind {
        // Said between two, or not worth keeping: nobody says it to a group.
        Kind::Receipt { .. } | Kind::Typing { .. } | Kind::Presence { .. } | Kind::Sync(_) => {
            let reason = "not_for_groups".into();
            tx.tell(Event::ContentRefused { peer: leaf.account, reason });
            Ok(())
        }
        _ => kinds::take(tx, &at, &content, plaintext),
    }
}

/// Shows something that has no name of its own. Who wrote what could not be decrypted is not
/// known.
fn show(
    tx: &mut Tx<'_>,
    row: &Group,
    entry: &GroupEntry,
    leaf: Option<LeafId>,
    body: Stored,
) -> Result<(), ClientError> {
    let nobody = DeviceAddress::new(AccountUuid::from_stored(Uuid::nil()), DeviceId::FIRST);
    let server_time_ms = entry.server_time_ms.min(MAX_COUNTER);
    let id = Uuid::from_slice(&entry.client_msg_id)
        .map_or_else(|_| message_id(tx.now_ms, tx.rng), MessageId);
    let new = NewMessage {
        id,
        conversation: ConversationId::of_group(row.id),
        peer: leaf.map_or(AccountId::new([0; 32]), |leaf| leaf.account),
        group: Some((row.id, Some(entry.seq))),
        direction: Direction::Received,
        sender: leaf.map_or(nobody, |leaf| DeviceAddress::new(leaf.account.uuid(), leaf.device)),
        body,
        reply_to: None,
        expire_after_s: 0,
        sent_at_ms: server_time_ms,
        server_time_ms: Some(server_time_ms),
        stored_at_ms: tx.now_ms,
        read_at_ms: None,
        state: MessageState::Received,
    };
    if let Some(message) = messages::insert(tx.db, new)? {
        tx.tell(Event::Message(Box::new(message)));
    }
    Ok(())
}
