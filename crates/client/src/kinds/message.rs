//! Messages of the history.

use sotto_ids::{AccountId, GroupId};

use crate::{
    Body, ClientError, Direction, Edition, Event, MessageState, ReceiptKind,
    content::{Content, Kind, Reference, timer_seconds},
    kinds::{Written, receipt},
    vault::{
        Own, Tx, edits,
        messages::{self, NewMessage, Stored},
        read_marks, receipts, timers, tombstones,
    },
};

/// How far a writer's clock may be ahead of the server's.
const CLOCK_AHEAD_MS: u64 = 5 * 60_000;

/// Shows a message that was written by somebody else, or on another device.
pub(super) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    content: &Content,
    raw: Vec<u8>,
) -> Result<(), ClientError> {
    let name = Reference { author: at.author.account, id: content.id };
    if tombstones::exists(tx.db, name)? {
        return Ok(());
    }
    let is_note = at.is_own() && at.peer == at.own.account && at.group.is_none();
    let is_sent = at.is_own() && !is_note;
    let is_timer = matches!(content.kind, Kind::Body(Body::TimerChanged { .. }));
    let mark = read_marks::take(tx.db, name)?;
    let read_at_ms = if is_note || is_timer { Some(at.stored_at_ms) } else { mark };
    let body = match &content.kind {
        Kind::Body(Body::Text(text)) => Stored::Text(text.clone()),
        _ => Stored::Content(raw),
    };
    let new = NewMessage {
        id: content.id,
        conversation: at.conversation(),
        peer: at.peer,
        group: at.group,
        direction: if is_sent { Direction::Sent } else { Direction::Received },
        sender: at.author,
        body,
        reply_to: content.reply_to,
        expire_after_s: content.expire_after_s,
        sent_at_ms: content.sent_at_ms,
        server_time_ms: Some(at.server_time_ms),
        stored_at_ms: at.stored_at_ms,
        read_at_ms,
        state: if is_sent { MessageState::Accepted } else { MessageState::Received },
    };
    let Some(message) = messages::insert(tx.db, new)? else {
        return Ok(());
    };
    let position = message.position;
    if let Body::Text(text) = message.body
        && edits::count(tx.db, name)? > 0
    {
        let original = Edition { written_at_ms: content.sent_at_ms, text };
        super::edit::apply(tx, name, position, content.id, &original)?;
    }
    if at.group.is_some() {
        // How far it came in a group, cursors say.
    } else if is_sent {
        for earlier in receipts::list(tx.db, content.id)? {
            if earlier.account == at.peer.uuid() {
                messages::promote(tx.db, position, earlier.kind)?;
            }
        }
    } else if !is_note {
        receipt::note(tx, at.peer, ReceiptKind::Delivered, content.id)?;
    }
    if is_sent || read_at_ms.is_some() {
        start_timer(tx, position, read_at_ms.unwrap_or(at.stored_at_ms))?;
    }
    set_conversation_timer(tx, at, content)?;
    let message = messages::at(tx.db, position)?;
    tx.tell(Event::Message(Box::new(message)));
    Ok(())
}

/// A message that deletes itself begins to count.
pub(crate) fn start_timer(tx: &mut Tx<'_>, position: u64, at_ms: u64) -> Result<(), ClientError> {
    messages::start_timer(tx.db, position, at_ms)?;
    tx.chores_changed();
    Ok(())
}

/// A message was written here: what it changes, it changes at once.
pub(crate) fn written(
    tx: &Tx<'_>,
    own: &Own,
    to: AccountId,
    content: &Content,
) -> Result<(), ClientError> {
    set_conversation_timer(tx, &Written::here(own, to, tx.now_ms), content)
}

/// As [`written`], in a group.
pub(crate) fn written_to_group(
    tx: &Tx<'_>,
    own: &Own,
    group: GroupId,
    content: &Content,
) -> Result<(), ClientError> {
    let at = Written::here(own, own.account, tx.now_ms);
    set_conversation_timer(tx, &Written { group: Some((group, None)), ..at }, content)
}

/// From here on, messages of the conversation have another timer.
fn set_conversation_timer(
    tx: &Tx<'_>,
    at: &Written<'_>,
    content: &Content,
) -> Result<(), ClientError> {
    if let Kind::Body(Body::TimerChanged { after }) = content.kind {
        let seconds = timer_seconds(after)?;
        // Nobody else is believed to have written it much later than it came.
        let set_ms = if at.author == at.own.address() {
            content.sent_at_ms
        } else {
            content.sent_at_ms.min(at.server_time_ms.saturating_add(CLOCK_AHEAD_MS))
        };
        timers::put(tx.db, at.conversation(), seconds, set_ms, content.id)?;
    }
    Ok(())
}
