//! What was read, here and on one's other devices.

use sotto_ids::{AccountId, limits::MAX_RECEIPT_IDS};

use super::{receipt, sync};
use crate::{
    Body, ClientError, ConversationId, Event, ReceiptKind,
    content::{Reference, Sync},
    vault::{Tx, messages, own, read_marks},
};

/// All that somebody wrote so far has been read.
pub(crate) fn mark(tx: &mut Tx<'_>, peer: AccountId) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    let conversation = ConversationId::between(&own.account, &peer);
    loop {
        let unread = messages::list_unread(tx.db, conversation, MAX_RECEIPT_IDS)?;
        if unread.is_empty() {
            return Ok(());
        }
        let mut names = Vec::new();
        for (name, message) in unread {
            messages::set_read(tx.db, message.position, tx.now_ms)?;
            // What could not be read has a name that only this device knows.
            if !matches!(message.body, Body::Unreadable { .. }) {
                names.push(name);
                receipt::note(tx, peer, ReceiptKind::Read, message.id)?;
            }
        }
        tx.chores_changed();
        if !names.is_empty() {
            sync::tell(tx, &own, Sync::Read(names))?;
        }
    }
}

/// Messages were read on another own device at this time.
pub(super) fn take(tx: &mut Tx<'_>, names: &[Reference], at_ms: u64) -> Result<(), ClientError> {
    let mut conversations = Vec::new();
    for &name in names {
        match messages::find(tx.db, name)? {
            Some(message) => {
                let was_unread = messages::set_read(tx.db, message.position, at_ms)?;
                let place = (message.conversation, message.peer);
                if was_unread && !conversations.contains(&place) {
                    conversations.push(place);
                }
            }
            None => read_marks::insert(tx.db, name, at_ms)?,
        }
    }
    tx.chores_changed();
    for (conversation, peer) in conversations {
        let unread = messages::unread(tx.db, conversation)?;
        tx.tell(Event::ReadElsewhere { peer, unread });
    }
    Ok(())
}
