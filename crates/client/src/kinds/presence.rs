//! Typing and presence: said to those who were granted it, in messages that are never
//! stored, and held true for two heartbeats at most. The server has no part in it.

use std::time::Duration;

use sotto_ids::{AccountId, AccountUuid};
use sotto_proto::socket as pb;

use super::{Written, sync};
use crate::{
    ClientError, Event, Visibility,
    content::{Content, Kind, Sync, pad},
    message_id::{client_msg_id, message_id},
    outbox,
    signal::encrypt,
    vault::{Tx, chains, grants, own, presence, sessions},
};

/// Last seen is said to the hour.
const LAST_SEEN_MS: u64 = 3_600_000;

/// Ephemeral contents for a device that says nothing itself. Each is a step of the ratchet,
/// whether it arrives or not, and a receiver gives up at 25,000 steps that it missed: the
/// messages that wait for a device have to find room in these too.
const MOST_UNHEARD: u64 = 10_000;

/// Sets what a contact may see of us, here and on one's other devices.
pub(crate) fn grant(
    tx: &mut Tx<'_>,
    account: AccountId,
    visibility: Visibility,
) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    chains::find(tx.db, tx.chains, account.uuid())?.ok_or(ClientError::UnknownAccount)?;
    grants::put(tx.db, account.uuid(), visibility)?;
    sync::tell(tx, &own, Sync::Grant { account, visibility })
}

/// That we are writing to somebody, or no longer; `None` where they may not see it, or
/// it cannot be said now.
pub(crate) fn typing(
    tx: &mut Tx<'_>,
    to: AccountId,
    typing: bool,
    server_now_ms: u64,
) -> Result<Option<pb::Send>, ClientError> {
    if !grants::of(tx.db, to.uuid())?.typing {
        return Ok(None);
    }
    seal(tx, to.uuid(), Kind::Typing { typing }, server_now_ms)
}

/// That this device is here, or goes: to each of those who may see it.
pub(crate) fn announce(
    tx: &mut Tx<'_>,
    online: bool,
    server_now_ms: u64,
) -> Result<Vec<pb::Send>, ClientError> {
    let last_seen_ms = if online { 0 } else { tx.now_ms - tx.now_ms % LAST_SEEN_MS };
    let mut sends = Vec::new();
    for watcher in grants::watchers(tx.db)? {
        let kind = Kind::Presence { online, last_seen_ms };
        sends.extend(seal(tx, watcher, kind, server_now_ms)?);
    }
    Ok(sends)
}

/// Encrypts something that is not worth keeping; `None` where there is not a session
/// with each device that has seen something that counts, or one of them has not been heard
/// of for too many of these.
fn seal(
    tx: &mut Tx<'_>,
    to: AccountUuid,
    kind: Kind,
    server_now_ms: u64,
) -> Result<Option<pb::Send>, ClientError> {
    let own = own::certified(tx.db)?;
    let Some((peer, state)) = chains::find(tx.db, tx.chains, to)? else {
        return Ok(None);
    };
    let mut targets = encrypt::targets(&own, &state, tx.now_ms).peekable();
    if peer.frozen || outbox::is_held(tx, to)? || targets.peek().is_none() {
        return Ok(None);
    }
    for (device, _) in targets {
        if !sessions::is_counted(tx.db, device)?
            || sessions::unheard(tx.db, device)? >= MOST_UNHEARD
        {
            return Ok(None);
        }
    }
    let content = Content::new(message_id(tx.now_ms, tx.rng), tx.now_ms, kind);
    let messages = encrypt::for_account(tx, &own, &state, &pad(content.encode()))?;
    if messages.is_empty() {
        return Ok(None);
    }
    for (device, _) in encrypt::targets(&own, &state, tx.now_ms) {
        sessions::count_unheard(tx.db, device)?;
    }
    Ok(Some(pb::Send {
        client_msg_id: client_msg_id(tx, server_now_ms)?.as_bytes().to_vec().into(),
        recipient: to.as_bytes().to_vec().into(),
        messages,
        ttl_seconds: 0,
        class: pb::MessageClass::Ephemeral.into(),
    }))
}

pub(super) fn take_typing(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    typing: bool,
) -> Result<(), ClientError> {
    if at.is_own() {
        return Ok(());
    }
    let until_ms = typing.then(|| holds_until(tx));
    presence::set_typing(tx.db, at.author, until_ms)?;
    tell(tx, at.peer)
}

pub(super) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    online: bool,
    last_seen_ms: u64,
) -> Result<(), ClientError> {
    if at.is_own() {
        return Ok(());
    }
    if online {
        presence::set_online(tx.db, at.author, holds_until(tx))?;
    } else {
        presence::set_gone(tx.db, at.author, last_seen_ms.min(tx.now_ms))?;
    }
    tell(tx, at.peer)
}

/// Ends what was not said again in time.
pub(crate) fn end(tx: &mut Tx<'_>, now_ms: u64) -> Result<(), ClientError> {
    for uuid in presence::end(tx.db, now_ms)? {
        if let Some((peer, _)) = chains::find(tx.db, tx.chains, uuid)? {
            tell(tx, peer.account)?;
        }
    }
    Ok(())
}

fn holds_until(tx: &Tx<'_>) -> u64 {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    tx.now_ms.saturating_add(ms(tx.tuning.presence_heartbeat).saturating_mul(2))
}

fn tell(tx: &mut Tx<'_>, peer: AccountId) -> Result<(), ClientError> {
    let presence = presence::of(tx.db, peer.uuid(), tx.now_ms)?;
    tx.chores_changed();
    tx.tell(Event::Presence { peer, presence });
    Ok(())
}
