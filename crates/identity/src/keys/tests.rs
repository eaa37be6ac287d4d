use curve25519_dalek::{constants::EIGHT_TORSION, scalar::clamp_integer};
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;

/// p = 2^255 - 19, low byte first.
const P: [u8; 32] = {
    let mut p = [0xFF; 32];
    p[0] = 0xED;
    p[31] = 0x7F;
    p
};

fn plus(mut number: [u8; 32], low: u8) -> [u8; 32] {
    number[0] = number[0].wrapping_add(low);
    number
}

/// The points of low order as cr.yp.to/ecdh.html lists them, each with the spare
/// bit clear.
fn points_of_low_order() -> Vec<[u8; 32]> {
    let hex = |text: &str| {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        <[u8; 32]>::try_from(bytes).unwrap()
    };
    vec![
        [0; 32],
        plus([0; 32], 1),
        hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        plus(P, 0xFF),
        P,
        plus(P, 1),
    ]
}

fn serialised(key: [u8; 32]) -> Vec<u8> {
    [[0x05].as_slice(), &key].concat()
}

fn x25519_key(secret: [u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(clamp_integer(secret)).to_bytes()
}

#[test]
fn every_point_of_low_order_is_refused_in_every_encoding() {
    for mut key in points_of_low_order() {
        assert!(is_low_order(&key), "{key:?}");
        assert_eq!(check_ec(&serialised(key)), Err(KeyFault::LowOrder));
        key[31] |= 0x80;
        assert!(is_low_order(&key), "{key:?}");
        assert_eq!(check_ec(&serialised(key)), Err(KeyFault::LowOrder));
    }
}

#[test]
fn real_keys_are_taken() {
    for secret in 0..50 {
        let key = x25519_key([secret; 32]);
        assert!(!is_low_order(&key));
        assert_eq!(check_ec(&serialised(key)).unwrap().as_slice(), serialised(key));
    }
}

#[test]
fn an_x25519_key_has_one_encoding() {
    let nine = plus([0; 32], 9);
    let nine_and_p = plus(P, 9);
    let mut nine_with_the_spare_bit = nine;
    nine_with_the_spare_bit[31] |= 0x80;

    assert!(check_ec(&serialised(nine)).is_ok());
    assert_eq!(check_ec(&serialised(nine_and_p)), Err(KeyFault::Malformed));
    assert_eq!(check_ec(&serialised(nine_with_the_spare_bit)), Err(KeyFault::Malformed));
}

#[test]
fn other_lengths_and_kinds_are_no_identity_keys() {
    let key = serialised(x25519_key([7; 32]));
    let mut of_another_kind = key.clone();
    of_another_kind[0] = 0x06;

    for wrong in [&key[1..], &key[..32], &[], &of_another_kind] {
        assert_eq!(IdentityKey::try_from(wrong), Err(KeyFault::Malformed));
    }
    assert_eq!(IdentityKey::try_from(key.as_slice()).unwrap().as_bytes().as_slice(), key);
}

#[test]
fn an_ed25519_key_is_a_point_in_its_one_encoding_and_not_of_low_order() {
    let good = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    assert_eq!(check_ed25519(&good), Ok(good));

    assert_eq!(check_ed25519(&good[..31]), Err(KeyFault::Malformed));
    // y = 2 is on no point.
    assert_eq!(check_ed25519(&plus([0; 32], 2)), Err(KeyFault::Malformed));
    // y = 3 is on one, and so p + 3 names it a second time.
    assert!(check_ed25519(&plus([0; 32], 3)).is_ok());
    assert_eq!(check_ed25519(&plus(P, 3)), Err(KeyFault::Malformed));
    for point in EIGHT_TORSION {
        assert_eq!(check_ed25519(point.compress().as_bytes()), Err(KeyFault::LowOrder));
    }
}

#[test]
fn an_ed25519_signature_is_over_its_message_by_its_key() {
    let signer = SigningKey::from_bytes(&[7; 32]);
    let key = signer.verifying_key().to_bytes();
    let other = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
    let signature = signer.sign(b"message").to_bytes();

    assert!(verify_ed25519(&key, b"message", &signature));
    assert!(!verify_ed25519(&key, b"massage", &signature));
    assert!(!verify_ed25519(&other, b"message", &signature));
    assert!(!verify_ed25519(&key, b"message", &signature[..63]));
    assert!(!verify_ed25519(&plus([0; 32], 2), b"message", &signature));
}

#[test]
fn a_key_of_low_order_signs_nothing() {
    // The identity as key and as R, and s = 0: plain Ed25519 takes it for any message.
    let identity = plus([0; 32], 1);
    let signature = [identity, [0; 32]].concat();

    assert!(!verify_ed25519(&identity, b"message", &signature));
}
