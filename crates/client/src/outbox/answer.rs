//! What the server answers.

use prost::Message as _;
use sotto_ids::{AccountUuid, DeviceId};
use sotto_proto::socket as pb;

use super::{content_of, devices};
use crate::{
    ClientError, Event, Message, kinds,
    message_id::{client_msg_id, forget_clock},
    vault::{
        Tx, chains, messages,
        outbox::{self, Entry, What},
        own, retractions,
    },
};

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
pub(super) fn accepted(
    tx: &mut Tx<'_>,
    entry: &Entry,
    server_time_ms: u64,
) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    let content = content_of(tx, &entry.what)?;
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

pub(super) fn fail(tx: &mut Tx<'_>, entry: &Entry, reason: &str) -> Result<(), ClientError> {
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
