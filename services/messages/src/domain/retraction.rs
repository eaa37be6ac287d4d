use sotto_ids::{
    AccountUuid, ClientMsgId, DeviceAddress, DeviceId, EnvelopeId, limits::MAX_LIVE_DEVICES,
};
use sotto_proto::messages as pb;

use super::{Refusal, device};

/// The wish of a device that the copies of an own send wait no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retraction {
    pub(crate) sender: DeviceAddress,
    /// Where each copy would stand. It cannot name another device's send: the ids
    /// follow from who asks.
    pub(crate) copies: Vec<(DeviceAddress, EnvelopeId)>,
}

impl Retraction {
    /// Reads one as it came from a gateway.
    ///
    /// How old the send is does not matter: what waits that long can be retracted.
    pub(crate) fn check(retract: pb::Retract) -> Result<Self, Refusal> {
        let sender = retract.sender.as_ref().and_then(device).ok_or(Refusal::MalformedSender)?;
        let retract = retract.retract.ok_or(Refusal::NoDevices)?;
        let send = ClientMsgId::try_from(retract.client_msg_id.as_ref())
            .map_err(|_| Refusal::MalformedMessageId)?;
        let recipient = AccountUuid::try_from(retract.recipient.as_ref())
            .map_err(|_| Refusal::MalformedRecipient)?;
        if retract.device_ids.is_empty() {
            return Err(Refusal::NoDevices);
        }
        if retract.device_ids.len() > MAX_LIVE_DEVICES {
            return Err(Refusal::TooManyDevices);
        }
        let mut copies = Vec::with_capacity(retract.device_ids.len());
        for number in retract.device_ids {
            let device = DeviceId::try_from(number).map_err(|_| Refusal::MalformedDeviceId)?;
            let at = DeviceAddress::new(recipient, device);
            if copies.iter().any(|(other, _)| *other == at) {
                return Err(Refusal::DuplicateDevice);
            }
            copies.push((at, EnvelopeId::derive(sender, at, send)));
        }
        Ok(Self { sender, copies })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sotto_ids::AccountId;
    use sotto_proto::socket;

    use super::*;

    fn account(seed: u8) -> AccountUuid {
        AccountId::new([seed; 32]).uuid()
    }

    fn retract() -> pb::Retract {
        let bytes = |account: AccountUuid| Bytes::copy_from_slice(account.as_bytes());
        let id = ClientMsgId::new(1, [1; 10]);
        pb::Retract {
            connection: 1,
            frame: 1,
            sender: Some(pb::DeviceRef { account: bytes(account(1)), device: 1 }),
            retract: Some(socket::Retract {
                client_msg_id: Bytes::copy_from_slice(id.as_bytes()),
                recipient: bytes(account(2)),
                device_ids: vec![1, 2],
            }),
        }
    }

    fn refusal(change: impl FnOnce(&mut socket::Retract)) -> Option<Refusal> {
        let mut wish = retract();
        change(wish.retract.as_mut().unwrap());
        Retraction::check(wish).err()
    }

    #[test]
    fn it_names_the_copies_that_the_send_would_have_made() {
        let retraction = Retraction::check(retract()).unwrap();

        let [first, second] = [1_u32, 2]
            .map(|number| DeviceAddress::new(account(2), DeviceId::try_from(number).unwrap()));
        let id = ClientMsgId::new(1, [1; 10]);
        let expected =
            [first, second].map(|to| (to, EnvelopeId::derive(retraction.sender, to, id)));
        assert_eq!(retraction.copies, expected);
    }

    #[test]
    fn what_is_malformed_is_refused_by_name() {
        let none = refusal(|retract| retract.device_ids.clear());
        assert_eq!(none, Some(Refusal::NoDevices));
        let many = refusal(|retract| retract.device_ids = (1..=11).collect());
        assert_eq!(many, Some(Refusal::TooManyDevices));
        let zero = refusal(|retract| retract.device_ids[0] = 0);
        assert_eq!(zero, Some(Refusal::MalformedDeviceId));
        let twice = refusal(|retract| retract.device_ids[0] = 2);
        assert_eq!(twice, Some(Refusal::DuplicateDevice));
        let id = refusal(|retract| retract.client_msg_id = Bytes::new());
        assert_eq!(id, Some(Refusal::MalformedMessageId));
        let recipient = refusal(|retract| retract.recipient = Bytes::new());
        assert_eq!(recipient, Some(Refusal::MalformedRecipient));
        let mut nobody = retract();
        nobody.sender = None;
        assert_eq!(Retraction::check(nobody), Err(Refusal::MalformedSender));
    }
}
