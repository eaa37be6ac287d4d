//! What contents do: each kind, as it comes from others and as it is written here.
//!
//! What one wrote oneself and what another own device wrote go the same way as what
//! comes from a contact, so that all devices end with the same. What changes a message
//! names it by its author too, and may come before it: then it waits in its table. Of
//! two changes that contradict each other the newer counts, by the writers' clocks.

pub(crate) mod delete;
pub(crate) mod edit;
pub(crate) mod identity;
pub(crate) mod message;
pub(crate) mod presence;
pub(crate) mod reaction;
pub(crate) mod read;
pub(crate) mod receipt;
pub(crate) mod sync;
pub(crate) mod vote;

use sotto_ids::{AccountId, DeviceAddress, GroupId};

use crate::{
    ClientError, ConversationId, Event, Message, MessageId,
    content::{Content, Kind, Reference},
    groups,
    message_id::message_id,
    outbox,
    vault::{Own, Tx, messages, own, stamp::Stamp},
};

/// Who wrote a content, and where it belongs.
pub(crate) struct Written<'a> {
    pub(crate) own: &'a Own,
    /// The device that wrote it.
    pub(crate) author: DeviceAddress,
    /// Its account.
    pub(crate) by: AccountId,
    /// Whom the conversation is with.
    pub(crate) peer: AccountId,
    /// The group, where it is one, and where it stands in the log of that.
    pub(crate) group: Option<(GroupId, Option<u64>)>,
    pub(crate) server_time_ms: u64,
    pub(crate) stored_at_ms: u64,
}

impl<'a> Written<'a> {
    /// Written on this device, just now.
    fn here(own: &'a Own, peer: AccountId, now_ms: u64) -> Self {
        Self {
            own,
            author: own.address(),
            by: own.account,
            peer,
            group: None,
            server_time_ms: now_ms,
            stored_at_ms: now_ms,
        }
    }

    fn conversation(&self) -> ConversationId {
        match self.group {
            Some((group, _)) => ConversationId::of_group(group),
            None => ConversationId::between(&self.own.account, &self.peer),
        }
    }

    fn is_own(&self) -> bool {
        self.by == self.own.account
    }

    fn stamp(&self, content: &Content) -> Stamp {
        Stamp { by: self.by, written_ms: content.sent_at_ms, id: content.id }
    }

    /// A content that makes no sense from this writer is dropped, and that is told.
    fn refuse(&self, tx: &mut Tx<'_>, reason: &str) {
        tx.tell(Event::ContentRefused { peer: self.peer, reason: reason.to_owned() });
    }
}

/// Takes in a content whose turn has come. `raw` is what it was read from.
pub(crate) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    content: &Content,
    raw: Vec<u8>,
) -> Result<(), ClientError> {
    match &content.kind {
        Kind::Body(_) | Kind::Unknown => message::take(tx, at, content, raw),
        Kind::Edit { target, text } => edit::take(tx, at, content, *target, text),
        Kind::Delete { target } => delete::take(tx, at, *target),
        Kind::Reaction { target, emoji } => {
            reaction::take(tx, at, content, *target, emoji.as_deref())
        }
        Kind::Vote { target, options } => vote::take(tx, at, content, *target, options),
        Kind::Receipt { kind, ids } => receipt::take(tx, at, content, *kind, ids),
        // The head that comes with it was compared when it arrived.
        Kind::IdentityChanged => Ok(()),
        Kind::Typing { typing } => presence::take_typing(tx, at, *typing),
        Kind::Presence { online, last_seen_ms } => presence::take(tx, at, *online, *last_seen_ms),
        Kind::Sync(sync) => sync::take(tx, at, content, sync),
    }
}

/// Does something to a message here, and sends it on: to the other side, and to one's
/// other devices once the server has taken it.
fn change(
    tx: &mut Tx<'_>,
    own: &Own,
    message: &Message,
    sent_at_ms: u64,
    kind: Kind,
) -> Result<(), ClientError> {
    let content = Content::new(message_id(tx.now_ms, tx.rng), sent_at_ms, kind);
    let at = Written::here(own, message.peer, tx.now_ms);
    if let Some(group) = message.group {
        let at = Written { group: Some((group, None)), ..at };
        take(tx, &at, &content, Vec::new())?;
        return groups::outbox::enqueue_content(tx, group, &content);
    }
    take(tx, &at, &content, Vec::new())?;
    outbox::enqueue_content(tx, own, message.peer.uuid(), &content, outbox::TellOwn::Yes)
}

/// The message with this id, and its full name.
pub(crate) fn find(tx: &Tx<'_>, id: MessageId) -> Result<(Reference, Message), ClientError> {
    messages::first(tx.db, id)?.ok_or(ClientError::UnknownMessage)
}

/// The own message with this id.
fn find_own(tx: &Tx<'_>, id: MessageId) -> Result<(Own, Reference, Message), ClientError> {
    let own = own::certified(tx.db)?;
    let name = Reference { author: own.account.uuid(), id };
    match messages::find(tx.db, name)? {
        Some(message) => Ok((own, name, message)),
        None if messages::first(tx.db, id)?.is_some() => Err(ClientError::NotAuthor),
        None => Err(ClientError::UnknownMessage),
    }
}
