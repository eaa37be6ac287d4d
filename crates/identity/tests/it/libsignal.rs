//! XEdDSA as libsignal does it: what one side makes, the other takes.

use libsignal_protocol::{KeyPair, PublicKey};
use rand::{SeedableRng as _, rngs::StdRng};
use sotto_identity::{IdentityKey, keys::verify_xeddsa};

use crate::xeddsa;

fn identity_key(pair: &KeyPair) -> IdentityKey {
    IdentityKey::try_from(&*pair.public_key.serialize()).unwrap()
}

#[test]
fn what_libsignal_signs_is_taken_for_either_sign_of_the_key() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut with_sign = [0, 0];
    for _ in 0..64 {
        let pair = KeyPair::generate(&mut rng);
        let signature = pair.calculate_signature(b"a prekey", &mut rng).unwrap();

        assert!(verify_xeddsa(&identity_key(&pair), b"a prekey", &signature));
        with_sign[usize::from(signature[63] >> 7)] += 1;
    }
    assert!(with_sign.iter().all(|&count| count > 10), "both signs occur: {with_sign:?}");
}

#[test]
fn a_flipped_bit_is_refused_as_libsignal_refuses_it() {
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..2 {
        let pair = KeyPair::generate(&mut rng);
        let key = identity_key(&pair);
        let signature = pair.calculate_signature(b"a prekey", &mut rng).unwrap();
        for bit in 0..512 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify_xeddsa(&key, b"a prekey", &flipped), "bit {bit}");
            assert!(!pair.public_key.verify_signature(b"a prekey", &flipped), "bit {bit}");
        }
    }
}

#[test]
fn another_message_another_key_and_another_length_are_refused() {
    let mut rng = StdRng::seed_from_u64(3);
    let pair = KeyPair::generate(&mut rng);
    let other = KeyPair::generate(&mut rng);
    let signature = pair.calculate_signature(b"a prekey", &mut rng).unwrap();

    assert!(!verify_xeddsa(&identity_key(&pair), b"a prekez", &signature));
    assert!(!verify_xeddsa(&identity_key(&other), b"a prekey", &signature));
    assert!(!verify_xeddsa(&identity_key(&pair), b"a prekey", &signature[..63]));
    assert!(!verify_xeddsa(&identity_key(&pair), b"a prekey", &[0; 64]));
}

#[test]
fn the_signer_of_these_tests_signs_as_libsignal_does() {
    for number in 0..32 {
        let secret = [number; 32];
        let public = PublicKey::deserialize(xeddsa::identity_key(secret).as_bytes()).unwrap();
        assert!(public.verify_signature(b"a prekey", &xeddsa::sign(secret, b"a prekey")));
    }
}
