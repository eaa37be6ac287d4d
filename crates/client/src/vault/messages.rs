//! The table `messages`: the history.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};
use sotto_ids::{AccountId, ClientMsgId, DeviceAddress, GroupId};
use uuid::Uuid;

use super::{groups, value};
use crate::{
    Body, ConversationId, Direction, Message, MessageId, MessageState, ReceiptKind, Reply,
    content::{Reference, stored_body, timer},
};

/// A message that is to be put into the history.
pub(crate) struct NewMessage {
    pub(crate) id: MessageId,
    pub(crate) conversation: ConversationId,
    pub(crate) peer: AccountId,
    /// The group, where it is one, and where it stands in the log of that.
    pub(crate) group: Option<(GroupId, Option<u64>)>,
    pub(crate) direction: Direction,
    pub(crate) sender: DeviceAddress,
    pub(crate) body: Stored,
    pub(crate) reply_to: Option<Reference>,
    pub(crate) expire_after_s: u32,
    pub(crate) sent_at_ms: u64,
    pub(crate) server_time_ms: Option<u64>,
    pub(crate) stored_at_ms: u64,
    /// When it was read; for what does not count as unread, any time will do.
    pub(crate) read_at_ms: Option<u64>,
    pub(crate) state: MessageState,
}

/// What it says, as it is stored.
pub(crate) enum Stored {
    Text(String),
    /// An encoded content of any other kind.
    Content(Vec<u8>),
    /// The reason why there is nothing to read.
    Unreadable(String),
}

/// Puts a message at the end of the history; `None` where it is there already.
pub(crate) fn insert(db: &Connection, new: NewMessage) -> rusqlite::Result<Option<Message>> {
    let (mut text, mut content, mut unreadable) = (None, None, None);
    match new.body {
        Stored::Text(body) => text = Some(body),
        Stored::Content(body) => content = Some(body),
        Stored::Unreadable(reason) => unreadable = Some(reason),
    }
    let position: Option<u64> = db
        .prepare_cached(
            "INSERT INTO messages (id, conversation, peer, received, sender, device, text, content,
                 unreadable, reply_author, reply_id, expire_after_s, sent_at_ms, server_time_ms,
                 stored_at_ms, read_ms, state, group_id, group_seq)
             VALUES (:id, :conversation, :peer, :received, :sender, :device, :text, :content,
                 :unreadable, :reply_author, :reply_id, :expire_after_s, :sent_at_ms,
                 :server_time_ms, :stored_at_ms, :read_ms, :state, :group_id, :group_seq)
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
                ":content": content,
                ":unreadable": unreadable,
                ":reply_author": new.reply_to.map(|to| *to.author.as_bytes()),
                ":reply_id": new.reply_to.map(|to| *to.id.as_bytes()),
                ":expire_after_s": (new.expire_after_s > 0).then_some(new.expire_after_s),
                ":sent_at_ms": new.sent_at_ms,
                ":server_time_ms": new.server_time_ms,
                ":stored_at_ms": new.stored_at_ms,
                ":read_ms": new.read_at_ms,
                ":state": new.state.as_str(),
                ":group_id": new.group.map(|(group, _)| *group.as_bytes()),
                ":group_seq": new.group.and_then(|(_, seq)| seq),
            },
            |row| row.get(0),
        )
        .optional()?;
    position.map(|position| at(db, position)).transpose()
}

/// The message at a position.
pub(crate) fn at(db: &Connection, position: u64) -> rusqlite::Result<Message> {
    db.prepare_cached("SELECT * FROM messages WHERE position = ?1")?.query_row([position], from_row)
}

/// The message that goes by this name.
pub(crate) fn find(db: &Connection, name: Reference) -> rusqlite::Result<Option<Message>> {
    db.prepare_cached(
        "SELECT * FROM messages WHERE id = ?2 AND sender = ?1 ORDER BY position LIMIT 1",
    )?
    .query_row((name.author.as_bytes(), name.id.as_bytes()), from_row)
    .optional()
}

/// The first message with this id, and who wrote it. Whoever repeats the id of an
/// earlier one comes after it.
pub(crate) fn first(
    db: &Connection,
    id: MessageId,
) -> rusqlite::Result<Option<(Reference, Message)>> {
    db.prepare_cached("SELECT * FROM messages WHERE id = ?1 ORDER BY position LIMIT 1")?
        .query_row([id.as_bytes()], |row| {
            let author = value::uuid(row, "sender")?;
            Ok((Reference { author, id }, from_row(row)?))
        })
        .optional()
}

/// A message of ours is durable at the server, as this send to these devices. Where a
/// receipt was faster, the state stays.
pub(crate) fn set_accepted(
    db: &Connection,
    position: u64,
    server_time_ms: u64,
    sent: Option<(ClientMsgId, &[u8])>,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE messages SET server_time_ms = ?2, client_msg_id = ?3, sent_to = ?4,
             state = CASE WHEN state IN ('queued', 'failed') THEN 'accepted' ELSE state END
         WHERE position = ?1",
    )?
    .execute((
        position,
        server_time_ms,
        sent.map(|(id, _)| *id.as_bytes()),
        sent.map(|(_, devices)| devices),
    ))?;
    Ok(())
}

/// Where a message stands in the log of its group.
pub(crate) fn set_group_seq(db: &Connection, position: u64, seq: u64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE messages SET group_seq = ?2 WHERE position = ?1")?
        .execute((position, seq))?;
    Ok(())
}

/// The send that the server accepted for a message, and its devices.
pub(crate) fn accepted_send(
    db: &Connection,
    position: u64,
) -> rusqlite::Result<Option<(ClientMsgId, Vec<u8>)>> {
    let found: (Option<[u8; 16]>, Option<Vec<u8>>) = db
        .prepare_cached("SELECT client_msg_id, sent_to FROM messages WHERE position = ?1")?
        .query_row([position], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let id = found.0.and_then(|bytes| ClientMsgId::try_from(bytes.as_slice()).ok());
    Ok(id.zip(found.1))
}

/// A receipt came for a message of ours; whether it got further by that.
pub(crate) fn promote(db: &Connection, position: u64, kind: ReceiptKind) -> rusqlite::Result<bool> {
    let below = match kind {
        ReceiptKind::Delivered => {
            "UPDATE messages SET state = 'delivered'
             WHERE position = ?1 AND state IN ('queued', 'accepted', 'failed')"
        }
        ReceiptKind::Read => {
            "UPDATE messages SET state = 'read'
             WHERE position = ?1 AND state IN ('queued', 'accepted', 'delivered', 'failed')"
        }
    };
    Ok(db.prepare_cached(below)?.execute([position])? > 0)
}

/// A message was read at this time, here or on another device of one's own. What
/// deletes itself begins to count; whether it was unread.
pub(crate) fn set_read(db: &Connection, position: u64, at_ms: u64) -> rusqlite::Result<bool> {
    let changed = db
        .prepare_cached(
            "UPDATE messages SET read_ms = ?2, expires_ms = ?2 + expire_after_s * 1000
             WHERE position = ?1 AND received AND read_ms IS NULL",
        )?
        .execute((position, at_ms))?;
    Ok(changed > 0)
}

/// A message that deletes itself begins to count.
pub(crate) fn start_timer(db: &Connection, position: u64, at_ms: u64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE messages SET expires_ms = coalesce(expires_ms, ?2 + expire_after_s * 1000)
         WHERE position = ?1 AND expire_after_s IS NOT NULL",
    )?
    .execute((position, at_ms))?;
    Ok(())
}

/// Unread messages of a conversation, the oldest `limit`.
pub(crate) fn list_unread(
    db: &Connection,
    conversation: ConversationId,
    limit: usize,
) -> rusqlite::Result<Vec<(Reference, Message)>> {
    db.prepare_cached(
        "SELECT * FROM messages WHERE conversation = ?1 AND received AND read_ms IS NULL
         ORDER BY position LIMIT ?2",
    )?
    .query_map(params![conversation.as_bytes(), limit], |row| {
        let message = from_row(row)?;
        Ok((Reference { author: value::uuid(row, "sender")?, id: message.id }, message))
    })?
    .collect()
}

/// A text is another one now.
pub(crate) fn set_text(
    db: &Connection,
    position: u64,
    text: &str,
    edited_ms: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE messages SET text = ?2, edited_ms = ?3 WHERE position = ?1 AND text IS NOT NULL",
    )?
    .execute((position, text, edited_ms))?;
    Ok(())
}

/// Leaves nothing of a message but its place.
pub(crate) fn wipe(db: &Connection, position: u64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE messages SET deleted = 1, text = NULL, content = NULL, unreadable = NULL,
             reply_author = NULL, reply_id = NULL, edited_ms = NULL
         WHERE position = ?1",
    )?
    .execute([position])?;
    Ok(())
}

/// Leaves nothing of a message. It must not be in the outbox.
pub(crate) fn delete(db: &Connection, position: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM messages WHERE position = ?1")?.execute([position])?;
    Ok(())
}

/// Messages whose time is up, `limit` at most.
pub(crate) fn ended(
    db: &Connection,
    now_ms: u64,
    limit: usize,
) -> rusqlite::Result<Vec<(Reference, Message)>> {
    db.prepare_cached("SELECT * FROM messages WHERE expires_ms <= ?1 LIMIT ?2")?
        .query_map(params![now_ms, limit], |row| {
            let message = from_row(row)?;
            Ok((Reference { author: value::uuid(row, "sender")?, id: message.id }, message))
        })?
        .collect()
}

/// When the first message's time is up.
pub(crate) fn next_end(db: &Connection) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT min(expires_ms) FROM messages WHERE expires_ms IS NOT NULL")?
        .query_row([], |row| row.get(0))
}

/// A message of ours was refused for good.
pub(crate) fn set_failed(db: &Connection, position: u64, reason: &str) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE messages SET state = 'failed', failure = ?2
         WHERE position = ?1 AND state IN ('queued', 'failed')",
    )?
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

/// How many messages of a conversation were not read.
pub(crate) fn unread(db: &Connection, conversation: ConversationId) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "SELECT count(*) FROM messages
         WHERE conversation = ?1 AND received AND read_ms IS NULL AND NOT deleted",
    )?
    .query_row([conversation.as_bytes()], |row| row.get(0))
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
    let text: Option<String> = row.get("text")?;
    let content: Option<Vec<u8>> = row.get("content")?;
    let unreadable: Option<String> = row.get("unreadable")?;
    let body = match (text, content, unreadable) {
        (Some(text), ..) => Body::Text(text),
        (None, Some(content), _) => stored_body(&content),
        (None, None, Some(reason)) => Body::Unreadable { reason },
        (None, None, None) => Body::Deleted,
    };
    let reply_id: Option<[u8; 16]> = row.get("reply_id")?;
    let reply_to = match reply_id {
        Some(id) => {
            let author = value::uuid(row, "reply_author")?;
            Some(Reply { author, id: MessageId(Uuid::from_bytes(id)) })
        }
        None => None,
    };
    let failure: Option<String> = row.get("failure")?;
    Ok(Message {
        position: row.get("position")?,
        id: MessageId(Uuid::from_bytes(row.get("id")?)),
        conversation: ConversationId::from_stored(row.get("conversation")?),
        peer: value::account(row, "peer")?,
        group: groups::id(row, "group_id")?,
        group_seq: row.get("group_seq")?,
        direction: if received { Direction::Received } else { Direction::Sent },
        device: value::device(row, "device")?,
        body,
        sent_at_ms: row.get("sent_at_ms")?,
        server_time_ms: row.get("server_time_ms")?,
        stored_at_ms: row.get("stored_at_ms")?,
        state: value::read(row, "state", |word: String| match word.as_str() {
            "queued" => Some(MessageState::Queued),
            "accepted" => Some(MessageState::Accepted),
            "delivered" => Some(MessageState::Delivered),
            "read" => Some(MessageState::Read),
            "failed" => Some(MessageState::Failed { reason: failure.unwrap_or_default() }),
            "received" => Some(MessageState::Received),
            _ => None,
        })?,
        reply_to,
        edited_at_ms: row.get("edited_ms")?,
        expire_after: timer(row.get::<_, Option<u32>>("expire_after_s")?.unwrap_or(0)),
        expires_at_ms: row.get("expires_ms")?,
        read_at_ms: if received { row.get("read_ms")? } else { None },
    })
}
