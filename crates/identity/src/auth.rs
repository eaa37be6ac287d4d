//! What a device signs to prove that it is the one that asks for a token.

use sha2::{Digest as _, Sha256};
use sotto_ids::{AccountId, DeviceId};

/// The message of a login proof, for the device key to sign with Ed25519.
///
/// `domain` is the server's, so that a proof is worth nothing at another one;
/// `challenge` is what the server gave out for this login; `app_token` is the token
/// of the app that is handed in with the proof, of which the hash goes in.
///
/// The label `sotto/auth/v1`, then domain, challenge, account id, device id (one
/// byte) and SHA-256 of the app token, each after its length in four bytes, high
/// byte first: two different logins never give the same message.
pub fn proof_message(
    domain: &str,
    challenge: &[u8],
    account_id: AccountId,
    device: DeviceId,
    app_token: &str,
) -> Vec<u8> {
    let fields: [&[u8]; 5] = [
        domain.as_bytes(),
        challenge,
        account_id.as_bytes(),
        &[device.as_u8()],
        &Sha256::digest(app_token),
    ];
    let mut message = b"sotto/auth/v1".to_vec();
    for field in fields {
        // No field comes near 4 GiB: a request is bounded long before that.
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(field);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId::FIRST;

    #[test]
    fn the_message_is_the_label_and_each_field_after_its_length() {
        let message = proof_message("a.b", &[7; 32], AccountId::new([9; 32]), DEVICE, "token");

        let expected = [
            b"sotto/auth/v1".as_slice(),
            &[0, 0, 0, 3],
            b"a.b",
            &[0, 0, 0, 32],
            &[7; 32],
            &[0, 0, 0, 32],
            &[9; 32],
            &[0, 0, 0, 1, 1],
            &[0, 0, 0, 32],
            &Sha256::digest("token"),
        ];
        assert_eq!(message, expected.concat());
    }

    #[test]
    fn no_two_logins_share_a_message() {
        let account = AccountId::new([9; 32]);
        let second = DeviceId::try_from(2_u32).unwrap();
        let messages = [
            proof_message("a.b", b"cd", account, DEVICE, "token"),
            proof_message("a.bc", b"d", account, DEVICE, "token"),
            proof_message("a.b", b"ce", account, DEVICE, "token"),
            proof_message("a.b", b"cd", AccountId::new([8; 32]), DEVICE, "token"),
            proof_message("a.b", b"cd", account, second, "token"),
            proof_message("a.b", b"cd", account, DEVICE, "other"),
        ];
        let distinct: std::collections::BTreeSet<_> = messages.iter().collect();
        assert_eq!(distinct.len(), messages.len());
    }
}
