//! To whom a device writes.

use prost::bytes::Bytes;
use sotto_ids::{AccountUuid, ClientMsgId};
use sotto_proto::socket::{CiphertextType, DeviceMessage, Send};

use super::content;
use crate::oracle::Letter;

/// An account, as those know it who write to it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) account: AccountUuid,
    /// Its live devices: their number in the account, their registration id, and their
    /// number in the run.
    pub(super) devices: Vec<(u32, u32, u32)>,
}

/// A message on its way: one ciphertext for each device.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) send: Send,
    pub(super) letters: Vec<Letter>,
}

/// Makes a message for all devices of a peer.
pub(super) fn write(
    from: u32,
    peer: &Peer,
    number: u64,
    id: ClientMsgId,
    length: usize,
) -> Outgoing {
    let ciphertext = content::write(from, number, length);
    let messages = peer
        .devices
        .iter()
        .map(|&(device_id, registration_id, _)| DeviceMessage {
            device_id,
            registration_id,
            r#type: CiphertextType::Whisper.into(),
            ciphertext: ciphertext.clone(),
        })
        .collect();
    let letters = peer.devices.iter().map(|&(_, _, to)| Letter { from, to, number }).collect();
    let send = Send {
        client_msg_id: Bytes::copy_from_slice(id.as_bytes()),
        recipient: Bytes::copy_from_slice(peer.account.as_bytes()),
        messages,
        ..Send::default()
    };
    Outgoing { send, letters }
}
