use proptest::prelude::*;
use prost::Message as _;
use sotto_identity::{
    Body, Endpoint, EndpointKind, Evidence, Op, Recovery, SignedOp, State, build, decode_op,
    encode_op, replay,
};
use sotto_ids::limits::{MAX_ENDPOINTS, MAX_LIVE_DEVICES};
use sotto_proto::identity as pb;

use crate::harness::{
    Chain, NOW_MS, device_id, genesis_op, kept, key, new_device, public, recovery, sign,
    sign_payload,
};

/// Something that whoever holds the account key may try.
#[derive(Debug, Clone)]
enum Attempt {
    Add {
        number: u8,
        admin: bool,
    },
    Revoke {
        number: u8,
    },
    Rotate {
        number: u8,
    },
    SetHandle,
    DropHandle,
    AddEndpoint {
        number: u8,
    },
    DropEndpoint {
        number: u8,
    },
    /// A recovery set of one's own, with or without the word of its key.
    SetRecovery {
        with_its_word: bool,
    },
    /// A recovery by a recovery key of one's own.
    Recover {
        number: u8,
        keep_first: bool,
    },
    /// A genesis with a recovery set of one's own.
    GenesisAgain,
    /// A body by its field number, saying what a recovery set says.
    Raw {
        field: u8,
    },
    /// A body that is passed over.
    Note {
        content: Vec<u8>,
    },
}

fn attempts() -> impl Strategy<Value = Attempt> {
    prop_oneof![
        4 => (1..=15_u8, any::<bool>()).prop_map(|(number, admin)| Attempt::Add { number, admin }),
        3 => (1..=15_u8).prop_map(|number| Attempt::Revoke { number }),
        3 => (1..=6_u8).prop_map(|number| Attempt::Rotate { number }),
        1 => Just(Attempt::SetHandle),
        1 => Just(Attempt::DropHandle),
        1 => (1..=20_u8).prop_map(|number| Attempt::AddEndpoint { number }),
        1 => (1..=20_u8).prop_map(|number| Attempt::DropEndpoint { number }),
        2 => any::<bool>().prop_map(|with_its_word| Attempt::SetRecovery { with_its_word }),
        2 => (1..=6_u8, any::<bool>())
            .prop_map(|(number, keep_first)| Attempt::Recover { number, keep_first }),
        1 => Just(Attempt::GenesisAgain),
        2 => (6..=60_u8).prop_map(|field| Attempt::Raw { field }),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|content| Attempt::Note { content }),
    ]
}

fn endpoint(number: u8) -> Endpoint {
    Endpoint { kind: EndpointKind::Relay, url: format!("https://{number}.example") }
}

fn raw(chain: &Chain, field: u32, content: &[u8]) -> SignedOp {
    let bare = Op { body: None, ..chain.next(build::revoke_device(device_id(1))) };
    let mut payload = encode_op(&bare);
    prost::encoding::bytes::encode(field, &content.to_vec(), &mut payload);
    sign_payload(payload, &[&chain.account])
}

fn try_it(chain: &mut Chain, attempt: Attempt) {
    let own_set = || {
        let keys = vec![public(&key("stranger", 1)).to_vec()];
        pb::Recovery { threshold: 1, keys, delay_s: 0 }
    };
    let signed = match attempt {
        Attempt::Add { number, admin } => {
            sign(&chain.add_op(&new_device(number, admin)), &[&chain.account])
        }
        Attempt::Revoke { number } => chain.signed(build::revoke_device(device_id(number))),
        Attempt::Rotate { number } => chain.rotate_op(number),
        Attempt::SetHandle => chain.signed(build::set_handle(&"alice".parse().unwrap())),
        Attempt::DropHandle => chain.signed(build::drop_handle()),
        Attempt::AddEndpoint { number } => chain.signed(build::add_endpoint(&endpoint(number))),
        Attempt::DropEndpoint { number } => chain.signed(build::drop_endpoint(&endpoint(number))),
        Attempt::SetRecovery { with_its_word } => {
            let stranger = key("stranger", 1);
            let new = Recovery { threshold: 1, keys: vec![public(&stranger)], delay_s: 0 };
            let op = chain.next(build::set_recovery(&new));
            let by: &[_] =
                if with_its_word { &[&chain.account, &stranger] } else { &[&chain.account] };
            sign(&op, by)
        }
        Attempt::Recover { number, keep_first } => {
            let new = key("account", number);
            let keep = kept(if keep_first { &[(1, true)] } else { &[] });
            let op = chain.next(build::recover(public(&new), &keep));
            sign(&op, &[&chain.account, &new, &key("stranger", 1)])
        }
        Attempt::GenesisAgain => {
            let mut op = genesis_op(&recovery(1, 1));
            let Some(Body::Genesis(body)) = &mut op.body else { unreachable!() };
            body.recovery = Some(own_set());
            sign(&chain.next(op.body.unwrap()), &[&chain.account, &key("stranger", 1)])
        }
        Attempt::Raw { field } => raw(chain, u32::from(field), &own_set().encode_to_vec()),
        Attempt::Note { content } => raw(chain, 1000, &content),
    };
    if let Ok(next) = chain.state.apply(&signed) {
        assert_eq!(next.seq, chain.state.seq + 1);
        let known = (1..=6).map(|number| key("account", number));
        chain.account = known.into_iter().find(|key| public(key) == next.account_key).unwrap();
        chain.state = next;
        chain.ops.push(signed);
    }
}

/// A chain with each kind of op.
fn chain_of_all_kinds() -> Chain {
    let mut chain = Chain::open();
    chain.add(2, true);
    chain.set_handle("alice");
    chain.accept(raw(&chain, 1000, b"note"));
    chain.revoke(2);
    chain.rotate(2);
    chain.accept(chain.signed(build::add_endpoint(&endpoint(1))));
    chain.accept(chain.signed(build::drop_endpoint(&endpoint(1))));
    chain.accept(chain.signed(build::drop_handle()));
    let set = build::set_recovery(&recovery(1, 2));
    chain.accept(sign(&chain.next(set), &[&key("recovery", 1)]));
    chain.recover(3, &[]);
    chain.add(3, true);
    chain
}

/// Changes that a careless or malicious carrier makes to bytes.
fn mutate(bytes: &mut Vec<u8>, (kind, at, with): (u8, usize, u8)) {
    let at = at % (bytes.len() + 1);
    match kind % 4 {
        0 if at < bytes.len() => bytes[at] ^= with.max(1),
        1 if at < bytes.len() => drop(bytes.remove(at)),
        2 => bytes.insert(at, with),
        _ => bytes.truncate(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Caught: a `set_recovery` by the account key.
    #[test]
    fn no_sequence_of_ops_by_the_account_key_changes_the_recovery_set(
        sequence in prop::collection::vec(attempts(), 1..40),
    ) {
        let mut chain = Chain::open();
        for attempt in sequence {
            try_it(&mut chain, attempt);

            prop_assert_eq!(&chain.state.recovery, &recovery(1, 1));
            prop_assert!(chain.state.live_devices().any(|device| device.admin));
            prop_assert!(chain.live().len() <= MAX_LIVE_DEVICES);
            prop_assert!(chain.state.endpoints.len() <= MAX_ENDPOINTS);
        }
        prop_assert_eq!(replay(&chain.ops), Ok(chain.state));
    }

    /// Whatever the account key did before, the recovery set takes the account back,
    /// and those who held the account key have no say any more.
    ///
    /// Caught: a recovery that leaves the devices on, and one by the old account key.
    #[test]
    fn the_recovery_set_takes_back_an_account_from_whoever_holds_its_key(
        sequence in prop::collection::vec(attempts(), 1..20),
    ) {
        let mut chain = Chain::open();
        for attempt in sequence {
            try_it(&mut chain, attempt);
        }
        // The thief may have left where a rotation is due; a server does not.
        if chain.state.rotation_due {
            chain.rotate(7);
        }
        let thief = chain.account.clone();

        chain.recover(8, &[]);
        chain.add(20, true);

        prop_assert_eq!(chain.live(), [20]);
        let op = chain.next(build::drop_endpoint(&endpoint(1)));
        prop_assert!(chain.state.apply(&sign(&op, &[&thief])).is_err());
        let op = chain.next(build::set_handle(&"thief".parse().unwrap()));
        prop_assert!(chain.state.apply(&sign(&op, &[&thief])).is_err());
        chain.set_handle("alice");
        prop_assert_eq!(replay(&chain.ops), Ok(chain.state));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_mutated_op_is_refused_without_a_panic(
        index in 0..12_usize,
        in_payload in any::<bool>(),
        mutations in prop::collection::vec((any::<u8>(), any::<usize>(), any::<u8>()), 1..4),
    ) {
        let chain = chain_of_all_kinds();
        let before = &chain.ops[..index];
        let mut signed = chain.ops[index].clone();
        for mutation in mutations {
            if in_payload {
                mutate(&mut signed.payload, mutation);
            } else {
                let sig = &mut signed.sigs[0];
                mutate(if mutation.1 % 2 == 0 { &mut sig.key } else { &mut sig.sig }, mutation);
            }
        }
        let changed = signed != chain.ops[index];

        let applied = match index {
            0 => State::genesis(&signed),
            _ => replay(before).unwrap().apply(&signed),
        };

        prop_assert_eq!(applied.is_err(), changed);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        prop_assert!(decode_op(&bytes).is_err());
        let state = Chain::open().state;
        let signed = SignedOp { payload: bytes.clone(), sigs: Vec::new() };
        prop_assert!(state.apply(&signed).is_err());
        prop_assert!(State::genesis(&signed).is_err());
        let file = [b"sotto/fork/v1\n".as_slice(), &bytes].concat();
        if let Ok(evidence) = Evidence::from_bytes(&file) {
            prop_assert!(evidence.verify().is_err());
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_to_the_same(
        seq in any::<u64>(),
        ts_ms in any::<u64>(),
        device in any::<u32>(),
    ) {
        let body = Body::RevokeDevice(pb::RevokeDevice { device_id: device });
        let state = Chain::open().state;
        let op = Op { seq, ts_ms, ..state.next_op(body, NOW_MS) };
        prop_assert_eq!(decode_op(&encode_op(&op)), Ok(op));
    }
}
