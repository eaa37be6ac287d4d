//! Frames of a server as RFC 6455 section 5.2 has them: unmasked, never fragmented.

use bytes::{BufMut as _, BytesMut};

/// The kinds of frame that the gateway writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

const FINAL: u8 = 0x80;

/// Adds the header of a frame whose payload, of `length` bytes, follows.
pub(crate) fn header(opcode: Opcode, length: usize, out: &mut BytesMut) {
    out.reserve(length + 10);
    out.put_u8(FINAL | opcode as u8);
    match length {
        0..=125 => out.put_uint(length as u64, 1),
        126..=0xFFFF => {
            out.put_u8(126);
            out.put_uint(length as u64, 2);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

/// Adds a Close frame. `reason` has at most 123 bytes.
pub(crate) fn close(code: u16, reason: &str, out: &mut BytesMut) {
    header(Opcode::Close, 2 + reason.len(), out);
    out.put_u16(code);
    out.put_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{Codec, Frame};
    use tokio_util::codec::Decoder as _;

    use super::*;

    fn read(wire: &mut BytesMut) -> Frame {
        Codec::new().client_mode().max_size(1 << 20).decode(wire).unwrap().unwrap()
    }

    #[test]
    fn a_client_reads_frames_of_every_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 131_072] {
            let mut wire = BytesMut::new();
            header(Opcode::Binary, length, &mut wire);
            wire.put_bytes(9, length);

            assert_eq!(read(&mut wire), Frame::Binary(vec![9; length].into()), "{length}");
            assert!(wire.is_empty());
        }
    }

    #[test]
    fn a_client_reads_the_code_and_the_reason_of_a_close() {
        let mut wire = BytesMut::new();
        close(4500, "displaced", &mut wire);

        let Frame::Close(Some(reason)) = read(&mut wire) else { panic!("no close") };
        assert_eq!(u16::from(reason.code), 4500);
        assert_eq!(reason.description.as_deref(), Some("displaced"));
    }
}
