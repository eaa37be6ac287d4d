//! What goes in.

use std::{sync::Arc, time::Duration};

use sotto_identity::State;
use sotto_ids::{AccountId, AccountUuid};
use sotto_proto::socket::MessageClass;

use crate::{
    Body, ClientError, ConversationId, Direction, Distrust, Draft, MessageId, MessageState,
    content::{self, Content, Kind, timer_seconds},
    draft::ExpireAfter,
    kinds,
    message_id::message_id,
    signal::encrypt,
    vault::{
        Own, Tx,
        accounts::Account,
        chains,
        messages::{self, NewMessage, Stored},
        outbox::{self, NewEntry, What},
        own, timers,
    },
};

/// Puts a message into the history and the outbox.
pub(crate) fn enqueue(
    tx: &mut Tx<'_>,
    to: AccountId,
    draft: Draft,
) -> Result<MessageId, ClientError> {
    content::check(&draft.body)?;
    let own = own::certified(tx.db)?;
    let (peer, state) = reachable(tx, to.uuid())?;
    if peer.account != to {
        return Err(ClientError::UnknownAccount);
    }
    let conversation = ConversationId::between(&own.account, &to);
    let expire_after_s = match draft.expire_after {
        _ if matches!(draft.body, Body::TimerChanged { .. }) => 0,
        ExpireAfter::Own(after) => timer_seconds(after)?,
        ExpireAfter::AsConversation => timers::seconds(tx.db, conversation)?,
    };
    let reply_to = match draft.reply_to {
        Some(id) => Some(messages::first(tx.db, id)?.ok_or(ClientError::UnknownMessage)?.0),
        None => None,
    };
    // A change of the timer counts, whatever the clock of the one before it said.
    let sent_at_ms = match draft.body {
        Body::TimerChanged { .. } => match timers::set_ms(tx.db, conversation)? {
            Some(before_ms) => tx.now_ms.max(before_ms + 1),
            None => tx.now_ms,
        },
        _ => tx.now_ms,
    };
    // A note to oneself on the only device has arrived as soon as it is written.
    let stays_here =
        to == own.account && encrypt::targets(&own, &state, tx.now_ms).next().is_none();
    let id = message_id(tx.now_ms, tx.rng);
    let kind = Kind::Body(draft.body);
    let content = Content { expire_after_s, reply_to, ..Content::new(id, sent_at_ms, kind) };
    let new = NewMessage {
        id,
        conversation,
        peer: to,
        group: None,
        direction: Direction::Sent,
        sender: own.address(),
        body: match &content.kind {
            Kind::Body(Body::Text(text)) => Stored::Text(text.clone()),
            _ => Stored::Content(content.encode()),
        },
        reply_to,
        expire_after_s,
        sent_at_ms,
        server_time_ms: None,
        stored_at_ms: tx.now_ms,
        read_at_ms: None,
        state: if stays_here { MessageState::Accepted } else { MessageState::Queued },
    };
    let message = messages::insert(tx.db, new)?.ok_or(ClientError::Crypto("message_id"))?;
    kinds::message::written(tx, &own, to, &content)?;
    if stays_here {
        kinds::message::start_timer(tx, message.position, tx.now_ms)?;
        return Ok(id);
    }
    let urgent = if draft.urgent { MessageClass::Urgent } else { MessageClass::Unspecified };
    let entry = NewEntry {
        what: What::Message(message.position),
        peer: peer.uuid,
        class: urgent.into(),
        ttl_s: queue_ttl(tx, draft.queue_ttl, expire_after_s)?,
        tell_own: to != own.account,
    };
    outbox::insert(tx.db, &entry)?;
    tx.outbox_changed();
    Ok(id)
}

/// How long copies may wait at the server; 0 for as long as it lets them. Those of what
/// deletes itself do not wait for much longer than they would have stayed.
fn queue_ttl(
    tx: &Tx<'_>,
    wanted: Option<Duration>,
    expire_after_s: u32,
) -> Result<u32, ClientError> {
    let least_s = u32::try_from(tx.tuning.expiring_queue_ttl.as_secs()).unwrap_or(u32::MAX);
    match wanted {
        Some(ttl) => u32::try_from(ttl.as_secs())
            .ok()
            .filter(|&seconds| seconds > 0)
            .ok_or(ClientError::Limit("queue_ttl")),
        None if expire_after_s > 0 => Ok(expire_after_s.max(least_s)),
        None => Ok(0),
    }
}

/// Whether one's other devices are told of a content, once the server has taken it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TellOwn {
    Yes,
    No,
}

/// Puts something into the outbox that does not stand in the history. What is for
/// one's other devices goes nowhere where there are none.
pub(crate) fn enqueue_content(
    tx: &mut Tx<'_>,
    own: &Own,
    to: AccountUuid,
    content: &Content,
    tell_own: TellOwn,
) -> Result<(), ClientError> {
    let (peer, state) = reachable(tx, to)?;
    let is_own = peer.account == own.account;
    if is_own && encrypt::targets(own, &state, tx.now_ms).next().is_none() {
        return Ok(());
    }
    let entry = NewEntry {
        what: What::Content(content.encode()),
        peer: to,
        class: MessageClass::Unspecified.into(),
        ttl_s: 0,
        tell_own: tell_own == TellOwn::Yes && !is_own,
    };
    outbox::insert(tx.db, &entry)?;
    tx.outbox_changed();
    Ok(())
}

/// An account that may be written to.
pub(crate) fn reachable(
    tx: &Tx<'_>,
    to: AccountUuid,
) -> Result<(Account, Arc<State>), ClientError> {
    let (peer, state) = chains::find(tx.db, tx.chains, to)?.ok_or(ClientError::UnknownAccount)?;
    if peer.frozen {
        return Err(Distrust::Fork.into());
    }
    Ok((peer, state))
}
