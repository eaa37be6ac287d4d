//! Receipts. They go out some time after what they tell of, several at once, and look
//! to the server like any message.

use std::time::Duration;

use rand::Rng as _;
use sotto_ids::{AccountId, limits::MAX_RECEIPT_IDS};

use super::{Written, sync};
use crate::{
    ClientError, Event, MessageId, ReceiptKind, ReceiptSettings,
    content::{Content, Kind, Reference, Sync},
    message_id::message_id,
    outbox,
    vault::{Tx, messages, own, receipts, settings},
};

/// A receipt is to go out, unless that is switched off.
pub(super) fn note(
    tx: &mut Tx<'_>,
    to: AccountId,
    kind: ReceiptKind,
    message: MessageId,
) -> Result<(), ClientError> {
    if !is_on(settings::receipts(tx.db)?, kind) {
        return Ok(());
    }
    let due_ms = match receipts::due_of(tx.db, to.uuid())? {
        Some(due_ms) => due_ms,
        None => tx.now_ms.saturating_add(delay_ms(tx)),
    };
    receipts::put_due(tx.db, to.uuid(), kind, message, due_ms)?;
    tx.chores_changed();
    Ok(())
}

/// From the one bound to the other, each as likely.
fn delay_ms(tx: &mut Tx<'_>) -> u64 {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (least, most) = (ms(tx.tuning.receipt_delay_min), ms(tx.tuning.receipt_delay_max));
    tx.rng.random_range(least..=most.max(least))
}

/// Sends those whose time has come, and with them all others to the same account.
pub(crate) fn send_due(tx: &mut Tx<'_>, now_ms: u64) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    while let Some(to) = receipts::first_due(tx.db, now_ms)? {
        for kind in [ReceiptKind::Delivered, ReceiptKind::Read] {
            loop {
                let ids = receipts::take_due(tx.db, to, kind, MAX_RECEIPT_IDS)?;
                if ids.is_empty() {
                    break;
                }
                let id = message_id(tx.now_ms, tx.rng);
                let content = Content::new(id, tx.now_ms, Kind::Receipt { kind, ids });
                let sent = outbox::enqueue_content(tx, &own, to, &content, outbox::TellOwn::No);
                match sent {
                    // Nothing goes to an account with two chains, receipts neither.
                    Ok(()) | Err(ClientError::Distrust(_) | ClientError::UnknownAccount) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

/// Switches receipts, here and on one's other devices.
pub(crate) fn switch(tx: &mut Tx<'_>, to: ReceiptSettings) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    apply_switch(tx, to)?;
    sync::tell(tx, &own, Sync::Settings { delivered: to.delivered, read: to.read })
}

pub(super) fn apply_switch(tx: &mut Tx<'_>, to: ReceiptSettings) -> Result<(), ClientError> {
    settings::set_receipts(tx.db, to)?;
    for kind in [ReceiptKind::Delivered, ReceiptKind::Read] {
        if !is_on(to, kind) {
            receipts::drop_due(tx.db, kind)?;
        }
    }
    tx.chores_changed();
    Ok(())
}

fn is_on(settings: ReceiptSettings, kind: ReceiptKind) -> bool {
    match kind {
        ReceiptKind::Delivered => settings.delivered,
        ReceiptKind::Read => settings.read,
    }
}

/// Somebody's device has messages of ours, or they were read there. Those that another
/// own device wrote may only be heard of later.
pub(super) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    content: &Content,
    kind: ReceiptKind,
    ids: &[MessageId],
) -> Result<(), ClientError> {
    if at.is_own() {
        at.refuse(tx, "own_receipt");
        return Ok(());
    }
    let sent_at_ms = content.sent_at_ms.min(tx.now_ms);
    for &id in ids {
        let name = Reference { author: at.own.account.uuid(), id };
        let message = messages::find(tx.db, name)?;
        if message.as_ref().is_some_and(|message| message.peer != at.by) {
            at.refuse(tx, "other_conversation");
            continue;
        }
        let is_new = receipts::insert(tx.db, id, at.author, kind, sent_at_ms)?;
        let Some(message) = message.filter(|_| is_new) else {
            continue;
        };
        messages::promote(tx.db, message.position, kind)?;
        let (peer, device) = (at.peer, at.author.device);
        tx.tell(match kind {
            ReceiptKind::Delivered => Event::MessageDelivered { id, peer, device },
            ReceiptKind::Read => Event::MessageRead { id, peer, device },
        });
    }
    Ok(())
}
