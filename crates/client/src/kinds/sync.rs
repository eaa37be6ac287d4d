//! What one's own devices tell each other.
//!
//! A device that joins later gets what comes after, and nothing of before.

use sotto_ids::AccountId;

use super::{Written, delete, read, receipt};
use crate::{
    ClientError, Phase, ReceiptSettings,
    content::{Content, Head, Kind, Sync},
    message_id::message_id,
    outbox,
    signal::encrypt,
    vault::{Own, Tx, chains, grants, messages, own, tombstones},
};

/// Tells one's other devices, where there are any.
pub(crate) fn tell(tx: &mut Tx<'_>, own: &Own, sync: Sync) -> Result<(), ClientError> {
    let content = Content::new(message_id(tx.now_ms, tx.rng), tx.now_ms, Kind::Sync(sync));
    outbox::enqueue_content(tx, own, own.account.uuid(), &content, outbox::TellOwn::No)
}

/// Somebody was added here: one's other devices look them up too.
pub(crate) fn tell_contact(
    tx: &mut Tx<'_>,
    account: AccountId,
    head: Head,
) -> Result<(), ClientError> {
    match own::find(tx.db)? {
        Some(own) if matches!(own.phase, Phase::Certified | Phase::Ready) => {
            tell(tx, &own, Sync::Contacts(vec![(account, head)]))
        }
        _ => Ok(()),
    }
}

/// Whether the account has another live device than this one.
pub(crate) fn has_others(tx: &Tx<'_>, own: &Own) -> Result<bool, ClientError> {
    let Some((_, state)) = chains::find(tx.db, tx.chains, own.account.uuid())? else {
        return Ok(false);
    };
    Ok(encrypt::targets(own, &state, tx.now_ms).next().is_some())
}

/// The server has taken a content of ours: one's other devices are to have it too.
pub(crate) fn tell_sent(
    tx: &mut Tx<'_>,
    own: &Own,
    recipient: AccountId,
    server_time_ms: u64,
    content: Vec<u8>,
) -> Result<(), ClientError> {
    if recipient == own.account || !has_others(tx, own)? {
        return Ok(());
    }
    let head = chains::find(tx.db, tx.chains, recipient.uuid())?;
    let head = head.map(|(_, state)| Head::of(&state));
    tell(tx, own, Sync::Sent { recipient, head, server_time_ms, content })
}

pub(super) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    content: &Content,
    sync: &Sync,
) -> Result<(), ClientError> {
    if !at.is_own() {
        at.refuse(tx, "not_own");
        return Ok(());
    }
    match sync {
        Sync::Sent { recipient, server_time_ms, content, .. } => {
            take_sent(tx, at, *recipient, *server_time_ms, content)
        }
        Sync::Read(names) => read::take(tx, names, content.sent_at_ms.min(tx.now_ms)),
        Sync::Deleted(names) => {
            for &name in names {
                tombstones::insert(tx.db, name, tx.now_ms)?;
                if let Some(message) = messages::find(tx.db, name)? {
                    delete::purge(tx, name, &message)?;
                    tx.tell(crate::Event::MessageDeleted { id: name.id, peer: message.peer });
                }
            }
            Ok(())
        }
        Sync::Settings { delivered, read } => {
            receipt::apply_switch(tx, ReceiptSettings { delivered: *delivered, read: *read })
        }
        Sync::Grant { account, visibility } => Ok(grants::put(tx.db, account.uuid(), *visibility)?),
        // Their chains are fetched, as a head of each came with them.
        Sync::Contacts(_) | Sync::Unknown => Ok(()),
    }
}

/// Another own device sent something to somebody.
fn take_sent(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    recipient: AccountId,
    server_time_ms: u64,
    raw: &[u8],
) -> Result<(), ClientError> {
    let content = match Content::decode(raw) {
        Ok(content) if is_for_history(&content.kind) => content,
        Ok(_) => {
            at.refuse(tx, "sync_kind");
            return Ok(());
        }
        Err(reason) => {
            at.refuse(tx, reason);
            return Ok(());
        }
    };
    let sent = Written { peer: recipient, server_time_ms, by: at.own.account, ..*at };
    super::take(tx, &sent, &content, raw.to_vec())
}

/// Whether a content belongs to a conversation, rather than to one device.
fn is_for_history(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Body(_)
            | Kind::Unknown
            | Kind::Edit { .. }
            | Kind::Delete { .. }
            | Kind::Reaction { .. }
            | Kind::Vote { .. }
    )
}
