use bytes::Bytes;
use prost::Message as _;
use sotto_ids::{DeviceAddress, EnvelopeId};
use sotto_proto::socket;

use super::{Rules, Send};

/// One envelope as it will stand in the queue of one device.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) recipient: DeviceAddress,
    pub(crate) id: EnvelopeId,
    /// Milliseconds since 1970.
    pub(crate) expires_at_ms: u64,
    /// It has a life of its own, shorter than that of its partition.
    pub(crate) short: bool,
    /// An encoded `sotto.socket.v1.Envelope`.
    pub(crate) envelope: Bytes,
}

/// The rows of a send that is taken at `server_time_ms`, one for each device.
pub(crate) fn rows(send: Send, server_time_ms: u64, rules: &Rules) -> Vec<Row> {
    let Send { sender, id: send_id, recipient, ttl_ms, class, messages, .. } = send;
    let life_ms = ttl_ms.unwrap_or(rules.longest_ttl_ms);
    let sender_account = Bytes::copy_from_slice(sender.account.as_bytes());
    messages
        .into_iter()
        .map(|message| {
            let recipient = DeviceAddress::new(recipient, message.device);
            let id = EnvelopeId::derive(sender, recipient, send_id);
            let envelope = socket::Envelope {
                id: Bytes::copy_from_slice(id.as_bytes()),
                sender: sender_account.clone(),
                sender_device: sender.device.into(),
                r#type: message.kind.into(),
                ciphertext: message.bytes,
                server_time_ms,
                class: socket::MessageClass::from(class).into(),
            };
            Row {
                recipient,
                id,
                expires_at_ms: server_time_ms.saturating_add(life_ms),
                short: life_ms < rules.longest_ttl_ms,
                envelope: envelope.encode_to_vec().into(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Class,
            device_set::tests::{device, send},
        },
        *,
    };

    const RULES: Rules = Rules {
        clock_ahead_ms: 1,
        clock_behind_ms: 1,
        longest_ttl_ms: 1_000_000,
        ephemeral_bytes: 4096,
    };

    #[test]
    fn each_device_gets_its_own_envelope_with_its_own_id() {
        let rows = rows(send(2, &[(1, 10), (3, 30)]), 77, &RULES);

        let devices: Vec<_> = rows.iter().map(|row| row.recipient.device).collect();
        assert_eq!(devices, [device(1), device(3)]);
        assert_ne!(rows[0].id, rows[1].id);
        let envelope = socket::Envelope::decode(rows[1].envelope.clone()).unwrap();
        assert_eq!(envelope.id, rows[1].id.as_bytes().as_slice());
        assert_eq!((envelope.sender_device, envelope.server_time_ms), (1, 77));
        assert_eq!(envelope.ciphertext, "sealed");
    }

    #[test]
    fn the_class_travels_with_the_envelope() {
        let mut send = send(2, &[(1, 10)]);
        send.class = Class::Urgent;

        let row = rows(send, 77, &RULES).remove(0);

        let envelope = socket::Envelope::decode(row.envelope).unwrap();
        assert_eq!(envelope.class(), socket::MessageClass::Urgent);
    }

    #[test]
    fn without_a_ttl_an_envelope_lives_as_long_as_any() {
        let row = rows(send(2, &[(1, 10)]), 77, &RULES).remove(0);
        assert_eq!((row.expires_at_ms, row.short), (1_000_077, false));
    }

    #[test]
    fn with_a_ttl_it_is_swept_by_itself() {
        let mut send = send(2, &[(1, 10)]);
        send.ttl_ms = Some(5_000);

        let row = rows(send, 77, &RULES).remove(0);

        assert_eq!((row.expires_at_ms, row.short), (5_077, true));
    }
}
