//! Sizes of plaintexts: few, so that a ciphertext's length says little of what is in it.
//!
//! ISO/IEC 7816-4: one byte 0x80, then zeros. Up to 2,080 bytes the sizes are the
//! multiples of 160; from there on they are Padmé's (Nikitin et al., "Reducing Metadata
//! Leakage from Encrypted Files and Communication with PURBs", 2019), which adds 12 % at
//! most and leaves one of a few sizes for each doubling.

const STEP: usize = 160;
const LAST_STEP: usize = 13 * STEP;
const MARK: u8 = 0x80;

/// The size that something of `length` bytes is padded to, with the mark.
pub(crate) fn padded_len(length: usize) -> usize {
    let least = length + 1;
    if least <= LAST_STEP { least.next_multiple_of(STEP) } else { padme(least) }
}

/// Padmé: as many low bits are zero as the position of the highest one allows.
fn padme(length: usize) -> usize {
    let exponent = length.ilog2();
    let kept = exponent.ilog2() + 1;
    length.next_multiple_of(1 << (exponent - kept))
}

/// Pads to the next size.
pub(crate) fn pad(mut plaintext: Vec<u8>) -> Vec<u8> {
    let size = padded_len(plaintext.len());
    plaintext.push(MARK);
    plaintext.resize(size, 0);
    plaintext
}

/// Takes the padding off; `None` where there is none, or it is not of the size that it
/// has to be.
pub(crate) fn unpad(mut padded: Vec<u8>) -> Option<Vec<u8>> {
    let end = padded.iter().rposition(|&byte| byte != 0)?;
    if padded.get(end) != Some(&MARK) || padded.len() != padded_len(end) {
        return None;
    }
    padded.truncate(end);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_rise_in_steps_and_then_with_their_size() {
        let sizes = [(0, 160), (159, 160), (160, 320), (2_079, 2_080), (2_080, 2_176)];
        for (length, size) in sizes {
            assert_eq!(padded_len(length), size, "{length}");
        }
        assert_eq!(padded_len(40_000), 40_960);
    }

    #[test]
    fn there_are_few_sizes_up_to_the_longest_message() {
        let sizes: std::collections::BTreeSet<_> = (0..65_000).map(padded_len).collect();

        assert_eq!(sizes.iter().filter(|&&size| size <= LAST_STEP).count(), 13);
        assert!(sizes.len() < 110, "{}", sizes.len());
    }

    #[test]
    fn what_is_not_padded_as_it_should_be_is_refused() {
        for wrong in [&b""[..], &[0; 160], b"text", b"text\x80", &[0x80; 161]] {
            assert_eq!(unpad(wrong.to_vec()), None);
        }
        let mut longer = pad(b"text".to_vec());
        longer.resize(320, 0);
        assert_eq!(unpad(longer), None, "one content has one encoding");
    }

    proptest! {
        #[test]
        fn what_is_padded_comes_back(plaintext in proptest::collection::vec(any::<u8>(), 0..5_000)) {
            let padded = pad(plaintext.clone());
            let waste = padded.len() - plaintext.len();
            prop_assert!(waste <= STEP || waste * 8 <= plaintext.len());
            prop_assert_eq!(unpad(padded), Some(plaintext));
        }
    }
}
