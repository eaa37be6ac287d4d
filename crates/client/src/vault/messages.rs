//! The table `messages`: the history.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};
use sotto_ids::{AccountId, DeviceAddress};
use uuid::Uuid;

use super::value;
use crate::{Body, ConversationId, Direction, Message, MessageId, MessageState};

/// A message that is to be put into the history.
pub(crate) struct NewMessage {
    pub(crate) id: MessageId,
    pub(crate) conversation: ConversationId,
    pub(crate) peer: AccountId,
    pub(crate) direction: Direction,
    pub(crate) sender: DeviceAddress,
    pub(crate) body: Body,
    pub(crate) sent_at_ms: u64,
    pub(crate) server_time_ms: Option<u64>,
    pub(crate) stored_at_ms: u64,
    pub(crate) state: MessageState,
}

/// Puts a message at the end of the history; `None` where it is there already.
pub(crate) fn insert(db: &Connection, new: NewMessage) -> rusqlite::Result<Option<Message>> {
    let (text, unreadable) = match &new.body {
        Body::Text(text) => (Some(text.as_str()), None),
        Body::Unreadable { reason } => (None, Some(reason.as_str())),
    };
    let position: Option<u64> = db
        .prepare_cached(
            "INSERT INTO messages (id, conversation, peer, received, sender, device, text,
                 unreadable, sent_at_ms, server_time_ms, stored_at_ms, state)
             VALUES (:id, :conversation, :peer, :received, :sender, :device, :text,
                 :unreadable, :sent_at_ms, :server_time_ms, :stored_at_ms, :state)
             ON CONFLICT (sender, device, id) DO NOTHING
             RETURNING position",
        )?
        .query_row(
            named_params! {
                ":id": new.id.as_bytes(),
                ":conversation": new.conversation.as_bytes(),
                ":peer": new.peer.as_bytes(),
                ":received": new.direction == Direction::Received,
                ":sender": new.sender.account.as_bytes(),
                ":device": u32::from(new.sender.device),
                ":text": text,
                ":unreadable": unreadable,
                ":sent_at_ms": new.sent_at_ms,
                ":server_time_ms": new.server_time_ms,
                ":stored_at_ms": new.stored_at_ms,
                ":state": new.state.as_str(),
            },
            |row| row.get(0),
        )
        .optional()?;
    Ok(position.map(|position| Message {
        position,
        id: new.id,
        conversation: new.conversation,
        peer: new.peer,
        direction: new.direction,
        device: new.sender.device,
        body: new.body,
        sent_at_ms: new.sent_at_ms,
        server_time_ms: new.server_time_ms,
        stored_at_ms: new.stored_at_ms,
        state: new.state,
    }))
}

/// The message at a position.
pub(crate) fn at(db: &Connection, position: u64) -> rusqlite::Result<Message> {
    db.prepare_cached("SELECT * FROM messages WHERE position = ?1")?.query_row([position], from_row)
}

/// A message of ours is durable at the server.
pub(crate) fn set_accepted(
    db: &Connection,
    position: u64,
    server_time_ms: Option<u64>,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE messages SET state = 'accepted', server_time_ms = ?2 WHERE position = ?1",
    )?
    .execute((position, server_time_ms))?;
    Ok(())
}

/// A message of ours was refused for good.
pub(crate) fn set_failed(db: &Connection, position: u64, reason: &str) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE messages SET state = 'failed', failure = ?2 WHERE position = ?1")?
        .execute((position, reason))?;
    Ok(())
}

/// The newest `limit` messages of a conversation before a position, oldest first.
pub(crate) fn history(
    db: &Connection,
    conversation: ConversationId,
    limit: usize,
    before: Option<u64>,
) -> rusqlite::Result<Vec<Message>> {
    let mut messages: Vec<Message> = db
        .prepare_cached(
            "SELECT * FROM messages WHERE conversation = ?1 AND position < ?2
             ORDER BY position DESC LIMIT ?3",
        )?
        .query_map(params![conversation.as_bytes(), position_bound(before), limit], from_row)?
        .collect::<Result<_, _>>()?;
    messages.reverse();
    Ok(messages)
}

/// The first `limit` messages of all conversations after a position.
pub(crate) fn after(
    db: &Connection,
    position: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Message>> {
    db.prepare_cached("SELECT * FROM messages WHERE position > ?1 ORDER BY position LIMIT ?2")?
        .query_map(params![position, limit], from_row)?
        .collect()
}

/// The newest message of each conversation, newest first.
pub(crate) fn newest(db: &Connection) -> rusqlite::Result<Vec<Message>> {
    db.prepare_cached(
        "SELECT * FROM messages
         WHERE position IN (SELECT max(position) FROM messages GROUP BY conversation)
         ORDER BY position DESC",
    )?
    .query_map([], from_row)?
    .collect()
}

/// Received messages of a conversation after a position.
pub(crate) fn unread(
    db: &Connection,
    conversation: ConversationId,
    read_to: u64,
) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "SELECT count(*) FROM messages WHERE conversation = ?1 AND position > ?2 AND received",
    )?
    .query_row((conversation.as_bytes(), read_to), |row| row.get(0))
}

/// Whether a message is in the history.
pub(crate) fn exists(
    db: &Connection,
    sender: DeviceAddress,
    id: MessageId,
) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE sender = ?1 AND device = ?2 AND id = ?3)",
    )?
    .query_row((sender.account.as_bytes(), u32::from(sender.device), id.as_bytes()), |row| {
        row.get(0)
    })
}

fn position_bound(before: Option<u64>) -> i64 {
    before.and_then(|position| i64::try_from(position).ok()).unwrap_or(i64::MAX)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Message> {
    let received = row.get("received")?;
    let body = match row.get("text")? {
        Some(text) => Body::Text(text),
        None => Body::Unreadable { reason: row.get("unreadable")? },
    };
    let failure: Option<String> = row.get("failure")?;
    Ok(Message {
        position: row.get("position")?,
        id: MessageId(Uuid::from_bytes(row.get("id")?)),
        conversation: ConversationId::from_stored(row.get("conversation")?),
        peer: value::account(row, "peer")?,
        direction: if received { Direction::Received } else { Direction::Sent },
        device: value::device(row, "device")?,
        body,
        sent_at_ms: row.get("sent_at_ms")?,
        server_time_ms: row.get("server_time_ms")?,
        stored_at_ms: row.get("stored_at_ms")?,
        state: value::read(row, "state", |word: String| match word.as_str() {
            "queued" => Some(MessageState::Queued),
            "accepted" => Some(MessageState::Accepted),
            "failed" => Some(MessageState::Failed { reason: failure.unwrap_or_default() }),
            "received" => Some(MessageState::Received),
            _ => None,
        })?,
    })
}
