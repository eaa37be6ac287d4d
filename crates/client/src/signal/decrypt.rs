//! Decrypts what came from a device.

use libsignal_protocol::{
    PreKeySignalMessage, SessionRecord, SignalMessage, SignalProtocolError, message_decrypt_prekey,
    message_decrypt_signal,
};
use sotto_ids::DeviceAddress;
use sotto_proto::socket::CiphertextType;

use super::{at_once, failed, protocol_address, refuse_low_order, stores::Stores, word};
use crate::{
    ClientError,
    vault::{Own, Tx, sessions},
};

/// What became of a ciphertext.
pub(crate) enum Opened {
    /// Its plaintext.
    Plain {
        plaintext: Vec<u8>,
        /// Its number in the ratchet's present chain, from 0: at least so many were
        /// encrypted for us before it.
        before_it: u32,
    },
    /// It was decrypted before.
    Duplicate,
    /// It cannot be read, for the reason named.
    Unreadable(&'static str),
}

/// Decrypts a ciphertext. Nothing of the ratchet changes where it cannot be read.
pub(crate) fn open(
    tx: &mut Tx<'_>,
    own: &Own,
    sender: DeviceAddress,
    kind: CiphertextType,
    ciphertext: &[u8],
) -> Result<Opened, ClientError> {
    match kind {
        CiphertextType::Prekey => open_prekey(tx, own, sender, ciphertext),
        CiphertextType::Whisper => open_whisper(tx, own, sender, ciphertext),
        CiphertextType::Unspecified => Ok(Opened::Unreadable("unknown_ciphertext_type")),
    }
}

fn open_prekey(
    tx: &mut Tx<'_>,
    own: &Own,
    sender: DeviceAddress,
    ciphertext: &[u8],
) -> Result<Opened, ClientError> {
    let message = match PreKeySignalMessage::try_from(ciphertext) {
        Ok(message) => message,
        Err(error) => return Ok(Opened::Unreadable(word(&error))),
    };
    let keys = [message.base_key(), message.message().sender_ratchet_key()];
    if keys.into_iter().any(|key| refuse_low_order(key).is_err()) {
        return Ok(Opened::Unreadable("low_order_key"));
    }
    let stores = Stores::new(tx, own);
    let (mut session_store, mut identity_store) = (stores.clone(), stores.clone());
    let (mut prekey_store, mut kyber_store) = (stores.clone(), stores.clone());
    let decrypted = at_once(message_decrypt_prekey(
        &message,
        &protocol_address(sender),
        &mut session_store,
        &mut identity_store,
        &mut prekey_store,
        &stores.clone(),
        &mut kyber_store,
        tx.rng,
    ));
    finish(tx, sender, stores.check(decrypted)?, message.message().counter())
}

fn open_whisper(
    tx: &mut Tx<'_>,
    own: &Own,
    sender: DeviceAddress,
    ciphertext: &[u8],
) -> Result<Opened, ClientError> {
    let message = match SignalMessage::try_from(ciphertext) {
        Ok(message) => message,
        Err(error) => return Ok(Opened::Unreadable(word(&error))),
    };
    if refuse_low_order(message.sender_ratchet_key()).is_err() {
        return Ok(Opened::Unreadable("low_order_key"));
    }
    let stores = Stores::new(tx, own);
    let (mut session_store, mut identity_store) = (stores.clone(), stores.clone());
    let decrypted = at_once(message_decrypt_signal(
        &message,
        &protocol_address(sender),
        &mut session_store,
        &mut identity_store,
        tx.rng,
    ));
    finish(tx, sender, stores.check(decrypted)?, message.counter())
}

fn finish(
    tx: &Tx<'_>,
    sender: DeviceAddress,
    decrypted: Result<Vec<u8>, SignalProtocolError>,
    before_it: u32,
) -> Result<Opened, ClientError> {
    match decrypted {
        Ok(plaintext) => {
            sessions::set_acknowledged(tx.db, sender, true)?;
            sessions::heard(tx.db, sender)?;
            Ok(Opened::Plain { plaintext, before_it })
        }
        Err(SignalProtocolError::DuplicatedMessage(..)) => Ok(Opened::Duplicate),
        Err(error) => Ok(Opened::Unreadable(word(&error))),
    }
}

/// Gives up the session that a message could not be read in, so that our next
/// message opens a new one and both sides go on. Whoever can make messages
/// unreadable could otherwise wear the ratchet out, so not more often than the
/// setting says. The old state stays for what is still under way.
pub(crate) fn give_up_session(tx: &Tx<'_>, with: DeviceAddress) -> Result<(), ClientError> {
    let pause_ms = u64::try_from(tx.tuning.session_reset.as_millis()).unwrap_or(u64::MAX);
    let Some(record) = sessions::find(tx.db, with)? else {
        return Ok(());
    };
    if !sessions::may_reset(tx.db, with, tx.now_ms, pause_ms)? {
        return Ok(());
    }
    let mut record = SessionRecord::deserialize(&record).map_err(|error| failed(&error))?;
    record.archive_current_state().map_err(|error| failed(&error))?;
    sessions::put(tx.db, with, &record.serialize().map_err(|error| failed(&error))?)?;
    Ok(())
}
