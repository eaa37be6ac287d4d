//! The outbox: messages go in when they are written, are encrypted in order when
//! there is a connection, and stay until the server has answered for them.
//!
//! What was encrypted is sent again byte for byte and under the same id, so that
//! the server stores it once whatever is lost on the way.

mod answer;
mod write;

use std::collections::HashSet;

use prost::Message as _;
use sotto_identity::State;
use sotto_ids::{AccountUuid, DeviceAddress, DeviceId};
use sotto_proto::socket as pb;

use self::answer::{accepted, fail};
pub(crate) use self::{
    answer::{Answer, fail_peer, settle},
    write::{TellOwn, enqueue, enqueue_content},
};
use crate::{
    Body, ClientError, Distrust,
    content::{self, Content, Head, Kind, Reference, timer_seconds},
    message_id::client_msg_id,
    signal::encrypt,
    vault::{
        Own, Tx,
        accounts::{self, Account},
        chains, messages,
        outbox::{self, Entry, What},
        own, retractions, sessions,
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
    /// Whether sends are called back now.
    pub(crate) calls_back: bool,
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
    if !wanted.calls_back {
        return Ok(Vec::new());
    }
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
pub(crate) fn is_held(tx: &Tx<'_>, peer: AccountUuid) -> Result<bool, ClientError> {
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
    let Some(content) = content_of(tx, &entry.what)? else {
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
pub(crate) fn content_of(tx: &Tx<'_>, what: &What) -> Result<Option<Content>, ClientError> {
    let position = match what {
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
