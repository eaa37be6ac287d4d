//! Reactions: one of each account on each message.

use super::{Written, change, find};
use crate::{
    ClientError, Event, MessageId,
    content::{Content, Kind, Reference, check_emoji},
    vault::{Tx, messages, own, reactions, tombstones},
};

/// Reacts to a message, or takes that back without an emoji.
pub(crate) fn write(
    tx: &mut Tx<'_>,
    id: MessageId,
    emoji: Option<String>,
) -> Result<(), ClientError> {
    let emoji = emoji.filter(|emoji| !emoji.is_empty());
    check_emoji(emoji.as_deref().unwrap_or_default()).map_err(ClientError::Limit)?;
    let own = own::certified(tx.db)?;
    let (target, message) = find(tx, id)?;
    let now_ms = tx.now_ms;
    change(tx, &own, &message, now_ms, Kind::Reaction { target, emoji })
}

pub(super) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    content: &Content,
    target: Reference,
    emoji: Option<&str>,
) -> Result<(), ClientError> {
    if tombstones::exists(tx.db, target)? {
        return Ok(());
    }
    let conversation = at.conversation();
    if messages::find(tx.db, target)?.is_some_and(|on| on.conversation != conversation) {
        at.refuse(tx, "other_conversation");
        return Ok(());
    }
    if reactions::put(tx.db, conversation, target, &at.stamp(content), emoji)? {
        tx.tell(Event::Reacted { message: target.id, peer: at.peer, by: at.by });
    }
    Ok(())
}
