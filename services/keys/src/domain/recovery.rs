//! Requests whose authority is the recovery set.

use sotto_identity::{
    Body, ChainError, SignedOp, decode_op, keys::verify_ed25519, signing_message,
};
use sotto_proto::identity::Recovery;

/// Whether the ops of a request bring all their authority along: each is one that the
/// recovery set signs, or comes after a recovery and is signed by no key but the account
/// key which that recovery brings.
///
/// Such a request needs no token, for who has lost every device cannot get one. What
/// the signatures are worth is not looked at here.
pub(crate) fn speak_for_themselves(ops: &[SignedOp]) -> bool {
    let mut new_key = None;
    let mut speaks_for_itself = |signed: &SignedOp| match body(signed) {
        Some(Body::SetRecovery(_)) => true,
        Some(Body::Recover(recover)) => {
            new_key = Some(recover.account_key);
            true
        }
        _ => matches!((signed.sigs.as_slice(), &new_key), ([sig], Some(key)) if sig.key == *key),
    };
    !ops.is_empty() && ops.iter().all(&mut speaks_for_itself)
}

/// Demands signatures by the recovery set that the chain has now.
///
/// The rules of the chain demand them too, and more. But they begin at the genesis and
/// verify everything, which nobody without a token gets for a few made-up bytes.
pub(crate) fn check_signers(signed: &SignedOp, chain: &[SignedOp]) -> Result<(), ChainError> {
    let set = chain.iter().rev().find_map(|op| match body(op) {
        Some(Body::Genesis(genesis)) => genesis.recovery,
        Some(Body::SetRecovery(set)) => set.recovery,
        _ => None,
    });
    let Recovery { threshold, keys, .. } = set.ok_or(ChainError::MalformedRecovery)?;
    let by_set: Vec<_> = signed.sigs.iter().filter(|sig| keys.contains(&sig.key)).collect();
    if by_set.len() < usize::try_from(threshold).unwrap_or(usize::MAX) {
        return Err(ChainError::MissingSignature);
    }
    let message = signing_message(&signed.payload);
    let verifies = |key: &[u8], sig: &[u8]| {
        key.try_into().is_ok_and(|key: [u8; 32]| verify_ed25519(&key, &message, sig))
    };
    // More than sixteen are refused by the rules, so no more are looked at.
    let all_verify = by_set.iter().take(16).all(|sig| verifies(&sig.key, &sig.sig));
    if all_verify { Ok(()) } else { Err(ChainError::BadSignature) }
}

/// Which ops of a chain are free of the rate at which it may grow: those that the
/// recovery set signs, and the device that is added next to a recovery. Whoever stole
/// the account key must not be able to hold a recovery up by using the rate up.
///
/// They have a bound all the same, the longest chain that there may be.
pub(crate) fn are_free<'a>(chain: impl IntoIterator<Item = &'a SignedOp>) -> Vec<bool> {
    let mut after_recover = false;
    let is_free = |signed| {
        let body = body(signed);
        let is_free = match body {
            Some(Body::SetRecovery(_) | Body::Recover(_)) => true,
            Some(Body::AddDevice(_)) => after_recover,
            _ => false,
        };
        after_recover = matches!(body, Some(Body::Recover(_)));
        is_free
    };
    chain.into_iter().map(is_free).collect()
}

fn body(signed: &SignedOp) -> Option<Body> {
    decode_op(&signed.payload).ok()?.body
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sotto_identity::{
        Op, Recovery, Sig,
        build::{self, drop_handle},
        encode_op,
    };

    use super::*;

    const NEW_KEY: [u8; 32] = [7; 32];

    fn op(body: Body, by: &[[u8; 32]]) -> SignedOp {
        let op = Op {
            v: 1,
            account_id: vec![1; 32],
            seq: 1,
            prev: vec![2; 32],
            ts_ms: 0,
            body: Some(body),
        };
        let sigs = by.iter().map(|key| Sig { key: key.to_vec(), sig: vec![0; 64] }).collect();
        SignedOp { payload: encode_op(&op), sigs }
    }

    fn recover() -> SignedOp {
        op(build::recover(NEW_KEY, &BTreeMap::new()), &[[1; 32], NEW_KEY])
    }

    fn set_recovery() -> SignedOp {
        let set = Recovery { threshold: 1, keys: vec![[3; 32]], delay_s: 0 };
        op(build::set_recovery(&set), &[[1; 32]])
    }

    fn add_device(by: &[[u8; 32]]) -> SignedOp {
        op(Body::AddDevice(sotto_proto::identity::AddDevice::default()), by)
    }

    #[test]
    fn what_the_recovery_set_signs_and_what_its_new_key_signs_needs_no_token() {
        let by_new = add_device(&[NEW_KEY]);
        assert!(speak_for_themselves(&[set_recovery()]));
        assert!(speak_for_themselves(&[recover(), by_new.clone()]));
        assert!(speak_for_themselves(&[set_recovery(), recover(), by_new.clone(), by_new.clone()]));

        assert!(!speak_for_themselves(&[]));
        assert!(!speak_for_themselves(std::slice::from_ref(&by_new)));
        assert!(!speak_for_themselves(&[by_new, recover()]), "the key comes with the recovery");
        for by in [&[][..], &[[8; 32]], &[NEW_KEY, [8; 32]]] {
            assert!(!speak_for_themselves(&[recover(), add_device(by)]));
        }
    }

    #[test]
    fn recoveries_and_the_device_next_to_one_are_free() {
        let chain = [
            add_device(&[]),
            set_recovery(),
            recover(),
            add_device(&[]),
            add_device(&[]),
            op(drop_handle(), &[]),
        ];
        assert_eq!(are_free(&chain), [false, true, true, true, false, false]);
    }
}
