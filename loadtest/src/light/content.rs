//! What stands in place of a ciphertext: which message it is, and random bytes.

use std::sync::OnceLock;

use prost::bytes::Bytes;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};

const MARK: [u8; 4] = *b"load";

/// Bytes of the mark, the sender and the number.
const HEAD: usize = 4 + 4 + 8;

/// A ciphertext of so many bytes (at least 16) that names its message.
pub(crate) fn write(from: u32, number: u64, length: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(length.max(HEAD));
    bytes.extend_from_slice(&MARK);
    bytes.extend_from_slice(&from.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend(noise().iter().cycle().take(length.saturating_sub(HEAD)));
    bytes.into()
}

/// Which message a ciphertext is: its sender and its number.
pub(crate) fn read(ciphertext: &[u8]) -> Option<(u32, u64)> {
    let rest = ciphertext.strip_prefix(&MARK)?;
    let (from, rest) = rest.split_first_chunk()?;
    let (number, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*from), u64::from_be_bytes(*number)))
}

/// Bytes that nothing on the way can make shorter.
fn noise() -> &'static [u8; 1_024] {
    static NOISE: OnceLock<[u8; 1_024]> = OnceLock::new();
    NOISE.get_or_init(|| {
        let mut noise = [0; 1_024];
        StdRng::seed_from_u64(0).fill_bytes(&mut noise);
        noise
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciphertext_says_which_message_it_is() {
        let bytes = write(7, 90_000, 500);

        assert_eq!(bytes.len(), 500);
        assert_eq!(read(&bytes), Some((7, 90_000)));
        assert_eq!(read(b"load"), None);
        assert_eq!(read(&[0; 500]), None);
    }
}
