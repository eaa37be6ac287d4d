//! The outbox: messages go in when they are written, are encrypted in order when
//! there is a connection, and stay until the server has answered for them.
//!
//! What was encrypted is sent again byte for byte and under the same id, so that
//! the server stores it once whatever is lost on the way.

use std::collections::HashSet;

use prost::Message as _;
use sotto_identity::State;
use sotto_ids::{AccountId, AccountUuid};
use sotto_proto::socket as pb;

use crate::{
    Body, ClientError, ConversationId, Direction, Distrust, Event, MessageId, MessageState,
    content::{Content, Head, check_text},
    message_id::{client_msg_id, forget_clock, message_id},
    signal::encrypt,
    vault::{
        Own, Tx,
        accounts::{self, Account},
        chains,
        messages::{self, NewMessage},
        outbox::{self, Entry},
        own, sessions,
    },
};

/// Each so many messages, and while a session is new, a message says how far the
/// chains of both sides go.
const HEADS_EVERY: u64 = 50;

/// Bytes of a frame around a `Send`: its number, and two tags with lengths.
const FRAME_HEAD: usize = 32;

/// Rows that are looked through at a time for one that can be sent.
const LOOK_AHEAD: usize = 512;

/// Puts a text into the history and the outbox.
pub(crate) fn enqueue(
    tx: &mut Tx<'_>,
    to: AccountId,
    text: String,
) -> Result<MessageId, ClientError> {
    check_text(&text)?;
    let own = own::certified(tx.db)?;
    let (peer, state) =
        chains::find(tx.db, tx.chains, to.uuid())?.ok_or(ClientError::UnknownAccount)?;
    if peer.account != to {
        return Err(ClientError::UnknownAccount);
    }
    if peer.frozen {
        return Err(Distrust::Fork.into());
    }
    // A note to oneself on the only device has arrived as soon as it is written.
    let stays_here =
        to == own.account && encrypt::targets(&own, &state, tx.now_ms).next().is_none();
    let id = message_id(tx.now_ms, tx.rng);
    let new = NewMessage {
        id,
        conversation: ConversationId::between(&own.account, &to),
        peer: to,
        direction: Direction::Sent,
        sender: own.address(),
        body: Body::Text(text),
        sent_at_ms: tx.now_ms,
        server_time_ms: None,
        stored_at_ms: tx.now_ms,
        state: if stays_here { MessageState::Accepted } else { MessageState::Queued },
    };
    let message = messages::insert(tx.db, new)?.ok_or(ClientError::Crypto("message_id"))?;
    if !stays_here {
        outbox::insert(tx.db, message.position, peer.uuid)?;
        tx.outbox_changed();
    }
    Ok(id)
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
}

/// What is to be sent, in this order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) sends: Vec<(u64, AccountUuid, pb::Send)>,
    /// Peers with whom there is no session yet.
    pub(crate) strangers: Vec<AccountUuid>,
}

/// Encrypts what comes next, in order for each peer.
pub(crate) fn next_batch(tx: &mut Tx<'_>, mut wanted: Wanted) -> Result<Batch, ClientError> {
    let own = own::certified(tx.db)?;
    let mut batch = Batch::default();
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
    let send = match tx.atomically(|tx| seal(tx, own, (&peer, &state), &entry, wanted)) {
        Ok(Some(send)) => send,
        Ok(None) => return Ok(Ready::Stranger),
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
    let message = messages::at(tx.db, entry.position)?;
    let Body::Text(text) = message.body else {
        return Err(ClientError::Crypto("outbox"));
    };
    let counter = entry.counter.unwrap_or(account.sent + 1);
    let with_heads = counter % HEADS_EVERY == 1 || sessions::any_unacknowledged(tx.db, entry.peer)?;
    let own_head = match (with_heads, chains::find(tx.db, tx.chains, own.account.uuid())?) {
        (true, Some((_, own_state))) => Some(Head::of(&own_state)),
        _ => None,
    };
    let content = Content {
        id: message.id,
        counter,
        sent_at_ms: message.sent_at_ms,
        sender_head: own_head,
        recipient_head: with_heads.then(|| Head::of(peer)),
        text,
    };
    let messages = encrypt::for_account(tx, own, peer, &content.encode())?;
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
        ttl_seconds: 0,
        class: pb::MessageClass::Unspecified.into(),
    };
    outbox::seal(tx.db, entry.seq, counter, id, &send.encode_to_vec())?;
    accounts::set_sent(tx.db, entry.peer, counter)?;
    Ok(Some(send))
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
        Answer::Accepted { server_time_ms } => {
            messages::set_accepted(tx.db, entry.position, Some(server_time_ms))?;
            let message = messages::at(tx.db, entry.position)?;
            outbox::delete(tx.db, seq)?;
            tx.outbox_changed();
            tx.tell(Event::MessageAccepted { id: message.id, peer: message.peer, server_time_ms });
        }
        Answer::Encrypt => outbox::unseal(tx.db, seq)?,
        Answer::Rename { server_now_ms } => rename(tx, &entry, server_now_ms)?,
        Answer::Failed { reason } => fail(tx, &entry, &reason)?,
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
    messages::set_failed(tx.db, entry.position, reason)?;
    let message = messages::at(tx.db, entry.position)?;
    outbox::delete(tx.db, entry.seq)?;
    tx.outbox_changed();
    tx.tell(Event::MessageFailed { id: message.id, peer: message.peer, reason: reason.to_owned() });
    Ok(())
}
