//! The two forms of the protocol: protobuf in binary frames, proto-JSON in text ones.

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use sotto_proto::socket::{
    ClientFrame, Deliver, Envelope, GroupDeliver, ServerFrame, server_frame,
};

use crate::transport::wire::{self, Opcode};

/// Which form a socket speaks, as its subprotocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `sotto.v1.proto`
    Proto,
    /// `sotto.v1.json`
    Json,
}

/// The bytes are no frame of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no frame of the protocol")]
pub(crate) struct Malformed;

impl Encoding {
    /// In the order in which the documents name them.
    pub(crate) const ALL: [Self; 2] = [Self::Proto, Self::Json];

    pub(crate) const fn subprotocol(self) -> &'static str {
        match self {
            Self::Proto => "sotto.v1.proto",
            Self::Json => "sotto.v1.json",
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Proto => "proto",
            Self::Json => "json",
        }
    }

    /// Reads a frame of the device.
    pub(crate) fn decode(self, payload: Bytes) -> Result<ClientFrame, Malformed> {
        match self {
            Self::Proto => ClientFrame::decode(payload).map_err(|_| Malformed),
            Self::Json => serde_json::from_slice(&payload).map_err(|_| Malformed),
        }
    }

    /// Adds a frame to `out`, as it goes over the wire.
    pub(crate) fn encode(self, frame: &ServerFrame, out: &mut BytesMut) {
        match self {
            Self::Proto => encode_proto(frame, out),
            Self::Json => encode_json(frame, out),
        }
    }

    /// Adds a Deliver with these encoded envelopes to `out`.
    ///
    /// The binary form carries each as it stands in the queue, never decoded.
    pub(crate) fn encode_deliver(self, envelopes: Vec<Bytes>, out: &mut BytesMut) {
        match self {
            Self::Proto => {
                encode_proto(&StoredFrame { deliver: Some(StoredDeliver { envelopes }) }, out);
            }
            Self::Json => {
                let envelopes = envelopes.into_iter().filter_map(decode_stored).collect();
                let body = Some(server_frame::Body::Deliver(Deliver { envelopes }));
                encode_json(&ServerFrame { in_reply_to: 0, body }, out);
            }
        }
    }

    /// What an encoded envelope adds to the length of a Deliver, at most.
    pub(crate) const fn cost(self, encoded: usize) -> usize {
        match self {
            // Tag and length.
            Self::Proto => encoded + 6,
            // Base64, names, and numbers in digits.
            Self::Json => encoded.div_ceil(3) * 4 + 256,
        }
    }
}

/// `ServerFrame { deliver }` in the wire form of the real one, with the envelopes as
/// bytes: in protobuf a message field and a bytes field look the same.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredFrame {
    #[prost(message, optional, tag = "6")]
    deliver: Option<StoredDeliver>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredDeliver {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    envelopes: Vec<Bytes>,
}

/// The same for `ServerFrame { group_deliver }`.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredGroupFrame {
    #[prost(bytes = "bytes", optional, tag = "15")]
    deliver: Option<Bytes>,
}

/// Adds a frame with an encoded `GroupDeliver` to `out`, in the binary form. Gives where in
/// that the `GroupDeliver` begins.
pub(crate) fn encode_group_deliver(encoded: &Bytes, out: &mut BytesMut) -> usize {
    encode_proto(&StoredGroupFrame { deliver: Some(encoded.clone()) }, out);
    out.len() - encoded.len()
}

/// The frame with an encoded `GroupDeliver`. Nothing where it cannot be decoded.
pub(crate) fn decode_group_deliver(encoded: Bytes) -> Option<ServerFrame> {
    match GroupDeliver::decode(encoded) {
        Ok(deliver) => {
            let body = Some(server_frame::Body::GroupDeliver(deliver));
            Some(ServerFrame { in_reply_to: 0, body })
        }
        Err(error) => {
            tracing::error!(%error, "entries of a group cannot be decoded");
            None
        }
    }
}

fn encode_proto(message: &impl prost::Message, out: &mut BytesMut) {
    wire::header(Opcode::Binary, message.encoded_len(), out);
    // Unwrap safety: a `BytesMut` grows.
    message.encode(out).expect("a growing buffer has room");
}

fn encode_json(frame: &ServerFrame, out: &mut BytesMut) {
    // Unwrap safety: a generated message has nothing that JSON could not hold.
    let text = serde_json::to_vec(frame).expect("a frame is plain data");
    wire::header(Opcode::Text, text.len(), out);
    out.extend_from_slice(&text);
}

fn decode_stored(encoded: Bytes) -> Option<Envelope> {
    match Envelope::decode(encoded) {
        Ok(envelope) => Some(envelope),
        Err(error) => {
            tracing::error!(%error, "an envelope of the queue cannot be decoded");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use sotto_proto::socket::{
        Accepted, Ack, CiphertextType, MessageClass, QueueEmpty, client_frame,
    };

    use super::*;

    fn envelope(byte: u8) -> Envelope {
        Envelope {
            id: Bytes::copy_from_slice(&[byte; 16]),
            sender: Bytes::copy_from_slice(&[7; 16]),
            sender_device: 3,
            r#type: CiphertextType::Prekey.into(),
            ciphertext: Bytes::copy_from_slice(&[byte; 300]),
            server_time_ms: 1_700_000_000_123,
            class: MessageClass::Urgent.into(),
        }
    }

    fn stored(envelopes: &[Envelope]) -> Vec<Bytes> {
        envelopes.iter().map(|envelope| envelope.encode_to_vec().into()).collect()
    }

    fn deliver(envelopes: Vec<Envelope>) -> ServerFrame {
        let body = Some(server_frame::Body::Deliver(Deliver { envelopes }));
        ServerFrame { in_reply_to: 0, body }
    }

    fn encoded(encoding: Encoding, frame: &ServerFrame) -> BytesMut {
        let mut out = BytesMut::new();
        encoding.encode(frame, &mut out);
        out
    }

    #[test]
    fn stored_envelopes_are_written_as_if_they_had_been_decoded() {
        for envelopes in [vec![], vec![envelope(1)], vec![envelope(1), envelope(2), envelope(3)]] {
            for encoding in Encoding::ALL {
                let mut mirror = BytesMut::new();
                encoding.encode_deliver(stored(&envelopes), &mut mirror);

                assert_eq!(mirror, encoded(encoding, &deliver(envelopes.clone())), "{encoding:?}");
            }
        }
    }

    #[test]
    fn the_cost_of_an_envelope_is_an_upper_bound() {
        for encoding in Encoding::ALL {
            let one = stored(&[envelope(1)]);
            let cost = encoding.cost(one[0].len());
            let empty = encoded(encoding, &deliver(vec![])).len();
            let full = encoded(encoding, &deliver(vec![envelope(1); 9])).len();

            assert!(full <= empty + 9 * cost + 8, "{encoding:?}: {full} > {empty} + 9 * {cost}");
        }
    }

    #[test]
    fn a_frame_of_the_device_reads_the_same_in_both_forms() {
        let ids = vec![Bytes::copy_from_slice(&[5; 16])];
        let body = Some(client_frame::Body::Ack(Ack { envelope_ids: ids }));
        let frame = ClientFrame { id: u64::MAX, body };

        let proto = Encoding::Proto.decode(frame.encode_to_vec().into());
        let json = Encoding::Json.decode(serde_json::to_vec(&frame).unwrap().into());

        assert_eq!(proto, Ok(frame.clone()));
        assert_eq!(json, Ok(frame));
    }

    #[test]
    fn json_has_64_bit_numbers_as_text_and_bytes_as_base64() {
        let text =
            r#"{"id":"18446744073709551615","ack":{"envelopeIds":["BQUFBQUFBQUFBQUFBQUFBQ=="]}}"#;
        let frame = Encoding::Json.decode(Bytes::from_static(text.as_bytes())).unwrap();

        assert_eq!(frame.id, u64::MAX);
        assert_eq!(serde_json::to_string(&frame).unwrap(), text);
    }

    #[test]
    fn what_a_later_version_says_more_is_passed_over_in_both_forms() {
        let later = r#"{"id":"7","later":{"more":[1,2]},"ack":{"envelopeIds":[],"reason":"x"}}"#;
        let frame = ClientFrame { id: 7, body: Some(client_frame::Body::Ack(Ack::default())) };
        assert_eq!(Encoding::Json.decode(Bytes::from_static(later.as_bytes())), Ok(frame.clone()));

        // Field 99, two bytes.
        let binary = [frame.encode_to_vec(), vec![0x9a, 0x06, 2, 1, 2]].concat();
        assert_eq!(Encoding::Proto.decode(binary.into()), Ok(frame));

        let unknown = Encoding::Json.decode(Bytes::from_static(br#"{"id":"8","later":{}}"#));
        assert_eq!(unknown, Ok(ClientFrame { id: 8, body: None }));
    }

    #[test]
    fn classes_and_full_queues_are_told_in_json_too() {
        let mut out = BytesMut::new();
        Encoding::Json.encode_deliver(stored(&[envelope(1)]), &mut out);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.contains(r#""class":"MESSAGE_CLASS_URGENT""#), "{text}");

        let body = server_frame::Body::Accepted(Accepted { server_time_ms: 5, full: vec![2, 3] });
        let bytes = encoded(Encoding::Json, &ServerFrame { in_reply_to: 1, body: Some(body) });
        assert_eq!(
            &bytes[2..],
            br#"{"inReplyTo":"1","accepted":{"serverTimeMs":"5","full":[2,3]}}"#
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        for encoding in Encoding::ALL {
            assert_eq!(encoding.decode(Bytes::from_static(b"{\"id\":")), Err(Malformed));
        }
    }

    #[test]
    fn an_empty_body_stays_empty_in_json() {
        let body = Some(server_frame::Body::QueueEmpty(QueueEmpty {}));
        let frame = ServerFrame { in_reply_to: 0, body };

        let bytes = encoded(Encoding::Json, &frame);

        assert_eq!(&bytes[2..], br#"{"queueEmpty":{}}"#);
    }
}
