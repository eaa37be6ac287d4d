use bytes::Bytes;
use openmls::prelude::{ContentType, ProtocolMessage};
use sotto_ids::{
    AccountUuid, ClientMsgId, DeviceAddress, DeviceId, GroupId, limits::MAX_GROUP_MESSAGE_BYTES,
};
use sotto_mls::wire;
use sotto_proto::{
    groups::DeviceRef,
    socket::{GroupEntry, GroupEntryKind, GroupSend},
};

use super::{Epoch, Refusal};

/// A well-formed message to a group. Nothing is known yet of the group.
#[derive(Debug, Clone)]
pub(crate) struct Send {
    pub(crate) sender: DeviceAddress,
    pub(crate) group: GroupId,
    /// The epoch in which it was encrypted.
    pub(crate) at: Epoch,
    pub(crate) id: ClientMsgId,
    pub(crate) message: Bytes,
}

impl Send {
    /// Checks what can be seen without the group: above all that the header of the message
    /// says what its sender does. What is in it nobody here can read.
    ///
    /// # Errors
    ///
    /// Those of the form.
    pub(crate) fn check(sender: DeviceAddress, send: GroupSend) -> Result<Self, Refusal> {
        let id = ClientMsgId::try_from(send.client_msg_id.as_ref())
            .map_err(|_| Refusal::MalformedMessageId)?;
        // What is no id names no group.
        let group = GroupId::try_from(send.group.as_ref()).map_err(|_| Refusal::NoSuchGroup)?;
        let at = Epoch { generation: send.generation, epoch: send.epoch };
        if send.message.len() > MAX_GROUP_MESSAGE_BYTES {
            return Err(Refusal::MessageTooLarge);
        }
        if !is_message_of(&send.message, group, at) {
            return Err(Refusal::MalformedGroupMessage);
        }
        Ok(Self { sender, group, at, id, message: send.message })
    }

    /// What it is in the log.
    pub(crate) fn entry(&self, seq: u64, server_time_ms: u64) -> GroupEntry {
        GroupEntry {
            seq,
            kind: GroupEntryKind::Message.into(),
            generation: self.at.generation,
            epoch: self.at.epoch,
            message: self.message.clone(),
            client_msg_id: Bytes::copy_from_slice(self.id.as_bytes()),
            server_time_ms,
            sealed_metadata: Bytes::new(),
        }
    }
}

/// Reads the header of a PrivateMessage (RFC 9420, 6.3).
fn is_message_of(message: &[u8], group: GroupId, at: Epoch) -> bool {
    let Ok(ProtocolMessage::PrivateMessage(message)) = wire::protocol_message(message) else {
        return false;
    };
    message.content_type() == ContentType::Application
        && message.group_id().as_slice() == group.mls_id(at.generation)
        && message.epoch().as_u64() == at.epoch
}

/// The device that a gateway names, if it is one.
pub(crate) fn device(named: &DeviceRef) -> Option<DeviceAddress> {
    let account = AccountUuid::try_from(named.account.as_ref()).ok()?;
    Some(DeviceAddress::new(account, DeviceId::try_from(named.device).ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use sotto_ids::AccountId;

    use super::*;

    const AT: Epoch = Epoch { generation: 3, epoch: 300 };

    /// A PrivateMessage with this header and no sense (RFC 9420, 6 and 6.3.1).
    pub(crate) fn message(group: &[u8], epoch: u64, content_type: u8) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 2, u8::try_from(group.len()).unwrap()];
        bytes.extend(group);
        bytes.extend(epoch.to_be_bytes());
        // The content type, no authenticated data, the sender data and the ciphertext.
        bytes.extend([content_type, 0, 2, 7, 7, 3, 8, 8, 8]);
        bytes
    }

    fn group() -> GroupId {
        GroupId::new([5; 16])
    }

    fn send(message: Vec<u8>) -> GroupSend {
        GroupSend {
            group: Bytes::copy_from_slice(group().as_bytes()),
            generation: AT.generation,
            epoch: AT.epoch,
            client_msg_id: Bytes::copy_from_slice(ClientMsgId::new(1, [1; 10]).as_bytes()),
            message: message.into(),
        }
    }

    fn check(send: GroupSend) -> Result<Send, Refusal> {
        let device = DeviceAddress::new(AccountId::new([1; 32]).uuid(), DeviceId::FIRST);
        Send::check(device, send)
    }

    #[test]
    fn a_message_whose_header_says_what_the_frame_says_passes() {
        let passed = check(send(message(&group().mls_id(3), 300, 1))).unwrap();
        assert_eq!((passed.group, passed.at), (group(), AT));
    }

    #[test]
    fn a_header_that_says_anything_else_is_refused() {
        let right = message(&group().mls_id(3), 300, 1);
        let mut longer = right.clone();
        longer.push(0);
        let mut of_another_wire_format = right.clone();
        of_another_wire_format[3] = 1;
        let wrong = [
            message(&group().mls_id(2), 300, 1),
            message(&GroupId::new([6; 16]).mls_id(3), 300, 1),
            message(group().as_bytes(), 300, 1),
            message(&group().mls_id(3), 299, 1),
            message(&group().mls_id(3), 300, 2),
            message(&group().mls_id(3), 300, 3),
            message(&group().mls_id(3), 300, 9),
            right[..right.len() - 1].to_vec(),
            longer,
            of_another_wire_format,
            b"hello".to_vec(),
            Vec::new(),
        ];
        for wrong in wrong {
            assert_eq!(check(send(wrong)).unwrap_err(), Refusal::MalformedGroupMessage);
        }
    }

    #[test]
    fn the_rest_of_the_frame_is_checked_as_well() {
        let right = || send(message(&group().mls_id(3), 300, 1));
        let too_large = send(vec![0; MAX_GROUP_MESSAGE_BYTES + 1]);
        let of_no_group = GroupSend { group: vec![7; 15].into(), ..right() };
        let without_id = GroupSend { client_msg_id: vec![7; 16].into(), ..right() };

        assert_eq!(check(too_large).unwrap_err(), Refusal::MessageTooLarge);
        assert_eq!(check(of_no_group).unwrap_err(), Refusal::NoSuchGroup);
        assert_eq!(check(without_id).unwrap_err(), Refusal::MalformedMessageId);
    }
}
