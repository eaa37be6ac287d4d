use bytes::Bytes;
use sotto_ids::{ClientMsgId, EnvelopeId};
use sotto_proto::{
    messages::{DeviceRef, Retract, Submit},
    socket::{self, CiphertextType, DeviceMessage, MessageClass, Send},
};
use uuid::Uuid;

use super::Device;

/// A send, before it is sent. Sent again, it is the same one.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) sender: Device,
    pub(crate) to: Vec<Device>,
    pub(crate) id: ClientMsgId,
    pub(crate) app: String,
    pub(crate) body: Bytes,
    pub(crate) ttl_seconds: u32,
    pub(crate) class: MessageClass,
}

impl Letter {
    /// A letter of `socialink`, first tried at `unix_ms`.
    pub(crate) fn new(sender: Device, to: &[Device], unix_ms: u64) -> Self {
        let mut random = [0; 10];
        random.copy_from_slice(&Uuid::new_v4().as_bytes()[..10]);
        Self {
            sender,
            to: to.to_vec(),
            id: ClientMsgId::new(unix_ms, random),
            app: "socialink".to_owned(),
            body: Bytes::from_static(b"sealed"),
            ttl_seconds: 0,
            class: MessageClass::Unspecified,
        }
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn class(mut self, class: MessageClass) -> Self {
        self.class = class;
        self
    }

    pub(crate) fn ttl(mut self, seconds: u32) -> Self {
        self.ttl_seconds = seconds;
        self
    }

    /// The wish of its sender, or of somebody else, that it waits no longer for `devices`.
    pub(crate) fn retraction(
        &self,
        sender: Device,
        devices: &[Device],
        connection: u64,
        frame: u64,
    ) -> Retract {
        Retract {
            connection,
            frame,
            sender: Some(device_ref(sender)),
            retract: Some(socket::Retract {
                client_msg_id: Bytes::copy_from_slice(self.id.as_bytes()),
                recipient: Bytes::copy_from_slice(self.to[0].address.account.as_bytes()),
                device_ids: devices.iter().map(|device| device.address.device.into()).collect(),
            }),
        }
    }

    /// The id that it has in the queue of a device.
    pub(crate) fn envelope_id(&self, device: Device) -> Uuid {
        EnvelopeId::derive(self.sender.address, device.address, self.id).as_uuid()
    }

    pub(crate) fn submit(&self, connection: u64, frame: u64) -> Submit {
        let message = |device: &Device| DeviceMessage {
            device_id: device.address.device.into(),
            registration_id: device.registration_id,
            r#type: CiphertextType::Whisper.into(),
            ciphertext: self.body.clone(),
        };
        Submit {
            connection,
            frame,
            sender: Some(device_ref(self.sender)),
            app: self.app.clone(),
            send: Some(Send {
                client_msg_id: Bytes::copy_from_slice(self.id.as_bytes()),
                recipient: Bytes::copy_from_slice(self.to[0].address.account.as_bytes()),
                messages: self.to.iter().map(message).collect(),
                ttl_seconds: self.ttl_seconds,
                class: self.class.into(),
            }),
        }
    }
}

pub(crate) fn device_ref(device: Device) -> DeviceRef {
    DeviceRef {
        account: Bytes::copy_from_slice(device.address.account.as_bytes()),
        device: device.address.device.into(),
    }
}
