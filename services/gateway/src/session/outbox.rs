//! What a socket is about to write, as it goes over the wire.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use sotto_ids::limits::MAX_FRAME_BYTES;
use sotto_proto::socket::ServerFrame;

use super::{close::CloseCode, codec::Encoding};
use crate::transport::wire::{self, Opcode};

/// When what has gathered is worth a write of its own.
const ENOUGH: usize = 64 * 1024;

/// Frames that many sockets share are copied below this length, where others have gathered
/// already: a write more would cost more.
const COPIED_BELOW: usize = 4 * 1024;

/// Room in a frame beside its envelopes.
const FRAME_OVERHEAD: usize = 64;

/// Gathers frames, so that all that is pending goes out in one write.
///
/// Envelopes that follow each other share a Deliver, within the bound of a frame.
#[derive(Debug)]
pub(crate) struct Outbox {
    encoding: Encoding,
    /// What goes before `wire`, each piece by itself.
    pieces: VecDeque<Bytes>,
    wire: BytesMut,
    envelopes: Vec<Bytes>,
    envelopes_cost: usize,
    frames: u64,
}

impl Outbox {
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            pieces: VecDeque::new(),
            wire: BytesMut::new(),
            envelopes: Vec::new(),
            envelopes_cost: 0,
            frames: 0,
        }
    }

    pub(crate) fn frame(&mut self, frame: &ServerFrame) {
        self.finish_deliver();
        self.encoding.encode(frame, &mut self.wire);
        self.frames += 1;
    }

    pub(crate) fn deliver(&mut self, encoded: Bytes) {
        let cost = self.encoding.cost(encoded.len());
        if self.envelopes_cost + cost + FRAME_OVERHEAD > MAX_FRAME_BYTES {
            self.finish_deliver();
        }
        self.envelopes_cost += cost;
        self.envelopes.push(encoded);
    }

    /// A frame as it goes over the wire, which other sockets write too.
    pub(crate) fn shared(&mut self, wire: Bytes) {
        self.finish_deliver();
        self.frames += 1;
        let first = self.pieces.is_empty() && self.wire.is_empty();
        if !first && wire.len() < COPIED_BELOW {
            self.wire.extend_from_slice(&wire);
            return;
        }
        if !self.wire.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.wire).freeze());
        }
        self.pieces.push_back(wire);
    }

    pub(crate) fn ping(&mut self) {
        self.finish_deliver();
        wire::header(Opcode::Ping, 0, &mut self.wire);
    }

    /// `payload`: that of the ping.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        self.finish_deliver();
        wire::header(Opcode::Pong, payload.len(), &mut self.wire);
        self.wire.extend_from_slice(payload);
    }

    pub(crate) fn close(&mut self, code: CloseCode) {
        self.finish_deliver();
        wire::close(code.number(), code.reason(), &mut self.wire);
    }

    /// The answer to a Close of the peer.
    pub(crate) fn close_back(&mut self) {
        self.finish_deliver();
        wire::close(1000, "", &mut self.wire);
    }

    /// Whether to write before gathering more.
    pub(crate) fn is_enough(&self) -> bool {
        let pieces: usize = self.pieces.iter().map(Bytes::len).sum();
        pieces + self.wire.len() + self.envelopes_cost >= ENOUGH
    }

    /// What has gathered: piece by piece, until there is nothing.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        self.finish_deliver();
        if let Some(piece) = self.pieces.pop_front() {
            return Some(piece);
        }
        self.pieces.shrink_to_fit();
        // A new buffer each time: what is kept for a socket between writes is nothing.
        (!self.wire.is_empty()).then(|| std::mem::take(&mut self.wire).freeze())
    }

    /// Frames of the protocol since the last call.
    pub(crate) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.frames)
    }

    fn finish_deliver(&mut self) {
        if self.envelopes.is_empty() {
            return;
        }
        self.encoding.encode_deliver(std::mem::take(&mut self.envelopes), &mut self.wire);
        self.envelopes_cost = 0;
        self.frames += 1;
    }
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{Codec, Frame};
    use prost::Message as _;
    use sotto_ids::limits::MAX_CIPHERTEXT_BYTES;
    use sotto_proto::socket::{Envelope, QueueEmpty, ServerFrame, server_frame};
    use tokio_util::codec::Decoder as _;

    use super::*;

    fn envelope(ciphertext: usize) -> Bytes {
        Envelope { ciphertext: vec![1; ciphertext].into(), ..Envelope::default() }
            .encode_to_vec()
            .into()
    }

    /// The numbers of envelopes in the Delivers of what was written; 0 for other frames.
    fn written(outbox: &mut Outbox) -> Vec<usize> {
        let mut codec = Codec::new().client_mode().max_size(MAX_FRAME_BYTES);
        let mut wire = outbox.take().map(BytesMut::from).unwrap_or_default();
        let mut frames = Vec::new();
        while let Some(frame) = codec.decode(&mut wire).unwrap() {
            let frame = match frame {
                Frame::Binary(bytes) => ServerFrame::decode(bytes).unwrap(),
                Frame::Text(bytes) => serde_json::from_slice(&bytes).unwrap(),
                other => panic!("{other:?}"),
            };
            frames.push(match frame.body {
                Some(server_frame::Body::Deliver(deliver)) => deliver.envelopes.len(),
                _ => 0,
            });
        }
        frames
    }

    #[test]
    fn envelopes_in_a_row_share_a_frame_and_keep_their_place() {
        let mut outbox = Outbox::new(Encoding::Proto);
        let body = Some(server_frame::Body::QueueEmpty(QueueEmpty {}));
        outbox.deliver(envelope(10));
        outbox.deliver(envelope(10));
        outbox.frame(&ServerFrame { in_reply_to: 0, body });
        outbox.deliver(envelope(10));

        assert_eq!(written(&mut outbox), [2, 0, 1]);
        assert_eq!(outbox.take_count(), 3);
        assert_eq!(outbox.take(), None);
    }

    #[test]
    fn what_sockets_share_keeps_its_place_and_its_memory() {
        let shared = |bytes: usize| {
            let mut wire = BytesMut::new();
            wire::header(Opcode::Binary, bytes, &mut wire);
            wire.resize(wire.len() + bytes, 7);
            wire.freeze()
        };
        let (small, large) = (shared(10), shared(2 * COPIED_BELOW));
        let mut outbox = Outbox::new(Encoding::Proto);
        for wire in [&small, &large] {
            outbox.shared(wire.clone());
            assert_eq!(outbox.take().unwrap().as_ptr(), wire.as_ptr());
            assert_eq!(outbox.take(), None);
        }

        outbox.deliver(envelope(10));
        outbox.shared(small.clone());
        outbox.shared(large.clone());
        outbox.shared(small.clone());
        let pieces: Vec<_> = std::iter::from_fn(|| outbox.take()).collect();

        assert_eq!(pieces.len(), 3);
        assert!(pieces[0].ends_with(&small) && pieces[0].len() > small.len());
        assert_eq!((pieces[1].as_ptr(), &pieces[2]), (large.as_ptr(), &small));
        assert_eq!(outbox.take_count(), 6);
    }

    #[test]
    fn no_frame_exceeds_the_bound_of_frames() {
        for encoding in Encoding::ALL {
            let mut outbox = Outbox::new(encoding);
            let count = 2 * MAX_FRAME_BYTES / MAX_CIPHERTEXT_BYTES;
            for _ in 0..count {
                outbox.deliver(envelope(MAX_CIPHERTEXT_BYTES));
            }

            // A larger one would not come out of the codec.
            let frames = written(&mut outbox);
            assert_eq!(frames.iter().sum::<usize>(), count, "{encoding:?}");
            assert!(frames.len() > 2, "{encoding:?}: {frames:?}");
        }
    }
}
