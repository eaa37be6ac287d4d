use sotto_ids::DeviceId;
use sotto_proto::socket;

use super::Send;

/// What keys says of an account: its live devices, those that can be written to with
/// their registration ids, and the apps that it is bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeviceSet {
    pub(crate) devices: Vec<(DeviceId, u32)>,
    /// They have published no prekeys yet.
    pub(crate) unready: Vec<DeviceId>,
    pub(crate) apps: Vec<String>,
}

/// How the devices of a send differ from those that the recipient has. Each list is
/// sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) missing: Vec<u32>,
    pub(crate) extra: Vec<u32>,
    pub(crate) stale: Vec<u32>,
}

impl DeviceSet {
    /// Whether the account has this device, and others can write to it.
    pub(crate) fn has(&self, device: DeviceId) -> bool {
        self.devices.iter().any(|(other, _)| *other == device)
    }

    /// Whether the account has this device at all. One that was revoked never comes
    /// back: its number is not given out again.
    pub(crate) fn has_live(&self, device: DeviceId) -> bool {
        self.has(device) || self.unready.contains(&device)
    }

    /// Whether it has a live device that `now` has not.
    pub(crate) fn has_more_than(&self, now: &Self) -> bool {
        let devices = self.devices.iter().map(|(device, _)| device).chain(&self.unready);
        devices.into_iter().any(|device| !now.has_live(*device))
    }

    /// Compares. `None` where the send is for exactly these devices.
    ///
    /// A device that writes to its own account does not write to itself.
    pub(crate) fn mismatch(&self, send: &Send) -> Option<Mismatch> {
        let own = (send.recipient == send.sender.account).then_some(send.sender.device);
        let expected = || self.devices.iter().filter(|(device, _)| Some(*device) != own);
        let named = |device: DeviceId| send.messages.iter().any(|message| message.device == device);

        let mut mismatch = Mismatch {
            missing: expected()
                .filter(|(device, _)| !named(*device))
                .map(|&(device, _)| device.into())
                .collect(),
            ..Mismatch::default()
        };
        for message in &send.messages {
            match expected().find(|(device, _)| *device == message.device) {
                None => mismatch.extra.push(message.device.into()),
                Some(&(_, now)) if now != message.registration_id => {
                    mismatch.stale.push(message.device.into());
                }
                Some(_) => {}
            }
        }
        mismatch.missing.sort_unstable();
        mismatch.extra.sort_unstable();
        mismatch.stale.sort_unstable();
        (mismatch != Mismatch::default()).then_some(mismatch)
    }
}

impl From<Mismatch> for socket::DeviceMismatch {
    fn from(mismatch: Mismatch) -> Self {
        Self { missing: mismatch.missing, extra: mismatch.extra, stale: mismatch.stale }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use sotto_ids::{AccountId, ClientMsgId, DeviceAddress};
    use sotto_proto::socket::CiphertextType;

    use super::{
        super::{Ciphertext, Class},
        *,
    };

    pub(in crate::domain) fn device(number: u32) -> DeviceId {
        DeviceId::try_from(number).unwrap()
    }

    pub(in crate::domain) fn set(devices: &[(u32, u32)]) -> DeviceSet {
        DeviceSet {
            devices: devices.iter().map(|&(number, id)| (device(number), id)).collect(),
            unready: Vec::new(),
            apps: vec!["vignette".to_owned()],
        }
    }

    /// A send of device 1 of account 1.
    pub(in crate::domain) fn send(to_account: u8, devices: &[(u32, u32)]) -> Send {
        Send {
            sender: DeviceAddress::new(AccountId::new([1; 32]).uuid(), device(1)),
            app: "socialink".to_owned(),
            id: ClientMsgId::new(1_750_000_000_000, [1; 10]),
            recipient: AccountId::new([to_account; 32]).uuid(),
            ttl_ms: None,
            class: Class::Normal,
            messages: devices
                .iter()
                .map(|&(number, registration_id)| Ciphertext {
                    device: device(number),
                    registration_id,
                    kind: CiphertextType::Whisper,
                    bytes: Bytes::from_static(b"sealed"),
                })
                .collect(),
        }
    }

    #[test]
    fn the_same_devices_match_in_any_order() {
        let set = set(&[(1, 10), (2, 20), (3, 30)]);
        assert_eq!(set.mismatch(&send(2, &[(3, 30), (1, 10), (2, 20)])), None);
    }

    #[test]
    fn each_difference_is_named() {
        let set = set(&[(5, 50), (1, 10), (2, 20), (3, 30)]);

        let mismatch = set.mismatch(&send(2, &[(9, 90), (7, 70), (2, 21), (1, 10)])).unwrap();

        assert_eq!(mismatch.missing, [3, 5]);
        assert_eq!(mismatch.extra, [7, 9]);
        assert_eq!(mismatch.stale, [2]);
    }

    #[test]
    fn a_device_does_not_write_to_itself() {
        let set = set(&[(1, 10), (2, 20)]);
        assert_eq!(set.mismatch(&send(1, &[(2, 20)])), None);

        let to_itself = set.mismatch(&send(1, &[(1, 10), (2, 20)])).unwrap();
        assert_eq!(to_itself, Mismatch { extra: vec![1], ..Mismatch::default() });
    }
}
