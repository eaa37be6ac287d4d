//! Where in which chain an op stands.

use sotto_identity::{ChainError, Op, State, build, encode_op, link_hash};
use sotto_ids::limits::{MAX_CHAIN_OPS, RECOVERY_OPS};

use crate::harness::{Chain, device_id, genesis_op, key, recovery, sign, sign_payload};

fn apply_as(chain: &Chain, change: impl FnOnce(&mut Op)) -> Result<State, ChainError> {
    let mut op = chain.next(build::set_handle(&"alice".parse().unwrap()));
    change(&mut op);
    chain.state.apply(&sign(&op, &[&chain.account]))
}

#[test]
fn an_op_follows_the_head() {
    let mut chain = Chain::open();
    chain.set_handle("alice");

    assert_eq!(chain.state.seq, 1);
    assert_eq!(chain.state.head, link_hash(&chain.ops[1].payload));
    assert_eq!(apply_as(&chain, |_| ()).unwrap().seq, 2);
}

#[test]
fn an_op_elsewhere_is_refused() {
    let mut chain = Chain::open();
    chain.set_handle("alice");
    let first = link_hash(&chain.ops[0].payload);

    for seq in [0, 1, 3, u64::MAX] {
        assert_eq!(apply_as(&chain, |op| op.seq = seq), Err(ChainError::WrongSeq));
    }
    for prev in [Vec::new(), first.as_bytes().to_vec(), vec![1; 33]] {
        assert_eq!(apply_as(&chain, |op| op.prev = prev), Err(ChainError::WrongPrev));
    }
    for account in [Vec::new(), vec![1; 32]] {
        assert_eq!(apply_as(&chain, |op| op.account_id = account), Err(ChainError::WrongAccount));
    }
}

#[test]
fn an_op_is_not_applied_twice() {
    let mut chain = Chain::open();
    chain.set_handle("alice");
    let replayed = chain.state.apply(&chain.ops[1]);
    assert_eq!(replayed, Err(ChainError::WrongSeq));
}

#[test]
fn a_chain_has_one_genesis() {
    let chain = Chain::open();
    let genesis = genesis_op(&recovery(1, 1));
    let as_next = chain.next(genesis.body.unwrap());
    let by = [&chain.account, &key("recovery", 1)];

    assert_eq!(chain.state.apply(&chain.ops[0]), Err(ChainError::UnexpectedGenesis));
    assert_eq!(chain.state.apply(&sign(&as_next, &by)), Err(ChainError::UnexpectedGenesis));
}

#[test]
fn a_body_that_is_passed_over_moves_the_head_and_nothing_else() {
    let mut chain = Chain::open();
    let before = chain.state.clone();
    let bare = Op { body: None, ..chain.next(build::revoke_device(device_id(1))) };
    // Field 1000, five bytes.
    let payload = [encode_op(&bare).as_slice(), &[0xC2, 0x3E, 5], b"hello"].concat();

    let by_device = sign_payload(payload.clone(), &[&key("device", 1)]);
    assert_eq!(chain.state.apply(&by_device), Err(ChainError::MissingSignature));

    chain.accept(sign_payload(payload.clone(), &[&chain.account]));
    let mut expected = before;
    expected.seq = 1;
    expected.head = link_hash(&payload);
    assert_eq!(chain.state, expected);
}

#[test]
fn a_chain_has_its_largest_length() {
    let mut chain = Chain::open();
    chain.add(2, true);
    let ordinary = MAX_CHAIN_OPS - RECOVERY_OPS;
    while chain.state.seq < ordinary - 2 {
        chain.set_handle("alice");
    }

    // There is room for one more, but not for the rotation after it.
    let revoke = chain.try_body(build::revoke_device(device_id(2)));
    assert_eq!(revoke, Err(ChainError::ChainTooLong));

    chain.set_handle("alice");
    assert_eq!(chain.state.seq, ordinary - 1);
    assert_eq!(apply_as(&chain, |_| ()), Err(ChainError::ChainTooLong));
}
