//! Messages for groups: they go in when they are written, are encrypted in order when there
//! is a connection, and stay until the server has answered for them.
//!
//! A message that came too late for its epoch is encrypted again in the next, under the same
//! name, so that the server stores it once whatever is lost on the way.

use std::collections::HashSet;

use prost::Message as _;
use sotto_ids::{GroupId, limits::MAX_GROUP_MESSAGE_BYTES};
use sotto_proto::socket::GroupSend;

use super::{credential::signer, find, find_usable, open};
use crate::{
    Body, ClientError, ConversationId, Direction, Draft, Event, GroupStanding, MessageId,
    MessageState,
    content::{self, Content, Kind, timer_seconds},
    draft::ExpireAfter,
    kinds,
    message_id::{client_msg_id, message_id},
    outbox::content_of,
    vault::{
        Own, Tx,
        group_outbox::{self, Entry},
        messages::{self, NewMessage, Stored},
        outbox::What,
        own, timers,
    },
};

/// Groups that are looked through at a time for one that something can be sent to.
const LOOK_AHEAD: usize = 512;

/// Puts a message into the history and the outbox.
pub(crate) fn enqueue(
    tx: &mut Tx<'_>,
    group: GroupId,
    draft: Draft,
) -> Result<MessageId, ClientError> {
    content::check(&draft.body)?;
    let own = own::certified(tx.db)?;
    writable(tx, group)?;
    let conversation = ConversationId::of_group(group);
    let expire_after_s = match draft.expire_after {
        _ if matches!(draft.body, Body::TimerChanged { .. }) => 0,
        ExpireAfter::Own(after) => timer_seconds(after)?,
        ExpireAfter::AsConversation => timers::seconds(tx.db, conversation)?,
    };
    let reply_to = match draft.reply_to {
        Some(id) => Some(messages::first(tx.db, id)?.ok_or(ClientError::UnknownMessage)?.0),
        None => None,
    };
    let sent_at_ms = match draft.body {
        Body::TimerChanged { .. } => match timers::set_ms(tx.db, conversation)? {
            Some(before_ms) => tx.now_ms.max(before_ms + 1),
            None => tx.now_ms,
        },
        _ => tx.now_ms,
    };
    let id = message_id(tx.now_ms, tx.rng);
    let kind = Kind::Body(draft.body);
    let content = Content { expire_after_s, reply_to, ..Content::new(id, sent_at_ms, kind) };
    let new = NewMessage {
        id,
        conversation,
        peer: own.account,
        group: Some((group, None)),
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
        state: MessageState::Queued,
    };
    let message = messages::insert(tx.db, new)?.ok_or(ClientError::Crypto("message_id"))?;
    kinds::message::written_to_group(tx, &own, group, &content)?;
    group_outbox::insert(tx.db, group, &What::Message(message.position))?;
    tx.outbox_changed();
    Ok(id)
}

/// Puts something into the outbox that does not stand in the history.
pub(crate) fn enqueue_content(
    tx: &mut Tx<'_>,
    group: GroupId,
    content: &Content,
) -> Result<(), ClientError> {
    writable(tx, group)?;
    group_outbox::insert(tx.db, group, &What::Content(content.encode()))?;
    tx.outbox_changed();
    Ok(())
}

/// A group that this device may say something in.
fn writable(tx: &Tx<'_>, group: GroupId) -> Result<(), ClientError> {
    match find_usable(tx, group)?.standing {
        GroupStanding::Leaving => Err(ClientError::UnknownGroup),
        _ => Ok(()),
    }
}

/// What can be sent now.
#[derive(Default)]
pub(super) struct Next {
    /// Each with the number of its row.
    pub(super) sends: Vec<(u64, GroupId, GroupSend)>,
    /// Groups in which something was proposed, so that a commit has to come first (RFC 9420,
    /// 12.4).
    pub(super) blocked: Vec<GroupId>,
}

/// Encrypts what comes first in each group, but for those in `busy`.
pub(super) fn next(
    tx: &mut Tx<'_>,
    busy: &HashSet<GroupId>,
    room: usize,
    server_now_ms: u64,
) -> Result<Next, ClientError> {
    let own = own::certified(tx.db)?;
    let mut next = Next::default();
    for entry in group_outbox::firsts(tx.db, LOOK_AHEAD)? {
        if next.sends.len() >= room {
            break;
        }
        if busy.contains(&entry.group) {
            continue;
        }
        match tx.atomically(|tx| seal(tx, &own, &entry, server_now_ms)) {
            Ok(Sealed::Send(send)) => next.sends.push((entry.seq, entry.group, send)),
            Ok(Sealed::Later) => {}
            Ok(Sealed::Blocked) => next.blocked.push(entry.group),
            Ok(Sealed::Gone) => {
                group_outbox::delete(tx.db, entry.seq)?;
                tx.outbox_changed();
            }
            Err(error) if error.is_of_the_store() => return Err(error),
            Err(error) => fail(tx, &entry, error.reason())?,
        }
    }
    Ok(next)
}

enum Sealed {
    Send(GroupSend),
    /// Not as the group stands now.
    Later,
    Blocked,
    /// Its message was deleted.
    Gone,
}

fn seal(
    tx: &mut Tx<'_>,
    own: &Own,
    entry: &Entry,
    server_now_ms: u64,
) -> Result<Sealed, ClientError> {
    if let Some(sealed) = &entry.sealed {
        let send = GroupSend::decode(sealed.as_slice());
        return send.map(Sealed::Send).map_err(|_| ClientError::Crypto("outbox"));
    }
    let mut row = find(tx, entry.group)?;
    match row.standing {
        GroupStanding::Member if row.refused.is_none() => {}
        GroupStanding::Left | GroupStanding::Removed => {
            return Err(ClientError::UnknownGroup);
        }
        _ => return Ok(Sealed::Later),
    }
    let Some(content) = content_of(tx, &entry.what)? else {
        return Ok(Sealed::Gone);
    };
    let mut open = open::take(tx, &row)?;
    if open.mls.pending_proposals().next().is_some() {
        open::put_back(tx, &row, open);
        return Ok(Sealed::Blocked);
    }
    let message = open
        .mls
        .create_message(&open.provider, &signer(own), &content::pad(content.encode()))
        .ok()
        .and_then(|message| message.to_bytes().ok())
        .ok_or(ClientError::Crypto("group_message"))?;
    if message.len() > MAX_GROUP_MESSAGE_BYTES {
        return Err(ClientError::Limit("frame_too_large"));
    }
    let id = match entry.client_msg_id {
        Some(id) => id,
        None => client_msg_id(tx, server_now_ms)?,
    };
    let send = GroupSend {
        group: entry.group.as_bytes().to_vec().into(),
        generation: row.generation,
        epoch: open.mls.epoch().as_u64(),
        client_msg_id: id.as_bytes().to_vec().into(),
        message: message.into(),
    };
    open::keep(tx, &mut row, open)?;
    group_outbox::seal(tx.db, entry.seq, id, &send.encode_to_vec())?;
    Ok(Sealed::Send(send))
}

/// The server has a message; it may be told so twice, by its answer and by the log.
pub(super) fn accepted(
    tx: &mut Tx<'_>,
    own: &Own,
    entry: &Entry,
    seq: u64,
    server_time_ms: u64,
) -> Result<(), ClientError> {
    if let What::Message(position) = entry.what {
        messages::set_accepted(tx.db, position, server_time_ms, None)?;
        messages::set_group_seq(tx.db, position, seq)?;
        kinds::message::start_timer(tx, position, tx.now_ms)?;
        let id = messages::at(tx.db, position)?.id;
        tx.tell(Event::MessageAccepted { id, peer: own.account, server_time_ms });
    }
    group_outbox::delete(tx.db, entry.seq)?;
    tx.outbox_changed();
    Ok(())
}

/// The server's answer to a row: it is in the log.
pub(super) fn answered(
    tx: &mut Tx<'_>,
    row: u64,
    seq: u64,
    server_time_ms: u64,
) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    match group_outbox::find(tx.db, row)? {
        Some(entry) => accepted(tx, &own, &entry, seq, server_time_ms),
        None => Ok(()),
    }
}

/// A row was refused for good.
pub(super) fn refused(tx: &mut Tx<'_>, row: u64, reason: &str) -> Result<(), ClientError> {
    match group_outbox::find(tx.db, row)? {
        Some(entry) => fail(tx, &entry, reason),
        None => Ok(()),
    }
}

fn fail(tx: &mut Tx<'_>, entry: &Entry, reason: &str) -> Result<(), ClientError> {
    if let What::Message(position) = entry.what {
        messages::set_failed(tx.db, position, reason)?;
        let message = messages::at(tx.db, position)?;
        let (id, peer) = (message.id, message.peer);
        tx.tell(Event::MessageFailed { id, peer, reason: reason.to_owned() });
    }
    group_outbox::delete(tx.db, entry.seq)?;
    tx.outbox_changed();
    Ok(())
}

/// Nothing goes to this group any more.
pub(super) fn fail_all(tx: &mut Tx<'_>, group: GroupId, reason: &str) -> Result<(), ClientError> {
    for entry in group_outbox::of_group(tx.db, group)? {
        fail(tx, &entry, reason)?;
    }
    Ok(())
}

/// What was encrypted for this group is of no use any more.
pub(super) fn unseal_all(tx: &Tx<'_>, group: GroupId) -> Result<(), ClientError> {
    for entry in group_outbox::of_group(tx.db, group)? {
        group_outbox::unseal(tx.db, entry.seq)?;
    }
    Ok(())
}
