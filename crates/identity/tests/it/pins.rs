use sotto_identity::{
    ChainError, Evidence, EvidenceError,
    pin::{Pin, PinError, compare},
};

use crate::harness::{Chain, genesis_op, key, recovery, sign};

/// A chain of three ops.
fn pinned() -> (Chain, Pin) {
    let mut chain = Chain::open();
    chain.add(2, false);
    chain.set_handle("alice");
    let pin = Pin::of(&chain.state);
    (chain, pin)
}

/// The same account as its owner never showed it to the reader: another third op.
fn another_branch(chain: &Chain) -> Chain {
    let mut branch = Chain::open();
    branch.accept(chain.ops[1].clone());
    branch.set_handle("mallory");
    branch
}

fn evidence(error: PinError) -> Evidence {
    match error {
        PinError::Fork(Some(evidence)) => *evidence,
        other => panic!("no fork with evidence: {other:?}"),
    }
}

#[test]
fn the_same_chain_and_a_longer_one_are_taken() {
    let (chain, pin) = pinned();
    let same = compare(&pin, &chain.ops, &chain.ops).unwrap();
    assert_eq!((same.new_ops, same.account_key_changed), (0, false));

    let mut longer = chain.clone();
    longer.revoke(2);
    longer.rotate(2);
    let seen = compare(&pin, &chain.ops, &longer.ops).unwrap();
    assert_eq!((seen.new_ops, seen.account_key_changed), (2, true));
    assert_eq!(seen.state, longer.state);
}

#[test]
fn a_shorter_chain_is_a_rollback() {
    let (chain, pin) = pinned();
    for length in [1, 2] {
        let error = compare(&pin, &chain.ops, &chain.ops[..length]).unwrap_err();
        assert_eq!(error, PinError::Rollback);
        assert_eq!(error.reason(), "rollback");
    }
}

#[test]
fn another_op_at_the_pinned_place_is_a_fork_that_can_be_proven() {
    let (chain, pin) = pinned();
    let mut branch = another_branch(&chain);
    for _ in 0..2 {
        let error = compare(&pin, &chain.ops, &branch.ops).unwrap_err();

        assert_eq!(error.reason(), "fork");
        let evidence = evidence(error);
        assert_eq!((&evidence.ours, &evidence.theirs), (&chain.ops[2], &branch.ops[2]));
        assert_eq!(evidence.verify(), Ok(pin.account_id));
        // The second time the other branch is the longer one.
        branch.set_handle("mallory.b");
    }
}

#[test]
fn another_op_before_the_pinned_place_is_a_fork_even_where_the_chain_is_shorter() {
    let (mut chain, _) = pinned();
    chain.set_handle("alice.b");
    let pin = Pin::of(&chain.state);
    let branch = another_branch(&chain);

    let error = compare(&pin, &chain.ops, &branch.ops).unwrap_err();

    assert_eq!(evidence(error).shared, chain.ops[..2]);
}

#[test]
fn a_fork_is_seen_without_the_old_ops_but_not_proven() {
    let (chain, pin) = pinned();
    let branch = another_branch(&chain);
    assert_eq!(compare(&pin, &[], &branch.ops), Err(PinError::Fork(None)));

    let mut damaged = chain.ops;
    damaged[2].payload.push(0);
    assert_eq!(compare(&pin, &damaged, &branch.ops), Err(PinError::Fork(None)));
}

#[test]
fn invented_ops_are_no_fork() {
    let (chain, pin) = pinned();
    let mut invented = another_branch(&chain).ops;
    invented[2].sigs[0].sig[0] ^= 1;

    let error = compare(&pin, &chain.ops, &invented).unwrap_err();

    assert_eq!(error, PinError::Chain(ChainError::BadSignature));
    assert_eq!(error.reason(), "bad_signature");
    assert_eq!(compare(&pin, &chain.ops, &[]), Err(PinError::Chain(ChainError::EmptyChain)));
}

#[test]
fn a_chain_of_another_account_is_refused() {
    let (chain, pin) = pinned();
    let genesis = genesis_op(&recovery(1, 2));
    let other = sign(&genesis, &[&key("account", 1), &key("recovery", 2)]);
    assert_eq!(compare(&pin, &chain.ops, &[other]), Err(PinError::WrongAccount));
}

#[test]
fn evidence_survives_its_file() {
    let (chain, pin) = pinned();
    let error = compare(&pin, &chain.ops, &another_branch(&chain).ops).unwrap_err();
    let evidence = evidence(error);

    let file = evidence.to_bytes();
    let read = Evidence::from_bytes(&file).unwrap();

    assert_eq!(read, evidence);
    assert_eq!(read.verify(), Ok(pin.account_id));
    for length in [0, 5, 14, 200, file.len() - 1] {
        assert_eq!(Evidence::from_bytes(&file[..length]), Err(EvidenceError::Malformed));
    }
}

#[test]
fn evidence_that_proves_nothing_is_refused() {
    let (chain, pin) = pinned();
    let error = compare(&pin, &chain.ops, &another_branch(&chain).ops).unwrap_err();
    let evidence = evidence(error);

    let same_op = Evidence { theirs: evidence.ours.clone(), ..evidence.clone() };
    assert_eq!(same_op.verify(), Err(EvidenceError::SameOp));
    let mut tampered = evidence.clone();
    tampered.theirs.sigs[0].sig[0] ^= 1;
    assert_eq!(tampered.verify(), Err(EvidenceError::Chain(ChainError::BadSignature)));
    let without_a_start = Evidence { shared: Vec::new(), ..evidence };
    assert_eq!(without_a_start.verify(), Err(EvidenceError::Chain(ChainError::EmptyChain)));
}
