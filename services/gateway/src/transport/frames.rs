//! Frames of a device, out of the bytes that arrive.
//!
//! The codec of `actix_http` takes them apart. What it does not do is done here: a
//! frame is refused by the length that it announces, before its bytes are gathered;
//! fragments count together; and what is unfinished counts against a budget that all
//! sockets share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_http::ws::{Codec, Frame, Item};
use bytes::{Bytes, BytesMut};
use sotto_ids::limits::MAX_FRAME_BYTES;
use tokio_util::codec::Decoder as _;

/// The opcode of a Close, and the length of the mask that each frame of a client has
/// (RFC 6455 section 5.2).
const CLOSE: u8 = 0x8;
const MASK: usize = 4;

/// A whole message of the peer, or what counts like one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// A fragment that does not end its message. Nobody needs it, but who sends many of
    /// them, empty perhaps, sends many frames.
    Part,
    Close,
}

/// Why no more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A message is larger than the bound.
    TooLarge,
    /// The bytes are no frames (RFC 6455).
    Malformed,
    /// All sockets together hold too many unfinished bytes.
    OverBudget,
    /// The connection is gone.
    Gone,
}

/// Bytes of unfinished frames that all sockets of the process may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most })
    }

    #[cfg(test)]
    fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// One socket's share of the budget. Gives it back when dropped.
#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    held: usize,
}

impl Share {
    /// Says whether there was room.
    fn set(&mut self, bytes: usize) -> bool {
        let before = std::mem::replace(&mut self.held, bytes);
        if bytes <= before {
            self.budget.used.fetch_sub(before - bytes, Ordering::Relaxed);
            return true;
        }
        let grown = bytes - before;
        self.budget.used.fetch_add(grown, Ordering::Relaxed) + grown <= self.budget.most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Reads the frames of one socket.
#[derive(Debug)]
pub(crate) struct FrameReader {
    codec: Codec,
    arrived: BytesMut,
    fragments: Option<Fragments>,
    largest: usize,
    share: Share,
}

#[derive(Debug)]
struct Fragments {
    text: bool,
    bytes: BytesMut,
}

impl FrameReader {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            codec: Codec::new().max_size(MAX_FRAME_BYTES),
            arrived: BytesMut::new(),
            fragments: None,
            largest: MAX_FRAME_BYTES,
            share: Share { budget, held: 0 },
        }
    }

    /// Takes messages of at most so many bytes from now on, and never more than
    /// `MAX_FRAME_BYTES`.
    pub(crate) fn bound(&mut self, largest: usize) {
        self.largest = largest.min(MAX_FRAME_BYTES);
    }

    /// Takes bytes that have arrived.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        if self.arrived.is_empty() {
            // Also lets go of a buffer that a large frame has made large.
            self.arrived = BytesMut::from(bytes);
        } else {
            self.arrived.extend_from_slice(&bytes);
        }
    }

    /// The next message, or part of one, if all of it has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, Broken> {
        if let Some(length) = announced(&self.arrived) {
            if length > self.largest as u64 {
                return Err(Broken::TooLarge);
            }
            match self.codec.decode(&mut self.arrived) {
                Ok(None) => {}
                Ok(Some(frame)) => return self.assemble(frame).map(Some),
                Err(_) => return Err(Broken::Malformed),
            }
        }
        self.count_unfinished()?;
        Ok(None)
    }

    /// Whether a Close is among what has arrived and was not taken yet.
    pub(crate) fn has_close(&self) -> bool {
        let mut rest: &[u8] = &self.arrived;
        while let Some((&first, length)) = rest.first().zip(announced(rest)) {
            if first & 0x0F == CLOSE {
                return true;
            }
            let header = match rest.get(1).map(|byte| byte & 0x7F) {
                Some(127) => 10,
                Some(126) => 4,
                _ => 2,
            };
            let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(header + MASK);
            rest = rest.get(end..).unwrap_or_default();
        }
        false
    }

    fn assemble(&mut self, frame: Frame) -> Result<Incoming, Broken> {
        let (bytes, last) = match frame {
            Frame::Text(bytes) => return Ok(Incoming::Text(bytes)),
            Frame::Binary(bytes) => return Ok(Incoming::Binary(bytes)),
            Frame::Ping(bytes) => return Ok(Incoming::Ping(bytes)),
            Frame::Pong(_) => return Ok(Incoming::Pong),
            Frame::Close(_) => return Ok(Incoming::Close),
            Frame::Continuation(Item::FirstText(bytes)) => {
                self.fragments = Some(Fragments { text: true, bytes: BytesMut::new() });
                (bytes, false)
            }
            Frame::Continuation(Item::FirstBinary(bytes)) => {
                self.fragments = Some(Fragments { text: false, bytes: BytesMut::new() });
                (bytes, false)
            }
            Frame::Continuation(Item::Continue(bytes)) => (bytes, false),
            Frame::Continuation(Item::Last(bytes)) => (bytes, true),
        };
        let fragments = self.fragments.as_mut().ok_or(Broken::Malformed)?;
        if fragments.bytes.len() + bytes.len() > self.largest {
            return Err(Broken::TooLarge);
        }
        fragments.bytes.extend_from_slice(&bytes);
        if !last {
            return Ok(Incoming::Part);
        }
        let whole = if fragments.text { Incoming::Text } else { Incoming::Binary };
        let bytes = std::mem::take(&mut fragments.bytes).freeze();
        self.fragments = None;
        Ok(whole(bytes))
    }

    fn count_unfinished(&mut self) -> Result<(), Broken> {
        let fragments = self.fragments.as_ref().map_or(0, |fragments| fragments.bytes.len());
        let unfinished = self.arrived.len() + fragments;
        if unfinished == self.share.held || self.share.set(unfinished) {
            Ok(())
        } else {
            Err(Broken::OverBudget)
        }
    }
}

/// The length of payload that the header of a frame announces, once all of it is here.
fn announced(header: &[u8]) -> Option<u64> {
    let be = |bytes: &[u8]| bytes.iter().fold(0, |length, &byte| length << 8 | u64::from(byte));
    match header.get(1)? & 0x7F {
        126 => header.get(2..4).map(be),
        127 => header.get(2..10).map(be),
        short => Some(u64::from(short)),
    }
}

#[cfg(test)]
mod tests {
    use actix_http::ws::Message;
    use tokio_util::codec::Encoder as _;

    use super::*;

    fn reader() -> FrameReader {
        FrameReader::new(Budget::new(1 << 20))
    }

    /// Frames as a client masks them.
    fn wire(messages: Vec<Message>) -> Bytes {
        let mut codec = Codec::new().client_mode();
        let mut wire = BytesMut::new();
        for message in messages {
            codec.encode(message, &mut wire).unwrap();
        }
        wire.freeze()
    }

    /// The next message that is not in parts.
    fn next_whole(reader: &mut FrameReader) -> Result<Option<Incoming>, Broken> {
        loop {
            let next = reader.next();
            if next != Ok(Some(Incoming::Part)) {
                return next;
            }
        }
    }

    fn binary(length: usize) -> Message {
        Message::Binary(vec![3; length].into())
    }

    #[test]
    fn frames_arrive_whole_however_their_bytes_are_cut() {
        let bytes = wire(vec![binary(300), Message::Ping(Bytes::new()), binary(0), binary(70_000)]);
        let mut reader = reader();
        let mut lengths = Vec::new();
        for piece in bytes.chunks(7) {
            reader.feed(Bytes::copy_from_slice(piece));
            while let Some(incoming) = reader.next().unwrap() {
                lengths.push(match incoming {
                    Incoming::Binary(bytes) => bytes.len(),
                    _ => usize::MAX,
                });
            }
        }

        assert_eq!(lengths, [300, usize::MAX, 0, 70_000]);
    }

    #[test]
    fn a_frame_is_refused_by_the_length_that_it_announces() {
        let bytes = wire(vec![binary(MAX_FRAME_BYTES + 1)]);
        let mut reader = reader();
        reader.feed(bytes.slice(..14));

        assert_eq!(reader.next(), Err(Broken::TooLarge));
    }

    #[test]
    fn the_bound_can_be_lower_for_a_while_and_holds_for_fragments_too() {
        let whole = wire(vec![binary(101)]);
        let parts = wire(vec![
            Message::Continuation(Item::FirstBinary(vec![0; 51].into())),
            Message::Continuation(Item::Last(vec![0; 50].into())),
        ]);
        for bytes in [whole, parts] {
            let mut strict = reader();
            strict.bound(100);
            strict.feed(bytes.clone());
            assert_eq!(next_whole(&mut strict), Err(Broken::TooLarge));

            let mut lenient = reader();
            lenient.bound(100);
            lenient.bound(101);
            lenient.feed(bytes);
            assert!(matches!(next_whole(&mut lenient), Ok(Some(Incoming::Binary(_)))));
        }
    }

    #[test]
    fn fragments_become_one_message() {
        let mut reader = reader();
        reader.feed(wire(vec![
            Message::Continuation(Item::FirstText("one ".into())),
            Message::Ping(Bytes::new()),
            Message::Continuation(Item::Continue("two ".into())),
            Message::Continuation(Item::Last("three".into())),
        ]));

        let incoming = std::iter::from_fn(|| reader.next().unwrap()).collect::<Vec<_>>();
        let ping = Incoming::Ping(Bytes::new());
        let text = Incoming::Text("one two three".into());
        assert_eq!(incoming, [Incoming::Part, ping, Incoming::Part, text]);
        assert_eq!(reader.next(), Ok(None));
    }

    #[test]
    fn fragments_count_together() {
        let half = Bytes::from(vec![0; MAX_FRAME_BYTES / 2 + 1]);
        let mut reader = reader();
        reader.feed(wire(vec![
            Message::Continuation(Item::FirstBinary(half.clone())),
            Message::Continuation(Item::Last(half)),
        ]));

        assert_eq!(next_whole(&mut reader), Err(Broken::TooLarge));
    }

    #[test]
    fn a_close_is_seen_behind_what_was_not_taken_yet() {
        for length in [0, 125, 126, 65_536] {
            let mut reader = reader();
            reader.feed(wire(vec![binary(length), binary(3)]));
            assert!(!reader.has_close());
            reader.feed(wire(vec![Message::Close(None)]));
            assert!(reader.has_close());
            reader.next().unwrap();
            reader.next().unwrap();
            assert_eq!(reader.next(), Ok(Some(Incoming::Close)), "nothing is lost");
        }
        let mut reader = reader();
        reader.feed(Bytes::from_static(&[0x82, 0xFE, 0, 200, 8, 8, 8, 8, 8, 8]));
        assert!(!reader.has_close(), "the rest of a frame is no header");
    }

    #[test]
    fn bytes_that_are_no_frames_are_refused() {
        let mut unmasked = BytesMut::new();
        Codec::new().encode(binary(5), &mut unmasked).unwrap();
        let orphan = Message::Continuation(Item::Last("x".into()));
        let mut continuing = Codec::new().client_mode();
        let mut wire = BytesMut::new();
        continuing.encode(Message::Continuation(Item::FirstText("a".into())), &mut wire).unwrap();
        let first = wire.split().len();
        continuing.encode(orphan, &mut wire).unwrap();
        assert!(first > 0);

        for bytes in
            [unmasked.freeze(), wire.freeze(), Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n")]
        {
            let mut reader = reader();
            reader.feed(bytes);
            assert_eq!(next_whole(&mut reader), Err(Broken::Malformed));
        }
    }

    #[test]
    fn unfinished_frames_of_all_sockets_share_a_budget() {
        let budget = Budget::new(150);
        let bytes = wire(vec![binary(200)]);
        let (mut one, mut two) =
            (FrameReader::new(budget.clone()), FrameReader::new(budget.clone()));
        one.feed(bytes.slice(..100));
        two.feed(bytes.slice(..100));

        assert_eq!(one.next(), Ok(None));
        assert_eq!(two.next(), Err(Broken::OverBudget));

        drop(two);
        one.feed(bytes.slice(100..));
        assert!(matches!(one.next(), Ok(Some(Incoming::Binary(_)))));
        assert_eq!(one.next(), Ok(None));
        assert_eq!(budget.used(), 0, "whole frames count nothing");
    }
}
