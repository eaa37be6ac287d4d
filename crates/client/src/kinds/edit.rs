//! Edits of texts. What a message said before stays with it.

use sotto_ids::limits::MAX_EDITS;

use super::{Written, change, find_own};
use crate::{
    Body, ClientError, Edition, Event, MessageId,
    content::{Content, Kind, Reference, check_text},
    vault::{Tx, edits, messages, tombstones},
};

/// Gives an own text another wording.
pub(crate) fn write(tx: &mut Tx<'_>, id: MessageId, text: String) -> Result<(), ClientError> {
    check_text(&text)?;
    let (own, name, message) = find_own(tx, id)?;
    if message.body.text().is_none() {
        return Err(ClientError::Limit("not_a_text"));
    }
    if edits::count(tx.db, name)? >= MAX_EDITS {
        return Err(ClientError::Limit("too_many_edits"));
    }
    // It is the newest whatever the clock says.
    let newest_ms = edits::newest(tx.db, name)?.map_or(message.sent_at_ms, |one| one.written_at_ms);
    let sent_at_ms = tx.now_ms.max(newest_ms + 1);
    change(tx, &own, &message, sent_at_ms, Kind::Edit { target: name, text })
}

pub(super) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    content: &Content,
    target: Reference,
    text: &str,
) -> Result<(), ClientError> {
    if target.author != at.by.uuid() {
        at.refuse(tx, "not_author");
        return Ok(());
    }
    if tombstones::exists(tx.db, target)? {
        return Ok(());
    }
    if edits::count(tx.db, target)? > MAX_EDITS {
        at.refuse(tx, "too_many_edits");
        return Ok(());
    }
    let edition = Edition { written_at_ms: content.sent_at_ms, text: text.to_owned() };
    let Some(message) = messages::find(tx.db, target)? else {
        return Ok(edits::insert(tx.db, target, content.id, &edition)?);
    };
    let Body::Text(before) = message.body else {
        at.refuse(tx, "not_a_text");
        return Ok(());
    };
    edits::insert(tx.db, target, content.id, &edition)?;
    let original = Edition { written_at_ms: message.sent_at_ms, text: before };
    apply(tx, target, message.position, message.id, &original)?;
    let message = messages::at(tx.db, message.position)?;
    tx.tell(Event::MessageEdited(Box::new(message)));
    Ok(())
}

/// Makes a message say what its newest edit does. The first time, what it said before
/// is kept beside its edits.
pub(super) fn apply(
    tx: &Tx<'_>,
    name: Reference,
    position: u64,
    id: MessageId,
    original: &Edition,
) -> Result<(), ClientError> {
    edits::insert(tx.db, name, id, original)?;
    if let Some(newest) = edits::newest(tx.db, name)?
        && newest.written_at_ms > original.written_at_ms
    {
        messages::set_text(tx.db, position, &newest.text, newest.written_at_ms)?;
    }
    Ok(())
}
