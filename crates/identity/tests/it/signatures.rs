use sotto_identity::{ChainError, Sig, SignedOp, State, build};

use crate::harness::{Chain, NOW_MS, key, sign};

fn set_handle(chain: &Chain) -> SignedOp {
    chain.signed(build::set_handle(&"alice".parse().unwrap()))
}

fn refusal(chain: &Chain, change: impl FnOnce(&mut SignedOp)) -> Result<State, ChainError> {
    let mut signed = set_handle(chain);
    change(&mut signed);
    chain.state.apply(&signed)
}

#[test]
fn a_signature_over_other_bytes_is_refused() {
    let chain = Chain::open();
    for bit in [0, 100, 300, 511] {
        let bad = refusal(&chain, |signed| signed.sigs[0].sig[bit / 8] ^= 1 << (bit % 8));
        assert_eq!(bad, Err(ChainError::BadSignature));
    }
    let short = refusal(&chain, |signed| signed.sigs[0].sig.truncate(63));
    assert_eq!(short, Err(ChainError::BadSignature));
    let with_a_short_key = refusal(&chain, |signed| signed.sigs[0].key.truncate(31));
    assert_eq!(with_a_short_key, Err(ChainError::BadSignature));

    let other = chain.state.next_op(build::set_handle(&"alice".parse().unwrap()), NOW_MS + 1);
    let of_another_op = refusal(&chain, |signed| {
        signed.sigs = sign(&other, &[&chain.account]).sigs;
    });
    assert_eq!(of_another_op, Err(ChainError::BadSignature));
}

#[test]
fn just_the_keys_that_are_needed_sign() {
    let chain = Chain::open();
    let extra = set_handle(&Chain { account: key("stranger", 1), ..chain.clone() }).sigs;

    let none = refusal(&chain, |signed| signed.sigs.clear());
    assert_eq!(none, Err(ChainError::MissingSignature));
    let by_a_stranger = refusal(&chain, |signed| signed.sigs.clone_from(&extra));
    assert_eq!(by_a_stranger, Err(ChainError::MissingSignature));
    let one_too_many = refusal(&chain, |signed| signed.sigs.extend(extra));
    assert_eq!(one_too_many, Err(ChainError::SuperfluousSignature));
    let twice = refusal(&chain, |signed| signed.sigs.extend(signed.sigs.clone()));
    assert_eq!(twice, Err(ChainError::DuplicateSignature));
}

#[test]
fn an_op_has_16_signatures_at_most() {
    let chain = Chain::open();
    let junk = |number: u8| Sig { key: vec![number; 32], sig: vec![0; 64] };

    let sixteen = refusal(&chain, |signed| signed.sigs.extend((1..=15).map(junk)));
    assert_eq!(sixteen, Err(ChainError::SuperfluousSignature));
    let seventeen = refusal(&chain, |signed| signed.sigs.extend((1..=16).map(junk)));
    assert_eq!(seventeen, Err(ChainError::TooManySignatures));
}

#[test]
fn neither_device_nor_recovery_key_does_what_the_account_key_does() {
    let chain = Chain::open();
    let op = chain.next(build::set_handle(&"alice".parse().unwrap()));
    for by in [key("device", 1), key("mls", 1), key("recovery", 1)] {
        let applied = chain.state.apply(&sign(&op, &[&by]));
        assert_eq!(applied, Err(ChainError::MissingSignature));
    }
}

#[test]
fn a_signature_for_another_purpose_signs_no_op() {
    use ed25519_dalek::Signer as _;
    let chain = Chain::open();

    let unlabelled = refusal(&chain, |signed| {
        signed.sigs[0].sig = chain.account.sign(&signed.payload).to_vec();
    });

    assert_eq!(unlabelled, Err(ChainError::BadSignature));
}
