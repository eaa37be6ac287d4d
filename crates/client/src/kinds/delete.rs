//! Messages that go: for everybody, for oneself, or because their time is up.

use super::{Written, change, find, find_own, sync};
use crate::{
    Body, ClientError, DeleteFor, Event, Message, MessageId,
    content::{Kind, Reference, Sync},
    vault::{
        Tx, edits, group_outbox, messages, outbox, own, reactions, receipts, retractions,
        tombstones, votes,
    },
};

/// Deletes a message.
pub(crate) fn write(tx: &mut Tx<'_>, id: MessageId, whose: DeleteFor) -> Result<(), ClientError> {
    match whose {
        DeleteFor::Everyone => for_everyone(tx, id),
        DeleteFor::Me => for_me(tx, id),
    }
}

fn for_everyone(tx: &mut Tx<'_>, id: MessageId) -> Result<(), ClientError> {
    let (own, name, message) = find_own(tx, id)?;
    if message.body == Body::Deleted {
        return Ok(());
    }
    let queued = queued(tx, &message)?;
    if let Some((seq, false)) = queued {
        // It never left this device, so nobody has to hear of it.
        unqueue(tx, &message, seq)?;
        tombstones::insert(tx.db, name, tx.now_ms)?;
        forget(tx, name, &message)?;
        messages::wipe(tx.db, message.position)?;
        tx.tell(Event::MessageDeleted { id, peer: message.peer });
        return Ok(());
    }
    if let Some((send, devices)) = messages::accepted_send(tx.db, message.position)? {
        retractions::insert(tx.db, send, message.peer.uuid(), &devices)?;
        tx.outbox_changed();
    }
    let now_ms = tx.now_ms;
    change(tx, &own, &message, now_ms, Kind::Delete { target: name })
}

fn for_me(tx: &mut Tx<'_>, id: MessageId) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    let (name, message) = find(tx, id)?;
    purge(tx, name, &message)?;
    tx.tell(Event::MessageDeleted { id, peer: message.peer });
    sync::tell(tx, &own, Sync::Deleted(vec![name]))
}

/// Its writer deleted a message. The mark stays, also for a copy that comes later.
pub(super) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    target: Reference,
) -> Result<(), ClientError> {
    if target.author != at.by.uuid() {
        at.refuse(tx, "not_author");
        return Ok(());
    }
    if !tombstones::insert(tx.db, target, tx.now_ms)? {
        return Ok(());
    }
    if let Some(message) = messages::find(tx.db, target)? {
        forget(tx, target, &message)?;
        messages::wipe(tx.db, message.position)?;
        tx.tell(Event::MessageDeleted { id: target.id, peer: message.peer });
    }
    Ok(())
}

/// Leaves nothing of a message but the mark that keeps later copies out.
pub(crate) fn purge(
    tx: &mut Tx<'_>,
    name: Reference,
    message: &Message,
) -> Result<(), ClientError> {
    if let Some((seq, _)) = queued(tx, message)? {
        unqueue(tx, message, seq)?;
    }
    tombstones::insert(tx.db, name, tx.now_ms)?;
    forget(tx, name, message)?;
    Ok(messages::delete(tx.db, message.position)?)
}

/// The row of a message in its outbox, and whether the server may have it.
fn queued(tx: &Tx<'_>, message: &Message) -> Result<Option<(u64, bool)>, ClientError> {
    Ok(match message.group {
        Some(_) => group_outbox::of_message(tx.db, message.position)?,
        None => outbox::of_message(tx.db, message.position)?,
    })
}

fn unqueue(tx: &mut Tx<'_>, message: &Message, seq: u64) -> Result<(), ClientError> {
    match message.group {
        Some(_) => group_outbox::delete(tx.db, seq)?,
        None => outbox::delete(tx.db, seq)?,
    }
    tx.outbox_changed();
    Ok(())
}

/// Drops what came back on a message.
fn forget(tx: &mut Tx<'_>, name: Reference, message: &Message) -> Result<(), ClientError> {
    edits::delete(tx.db, name)?;
    reactions::delete(tx.db, name)?;
    votes::delete(tx.db, name)?;
    if message.direction == crate::Direction::Sent {
        receipts::delete(tx.db, name.id)?;
    } else {
        receipts::drop_due_for(tx.db, name.id)?;
    }
    tx.chores_changed();
    Ok(())
}
