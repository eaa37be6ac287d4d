use bytes::Bytes;
use sotto_ids::{
    AccountUuid, ClientMsgId, DeviceAddress, DeviceId,
    limits::{MAX_CIPHERTEXT_BYTES, MAX_LIVE_DEVICES},
};
use sotto_proto::{
    messages as pb,
    socket::{self, CiphertextType},
};

use super::{Class, Refusal};

/// A send that is well-formed. Whether its recipient has these devices is another
/// question.
#[derive(Debug, Clone)]
pub(crate) struct Send {
    pub(crate) sender: DeviceAddress,
    pub(crate) app: String,
    pub(crate) id: ClientMsgId,
    pub(crate) recipient: AccountUuid,
    /// `None` for the longest.
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) class: Class,
    /// At least one, each of another device.
    pub(crate) messages: Vec<Ciphertext>,
}

/// What one device gets.
#[derive(Debug, Clone)]
pub(crate) struct Ciphertext {
    pub(crate) device: DeviceId,
    pub(crate) registration_id: u32,
    pub(crate) kind: CiphertextType,
    pub(crate) bytes: Bytes,
}

/// What a send is measured by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) clock_ahead_ms: u64,
    pub(crate) clock_behind_ms: u64,
    pub(crate) longest_ttl_ms: u64,
    /// Bytes of one ciphertext that is not stored.
    pub(crate) ephemeral_bytes: usize,
}

/// Reads a send as it came from a gateway.
pub(crate) fn check(
    submit: pb::Submit,
    server_time_ms: u64,
    rules: &Rules,
) -> Result<Send, Refusal> {
    let sender = submit.sender.as_ref().and_then(device).ok_or(Refusal::MalformedSender)?;
    let send = submit.send.ok_or(Refusal::NoMessages)?;
    let id = ClientMsgId::try_from(send.client_msg_id.as_ref())
        .map_err(|_| Refusal::MalformedMessageId)?;
    let earliest = server_time_ms.saturating_sub(rules.clock_behind_ms);
    let latest = server_time_ms.saturating_add(rules.clock_ahead_ms);
    if !(earliest..=latest).contains(&id.unix_ms()) {
        return Err(Refusal::ClockSkew { server_time_ms });
    }
    let recipient =
        AccountUuid::try_from(send.recipient.as_ref()).map_err(|_| Refusal::MalformedRecipient)?;
    let ttl_ms = match u64::from(send.ttl_seconds) * 1000 {
        0 => None,
        ttl_ms if ttl_ms <= rules.longest_ttl_ms => Some(ttl_ms),
        _ => return Err(Refusal::TtlTooLong { max_seconds: rules.longest_ttl_ms / 1000 }),
    };
    let class = Class::read(send.class).ok_or(Refusal::UnknownClass)?;
    let messages = ciphertexts(send.messages)?;
    if class == Class::Ephemeral {
        if ttl_ms.is_some() {
            return Err(Refusal::EphemeralTtl);
        }
        let max_bytes = rules.ephemeral_bytes;
        if messages.iter().any(|message| message.bytes.len() > max_bytes) {
            return Err(Refusal::EphemeralTooLarge { max_bytes });
        }
    }
    Ok(Send { sender, app: submit.app, id, recipient, ttl_ms, class, messages })
}

/// The device that a gateway names; `None` where it is malformed.
pub(crate) fn device(named: &pb::DeviceRef) -> Option<DeviceAddress> {
    let account = AccountUuid::try_from(named.account.as_ref()).ok()?;
    let device = DeviceId::try_from(named.device).ok()?;
    Some(DeviceAddress::new(account, device))
}

fn ciphertexts(messages: Vec<socket::DeviceMessage>) -> Result<Vec<Ciphertext>, Refusal> {
    if messages.is_empty() {
        return Err(Refusal::NoMessages);
    }
    if messages.len() > MAX_LIVE_DEVICES {
        return Err(Refusal::TooManyDevices);
    }
    let mut checked: Vec<Ciphertext> = Vec::with_capacity(messages.len());
    for message in messages {
        let kind = match message.r#type() {
            CiphertextType::Unspecified => return Err(Refusal::UnknownCiphertextType),
            kind @ (CiphertextType::Whisper | CiphertextType::Prekey) => kind,
        };
        let device =
            DeviceId::try_from(message.device_id).map_err(|_| Refusal::MalformedDeviceId)?;
        if checked.iter().any(|other| other.device == device) {
            return Err(Refusal::DuplicateDevice);
        }
        match message.ciphertext.len() {
            0 => return Err(Refusal::EmptyCiphertext),
            1..=MAX_CIPHERTEXT_BYTES => {}
            _ => return Err(Refusal::CiphertextTooLarge),
        }
        checked.push(Ciphertext {
            device,
            registration_id: message.registration_id,
            kind,
            bytes: message.ciphertext,
        });
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use sotto_ids::AccountId;

    use super::*;

    const NOW: u64 = 1_750_000_000_000;
    const RULES: Rules = Rules {
        clock_ahead_ms: 300_000,
        clock_behind_ms: 86_400_000,
        longest_ttl_ms: 2_592_000_000,
        ephemeral_bytes: 4096,
    };

    fn account(seed: u8) -> Bytes {
        Bytes::copy_from_slice(AccountId::new([seed; 32]).uuid().as_bytes())
    }

    fn id(unix_ms: u64) -> Bytes {
        Bytes::copy_from_slice(ClientMsgId::new(unix_ms, [1; 10]).as_bytes())
    }

    fn message(device_id: u32) -> socket::DeviceMessage {
        socket::DeviceMessage {
            device_id,
            registration_id: 5,
            r#type: CiphertextType::Whisper.into(),
            ciphertext: Bytes::from_static(b"sealed"),
        }
    }

    fn submit() -> pb::Submit {
        pb::Submit {
            connection: 1,
            frame: 1,
            sender: Some(pb::DeviceRef { account: account(1), device: 1 }),
            app: "socialink".to_owned(),
            send: Some(socket::Send {
                client_msg_id: id(NOW),
                recipient: account(2),
                messages: vec![message(1), message(2)],
                ttl_seconds: 0,
                class: 0,
            }),
        }
    }

    fn refusal(change: impl FnOnce(&mut socket::Send)) -> Option<Refusal> {
        let mut submit = submit();
        change(submit.send.as_mut().unwrap());
        check(submit, NOW, &RULES).err()
    }

    #[test]
    fn a_well_formed_send_passes() {
        let send = check(submit(), NOW, &RULES).unwrap();

        assert_eq!(send.messages.len(), 2);
        assert_eq!(send.ttl_ms, None);
        assert_eq!(send.id.unix_ms(), NOW);
    }

    #[test]
    fn what_is_malformed_is_refused_by_name() {
        let skew = Some(Refusal::ClockSkew { server_time_ms: NOW });
        assert_eq!(
            refusal(|send| send.client_msg_id = Bytes::new()),
            Some(Refusal::MalformedMessageId)
        );
        assert_eq!(refusal(|send| send.recipient = id(NOW)), Some(Refusal::MalformedRecipient));
        assert_eq!(refusal(|send| send.client_msg_id = id(NOW + 300_001)), skew);
        assert_eq!(refusal(|send| send.client_msg_id = id(NOW - 86_400_001)), skew);
        assert_eq!(refusal(|send| send.messages.clear()), Some(Refusal::NoMessages));
        assert_eq!(refusal(|send| send.messages[1].device_id = 1), Some(Refusal::DuplicateDevice));
        assert_eq!(
            refusal(|send| send.messages[1].device_id = 0),
            Some(Refusal::MalformedDeviceId)
        );
        assert_eq!(
            refusal(|send| send.messages = (1..=11).map(message).collect()),
            Some(Refusal::TooManyDevices)
        );
        assert_eq!(
            refusal(|send| send.messages[0].r#type = 0),
            Some(Refusal::UnknownCiphertextType)
        );
        assert_eq!(
            refusal(|send| send.messages[0].r#type = 1),
            Some(Refusal::UnknownCiphertextType)
        );
        assert_eq!(
            refusal(|send| send.messages[0].ciphertext = Bytes::new()),
            Some(Refusal::EmptyCiphertext)
        );
        assert_eq!(
            refusal(|send| send.ttl_seconds = 2_592_001),
            Some(Refusal::TtlTooLong { max_seconds: 2_592_000 })
        );
    }

    #[test]
    fn the_bounds_themselves_pass() {
        let largest = Bytes::from(vec![1; MAX_CIPHERTEXT_BYTES]);
        let larger = Bytes::from(vec![1; MAX_CIPHERTEXT_BYTES + 1]);

        assert_eq!(refusal(|send| send.client_msg_id = id(NOW + 300_000)), None);
        assert_eq!(refusal(|send| send.client_msg_id = id(NOW - 86_400_000)), None);
        assert_eq!(refusal(|send| send.ttl_seconds = 2_592_000), None);
        assert_eq!(refusal(|send| send.messages = (1..=10).map(message).collect()), None);
        assert_eq!(refusal(|send| send.messages[0].ciphertext = largest), None);
        assert_eq!(
            refusal(|send| send.messages[0].ciphertext = larger),
            Some(Refusal::CiphertextTooLarge)
        );
    }

    #[test]
    fn what_is_not_stored_is_small_and_has_no_time_to_live() {
        let ephemeral = |send: &mut socket::Send| send.class = 2;
        let of = |bytes: usize| {
            move |send: &mut socket::Send| {
                send.class = 2;
                send.messages[1].ciphertext = Bytes::from(vec![1; bytes]);
            }
        };

        assert_eq!(refusal(ephemeral), None);
        assert_eq!(refusal(of(4096)), None);
        let too_large = Refusal::EphemeralTooLarge { max_bytes: 4096 };
        assert_eq!(refusal(of(4097)), Some(too_large));
        let with_ttl = refusal(|send| (send.class, send.ttl_seconds) = (2, 1));
        assert_eq!(with_ttl, Some(Refusal::EphemeralTtl));
        assert_eq!(refusal(|send| send.class = 3), Some(Refusal::UnknownClass));
    }

    #[test]
    fn a_submit_without_a_sender_is_refused() {
        let mut nobody = submit();
        nobody.sender = None;
        assert_eq!(check(nobody, NOW, &RULES).unwrap_err(), Refusal::MalformedSender);
    }
}
