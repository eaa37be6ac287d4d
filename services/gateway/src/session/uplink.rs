//! What a session wants from the messages service, as the stream carries it.

use bytes::Bytes;
use sotto_ids::{ConnectionId, DeviceAddress, EnvelopeId};
use sotto_proto::{
    messages::{self, Acknowledge, DeviceRef, Pull, Submit, uplink::Item},
    socket::{Retract, Send},
};

use super::io::Identity;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    connection: ConnectionId,
    address: DeviceAddress,
    device: DeviceRef,
    app: String,
}

impl Asker {
    pub(crate) fn new(connection: ConnectionId, identity: &Identity) -> Self {
        let device = DeviceRef {
            account: Bytes::copy_from_slice(identity.device.account.as_bytes()),
            device: identity.device.device.into(),
        };
        Self { connection, address: identity.device, device, app: identity.app.clone() }
    }

    /// Who asks.
    pub(crate) const fn address(&self) -> DeviceAddress {
        self.address
    }

    /// The app that the device's token was bought with.
    pub(crate) fn app(&self) -> &str {
        &self.app
    }

    pub(crate) fn submit(&self, frame: u64, send: Send) -> Item {
        Item::Submit(Submit {
            connection: self.connection.0,
            frame,
            sender: Some(self.device.clone()),
            app: self.app.clone(),
            send: Some(send),
        })
    }

    pub(crate) fn retract(&self, frame: u64, retract: Retract) -> Item {
        Item::Retract(messages::Retract {
            connection: self.connection.0,
            frame,
            sender: Some(self.device.clone()),
            retract: Some(retract),
        })
    }

    pub(crate) fn acknowledge(&self, ids: &[EnvelopeId]) -> Item {
        let envelope_ids = bytes_of(ids);
        Item::Acknowledge(Acknowledge { device: Some(self.device.clone()), envelope_ids })
    }

    pub(crate) fn pull(&self, in_flight: &[EnvelopeId], limit: u32) -> Item {
        Item::Pull(Pull {
            connection: self.connection.0,
            device: Some(self.device.clone()),
            in_flight: bytes_of(in_flight),
            limit,
        })
    }
}

/// The ids in one piece of memory, cut up.
fn bytes_of(ids: &[EnvelopeId]) -> Vec<Bytes> {
    let mut all = Vec::with_capacity(ids.len() * 16);
    for id in ids {
        all.extend_from_slice(id.as_bytes());
    }
    let mut all = Bytes::from(all);
    ids.iter().map(|id| all.split_to(id.as_bytes().len())).collect()
}
