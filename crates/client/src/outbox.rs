//! The outbox: messages go in when they are written, are encrypted in order when
//! there is a connection, and stay until the server has answered for them.
//!
//! What was encrypted is sent again byte for byte and under the same id, so that
//! the server stores it once whatever is lost on the way.

use std::{collections::HashSet, sync::Arc, time::Duration};

use prost::Message as _;
use sotto_identity::State;
use sotto_ids::{AccountId, AccountUuid, DeviceAddress, DeviceId};
use sotto_proto::socket::{self as pb, MessageClass};

use crate::{
    Body, ClientError, ConversationId, Direction, Distrust, Draft, Event, Message, MessageId,
    MessageState,
    content::{self, Content, Head, Kind, Reference, timer_seconds},
    draft::ExpireAfter,
    kinds,
    message_id::{client_msg_id, forget_clock, message_id},
    signal::encrypt,
    vault::{
        Own, Tx,
        accounts::{self, Account},
        chains,
        messages::{self, NewMessage, Stored},
        outbox::{self, Entry, NewEntry, What},
        own, retractions, sessions, timers,
    },
};

/// Each so many messages, and while a session is new, a message says how far the
/// chains of both sides go.
const HEADS_EVERY: u64 = 50;

/// Bytes of a frame around a `Send`: its number, and two tags with lengths.
const FRAME_HEAD: usize = 32;

/// Our word for a row that is not sent, since its message was deleted.
const DELETED: &str = "deleted";

/// Calls-back that are on their way at once, at most.
const RETRACTIONS: usize = 16;

/// Rows that are looked through at a time for one that can be sent.
const LOOK_AHEAD: usize = 512;

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
    // A note to oneself on the only device has arrived as soon as it is written.
    let stays_here =
        to == own.account && encrypt::targets(&own, &state, tx.now_ms).next().is_none();
    let id = message_id(tx.now_ms, tx.rng);
    let kind = Kind::Body(draft.body);
    let content = Content { expire_after_s, reply_to, ..Content::new(id, tx.now_ms, kind) };
    let new = NewMessage {
        id,
        conversation,
        peer: to,
        direction: Direction::Sent,
        sender: own.address(),
        body: match &content.kind {
            Kind::Body(Body::Text(text)) => Stored::Text(text.clone()),
            _ => Stored::Content(content.encode()),
        },
        reply_to,
        expire_after_s,
        sent_at_ms: tx.now_ms,
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
fn reachable(tx: &Tx<'_>, to: AccountUuid) -> Result<(Account, Arc<State>), ClientError> {
    let (peer, state) = chains::find(tx.db, tx.chains, to)?.ok_or(ClientError::UnknownAccount)?;
    if peer.frozen {
        return Err(Distrust::Fork.into());
    }
    Ok((peer, state))
}

/// What the sender is to be given next.
pub(crate) struct Wanted {
    /// Sends at most.
    pub(crate) room: usize,
    /// Rows that are on their way.
    pub(crate) in_flight: HashSet<u64>,
    /// Peers that are not sent to at present.
    pub(crate) halted: HashSet<AccountUuid>,
    /// The server's clock, as far as it is known.
    pub(crate) server_now_ms: u64,
    /// Bytes of the largest frame that the server takes.
    pub(crate) max_frame: usize,
    /// Calls-back that are on their way.
    pub(crate) retracting: HashSet<u64>,
}

/// What is to be sent, in this order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) sends: Vec<(u64, AccountUuid, pb::Send)>,
    /// Peers with whom there is no session yet.
    pub(crate) strangers: Vec<AccountUuid>,
    /// Sends whose waiting copies are called back, each with its number here.
    pub(crate) retracts: Vec<(u64, pb::Retract)>,
}

/// Encrypts what comes next, in order for each peer.
pub(crate) fn next_batch(tx: &mut Tx<'_>, mut wanted: Wanted) -> Result<Batch, ClientError> {
    let own = own::certified(tx.db)?;
    let mut batch = Batch { retracts: retracts(tx, &wanted)?, ..Batch::default() };
    let mut after = 0;
    loop {
        let rows = outbox::queue_after(tx.db, after, LOOK_AHEAD)?;
        let Some(&(last, _)) = rows.last() else {
            return Ok(batch);
        };
        after = last;
        for (seq, peer) in rows {
            if batch.sends.len() >= wanted.room {
                return Ok(batch);
            }
            if wanted.in_flight.contains(&seq) || wanted.halted.contains(&peer) {
                continue;
            }
            if is_held(tx, peer)? {
                wanted.halted.insert(peer);
                continue;
            }
            match ready(tx, &own, seq, &wanted)? {
                Ready::Send(send) => batch.sends.push((seq, peer, send)),
                Ready::Gone => {}
                Ready::Stranger => {
                    wanted.halted.insert(peer);
                    batch.strangers.push(peer);
                }
            }
        }
    }
}

fn retracts(tx: &Tx<'_>, wanted: &Wanted) -> Result<Vec<(u64, pb::Retract)>, ClientError> {
    let due = retractions::list(tx.db, RETRACTIONS)?;
    let due = due.into_iter().filter(|one| !wanted.retracting.contains(&one.seq));
    let retract = |one: retractions::Retraction| {
        let retract = pb::Retract {
            client_msg_id: one.client_msg_id.into(),
            recipient: one.peer.as_bytes().to_vec().into(),
            device_ids: one.devices.into_iter().map(u32::from).collect(),
        };
        (one.seq, retract)
    };
    Ok(due.map(retract).collect())
}

/// A call-back was answered: it is done, or will never be.
pub(crate) fn retracted(tx: &Tx<'_>, seq: u64) -> Result<(), ClientError> {
    Ok(retractions::delete(tx.db, seq)?)
}

/// Whether the peer's account key is another one, and no person has agreed to it yet.
fn is_held(tx: &Tx<'_>, peer: AccountUuid) -> Result<bool, ClientError> {
    let holds = tx.tuning.on_identity_change == crate::OnIdentityChange::Hold;
    Ok(holds && accounts::find(tx.db, peer)?.is_some_and(|account| account.key_changed))
}

enum Ready {
    Send(pb::Send),
    Stranger,
    Gone,
}

fn ready(tx: &mut Tx<'_>, own: &Own, seq: u64, wanted: &Wanted) -> Result<Ready, ClientError> {
    if let Some(sealed) = outbox::sealed(tx.db, seq)? {
        let send = pb::Send::decode(sealed.as_slice());
        return send.map(Ready::Send).map_err(|_| ClientError::Crypto("outbox"));
    }
    let Some(entry) = outbox::find(tx.db, seq)? else {
        return Ok(Ready::Gone);
    };
    let Some((peer, state)) = chains::find(tx.db, tx.chains, entry.peer)? else {
        return Ok(Ready::Stranger);
    };
    if peer.frozen {
        fail(tx, &entry, Distrust::Fork.reason())?;
        return Ok(Ready::Gone);
    }
    if peer.account == own.account && encrypt::targets(own, &state, tx.now_ms).next().is_none() {
        // The devices that it was for are gone.
        accepted(tx, &entry, wanted.server_now_ms)?;
        return Ok(Ready::Gone);
    }
    let send = match tx.atomically(|tx| seal(tx, own, (&peer, &state), &entry, wanted)) {
        Ok(Some(send)) => send,
        Ok(None) => return Ok(Ready::Stranger),
        Err(ClientError::Crypto(DELETED)) => {
            outbox::delete(tx.db, seq)?;
            tx.outbox_changed();
            return Ok(Ready::Gone);
        }
        Err(ClientError::Crypto(word)) => {
            fail(tx, &entry, word)?;
            return Ok(Ready::Gone);
        }
        Err(error) => return Err(error),
    };
    if send.encoded_len() + FRAME_HEAD > wanted.max_frame {
        fail(tx, &entry, "frame_too_large")?;
        return Ok(Ready::Gone);
    }
    Ok(Ready::Send(send))
}

/// Encrypts a row; `None` where there is a session with no device of the peer.
fn seal(
    tx: &mut Tx<'_>,
    own: &Own,
    (account, peer): (&Account, &State),
    entry: &Entry,
    wanted: &Wanted,
) -> Result<Option<pb::Send>, ClientError> {
    let Some(content) = content_of(tx, entry)? else {
        return Err(ClientError::Crypto(DELETED));
    };
    let counter = entry.counter.unwrap_or(account.sent + 1);
    let with_heads = counter % HEADS_EVERY == 1
        || content.kind == Kind::IdentityChanged
        || sessions::any_unacknowledged(tx.db, entry.peer)?;
    let own_head = match (with_heads, chains::find(tx.db, tx.chains, own.account.uuid())?) {
        (true, Some((_, own_state))) => Some(Head::of(&own_state)),
        _ => None,
    };
    let content = Content {
        counter,
        sender_head: own_head,
        recipient_head: with_heads.then(|| Head::of(peer)),
        ..content
    };
    let messages = encrypt::for_account(tx, own, peer, &content::pad(content.encode()))?;
    if messages.is_empty() {
        return Ok(None);
    }
    let id = match entry.client_msg_id {
        Some(id) => id,
        None => client_msg_id(tx, wanted.server_now_ms)?,
    };
    let send = pb::Send {
        client_msg_id: id.as_bytes().to_vec().into(),
        recipient: entry.peer.as_bytes().to_vec().into(),
        messages,
        ttl_seconds: entry.ttl_s,
        class: entry.class,
    };
    for device in devices(&send) {
        sessions::set_counted(tx.db, DeviceAddress::new(entry.peer, device))?;
    }
    outbox::seal(tx.db, entry.seq, counter, id, &send.encode_to_vec())?;
    accounts::set_sent(tx.db, entry.peer, counter)?;
    Ok(Some(send))
}

/// What a row says; `None` where it was deleted before it went out.
fn content_of(tx: &Tx<'_>, entry: &Entry) -> Result<Option<Content>, ClientError> {
    let position = match &entry.what {
        What::Message(position) => *position,
        What::Content(content) => {
            let content = Content::decode(content).map_err(|_| ClientError::Crypto("outbox"))?;
            return Ok(Some(content));
        }
    };
    let message = messages::at(tx.db, position)?;
    if message.body == Body::Deleted {
        return Ok(None);
    }
    let reply_to = message.reply_to.map(|to| Reference { author: to.author, id: to.id });
    Ok(Some(Content {
        expire_after_s: timer_seconds(message.expire_after)?,
        reply_to,
        ..Content::new(message.id, message.sent_at_ms, Kind::Body(message.body))
    }))
}

/// The devices that a send is for.
fn devices(send: &pb::Send) -> impl Iterator<Item = DeviceId> + use<'_> {
    send.messages.iter().filter_map(|one| DeviceId::try_from(one.device_id).ok())
}

/// How the server answered for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is durable.
    Accepted { server_time_ms: u64 },
    /// It goes to other devices than those it was encrypted for. It keeps its id,
    /// so that a device that had it already drops it.
    Encrypt,
    /// Its id is too far from the server's clock, which shows this time.
    Rename { server_now_ms: u64 },
    /// It is refused for good.
    Failed { reason: String },
}

/// Notes how the server answered.
pub(crate) fn settle(tx: &mut Tx<'_>, seq: u64, answer: Answer) -> Result<(), ClientError> {
    let Some(entry) = outbox::find(tx.db, seq)? else {
        return Ok(());
    };
    match answer {
        Answer::Accepted { server_time_ms } => accepted(tx, &entry, server_time_ms)?,
        Answer::Encrypt => outbox::unseal(tx.db, seq)?,
        Answer::Rename { server_now_ms } => rename(tx, &entry, server_now_ms)?,
        Answer::Failed { reason } => fail(tx, &entry, &reason)?,
    }
    Ok(())
}

/// It is durable at the server.
fn accepted(tx: &mut Tx<'_>, entry: &Entry, server_time_ms: u64) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    let content = content_of(tx, entry)?;
    if let What::Message(position) = entry.what {
        let sealed = outbox::sealed(tx.db, entry.seq)?;
        let send = sealed.and_then(|sealed| pb::Send::decode(sealed.as_slice()).ok());
        let sent_to: Vec<u8> = send.iter().flat_map(devices).map(DeviceId::as_u8).collect();
        let sent = entry.client_msg_id.map(|id| (id, sent_to.as_slice()));
        messages::set_accepted(tx.db, position, server_time_ms, sent)?;
        kinds::message::start_timer(tx, position, tx.now_ms)?;
        if let Some((id, devices)) = sent.filter(|_| content.is_none()) {
            // Deleted while it was on its way.
            retractions::insert(tx.db, id, entry.peer, devices)?;
        }
        let Message { id, peer, .. } = messages::at(tx.db, position)?;
        tx.tell(Event::MessageAccepted { id, peer, server_time_ms });
    }
    outbox::delete(tx.db, entry.seq)?;
    tx.outbox_changed();
    let peer = chains::find(tx.db, tx.chains, entry.peer)?;
    if let (true, Some(content), Some((peer, _))) = (entry.tell_own, content, peer) {
        kinds::sync::tell_sent(tx, &own, peer.account, server_time_ms, content.encode())?;
    }
    Ok(())
}

/// Gives a send another id; its ciphertexts stay.
fn rename(tx: &mut Tx<'_>, entry: &Entry, server_now_ms: u64) -> Result<(), ClientError> {
    let (Some(sealed), Some(counter)) = (outbox::sealed(tx.db, entry.seq)?, entry.counter) else {
        return Ok(());
    };
    if entry.client_msg_id.is_some_and(|id| id.unix_ms() > server_now_ms) {
        // Our clock was ahead; ids that follow on from it would all be refused.
        forget_clock(tx)?;
    }
    let mut send =
        pb::Send::decode(sealed.as_slice()).map_err(|_| ClientError::Crypto("outbox"))?;
    let id = client_msg_id(tx, server_now_ms)?;
    send.client_msg_id = id.as_bytes().to_vec().into();
    Ok(outbox::seal(tx.db, entry.seq, counter, id, &send.encode_to_vec())?)
}

/// Gives up everything for a peer that cannot be sent to.
pub(crate) fn fail_peer(
    tx: &mut Tx<'_>,
    peer: AccountUuid,
    reason: &str,
) -> Result<(), ClientError> {
    for entry in outbox::of_peer(tx.db, peer)? {
        fail(tx, &entry, reason)?;
    }
    Ok(())
}

fn fail(tx: &mut Tx<'_>, entry: &Entry, reason: &str) -> Result<(), ClientError> {
    outbox::delete(tx.db, entry.seq)?;
    tx.outbox_changed();
    let Some(position) = entry.what.position() else {
        tracing::info!(reason, "something other than a message was refused for good");
        return Ok(());
    };
    messages::set_failed(tx.db, position, reason)?;
    let Message { id, peer, .. } = messages::at(tx.db, position)?;
    tx.tell(Event::MessageFailed { id, peer, reason: reason.to_owned() });
    Ok(())
}
