use bytes::Bytes;
use sotto_ids::ClientMsgId;
use sotto_proto::{groups::Submit, socket::GroupSend};
use uuid::Uuid;

use super::{Device, Group, device_ref};

/// A message to a group, before it is sent. Sent again, it is the same one.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) sender: Device,
    pub(crate) group: Group,
    pub(crate) epoch: u64,
    pub(crate) id: ClientMsgId,
    pub(crate) body: usize,
}

impl Letter {
    pub(crate) fn new(sender: Device, group: Group, epoch: u64) -> Self {
        let mut random = [0; 10];
        random.copy_from_slice(&Uuid::new_v4().as_bytes()[..10]);
        Self { sender, group, epoch, id: ClientMsgId::new(1_750_000_000_000, random), body: 20 }
    }

    /// Encrypted again, in another epoch.
    pub(crate) fn in_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// With a ciphertext of that many bytes, at least 64.
    pub(crate) fn body(mut self, bytes: usize) -> Self {
        self.body = bytes;
        self
    }

    pub(crate) fn send(&self) -> GroupSend {
        GroupSend {
            group: Bytes::copy_from_slice(self.group.0.as_bytes()),
            generation: 0,
            epoch: self.epoch,
            client_msg_id: Bytes::copy_from_slice(self.id.as_bytes()),
            message: private_message(&self.group.0.mls_id(0), self.epoch, 1, self.body).into(),
        }
    }

    pub(crate) fn submit(&self, connection: u64, frame: u64) -> Submit {
        let sender = Some(device_ref(self.sender));
        Submit { connection, frame, sender, send: Some(self.send()) }
    }
}

/// A PrivateMessage with this header and no sense (RFC 9420, 6 and 6.3.1).
pub(crate) fn private_message(group: &[u8], epoch: u64, content_type: u8, body: usize) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 2, u8::try_from(group.len()).unwrap()];
    bytes.extend(group);
    bytes.extend(epoch.to_be_bytes());
    // The content type, no authenticated data, the sender data.
    bytes.extend([content_type, 0, 2, 7, 7]);
    // The ciphertext after its length (RFC 9420, 2.1.2).
    match u16::try_from(body) {
        Ok(short @ 0..64) => bytes.push(u8::try_from(short).unwrap()),
        Ok(medium @ 64..16_384) => bytes.extend((medium | 0x4000).to_be_bytes()),
        _ => bytes.extend((u32::try_from(body).unwrap() | 0x8000_0000).to_be_bytes()),
    }
    bytes.extend(vec![8; body]);
    bytes
}
