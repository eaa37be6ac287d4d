//! Encrypts for the devices of an account.

use libsignal_protocol::{CiphertextMessageType, SignalProtocolError, message_encrypt};
use sotto_identity::State;
use sotto_ids::DeviceAddress;
use sotto_proto::socket as pb;

use super::{at_once, protocol_address, stores::Stores, word};
use crate::{
    ClientError,
    clock::system_time,
    vault::{Own, Tx, sessions},
};

/// The devices that a message to this account is for: those that its chain has
/// live, without the one that we are.
pub(crate) fn targets<'s>(
    own: &Own,
    peer: &'s State,
    now_ms: u64,
) -> impl Iterator<Item = (DeviceAddress, u32)> + use<'s> {
    let (uuid, own) = (peer.account_id.uuid(), own.address());
    peer.live_devices()
        .filter(move |device| device.is_live_at(now_ms))
        .map(move |device| (DeviceAddress::new(uuid, device.id), device.registration_id))
        .filter(move |(address, _)| *address != own)
}

/// Encrypts once for each device of the account that there is a session with; the
/// server names those that are left out. Empty where there is none.
pub(crate) fn for_account(
    tx: &mut Tx<'_>,
    own: &Own,
    peer: &State,
    plaintext: &[u8],
) -> Result<Vec<pb::DeviceMessage>, ClientError> {
    let mut messages = Vec::new();
    for (address, registration_id) in targets(own, peer, tx.now_ms) {
        let stores = Stores::new(tx, own);
        let (mut session_store, mut identity_store) = (stores.clone(), stores.clone());
        let encrypted = at_once(message_encrypt(
            plaintext,
            &protocol_address(address),
            &mut session_store,
            &mut identity_store,
            system_time(tx.now_ms),
            tx.rng,
        ));
        let ciphertext = match stores.check(encrypted)? {
            Ok(ciphertext) => ciphertext,
            Err(SignalProtocolError::SessionNotFound(_)) => continue,
            Err(error) => {
                // The server will name the device as left out, and a new bundle
                // opens a new session.
                tracing::warn!(reason = word(&error), "a session is void");
                sessions::delete(tx.db, address)?;
                continue;
            }
        };
        let kind = match ciphertext.message_type() {
            CiphertextMessageType::PreKey => pb::CiphertextType::Prekey,
            CiphertextMessageType::Whisper => pb::CiphertextType::Whisper,
            _ => return Err(ClientError::Crypto("ciphertext_type")),
        };
        messages.push(pb::DeviceMessage {
            device_id: address.device.into(),
            registration_id,
            r#type: kind.into(),
            ciphertext: ciphertext.serialize().to_vec().into(),
        });
    }
    Ok(messages)
}
