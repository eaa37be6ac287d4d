//! Bytes that must never change: chains are kept for good, and other
//! implementations read them.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sotto_identity::{
    Endpoint, EndpointKind, Op, SignedOp, build, encode_op, link_hash, replay,
    safety_number::safety_number,
};
use sotto_ids::AccountId;

use crate::harness::{Chain, device_id, key, public, recovery, seed, sign, sign_payload};

const VECTORS: &str = include_str!("../vectors/sigchain.json");

/// A chain with each kind of op, from keys that are the same in each run.
fn chain() -> (Chain, [&'static str; 12]) {
    let mut chain = Chain::open();
    chain.add(2, true);
    chain.set_handle("alice");
    let bare = Op { body: None, ..chain.next(build::revoke_device(device_id(1))) };
    let note = [encode_op(&bare).as_slice(), &[0xC2, 0x3E, 5], b"hello"].concat();
    chain.accept(sign_payload(note, &[&chain.account]));
    chain.revoke(2);
    chain.rotate(2);
    let relay = Endpoint { kind: EndpointKind::Relay, url: "https://relay.example".to_owned() };
    chain.accept(chain.signed(build::add_endpoint(&relay)));
    chain.accept(chain.signed(build::drop_endpoint(&relay)));
    chain.accept(chain.signed(build::drop_handle()));
    let set = build::set_recovery(&recovery(1, 2));
    chain.accept(sign(&chain.next(set), &[&key("recovery", 1)]));
    chain.accept(chain.recover_op(4, &[], &[2]));
    chain.account = key("account", 4);
    chain.add(3, true);
    let names = [
        "genesis",
        "add_device",
        "set_handle",
        "passed_over",
        "revoke_device",
        "rotate_account",
        "add_endpoint",
        "drop_endpoint",
        "drop_handle",
        "set_recovery",
        "recover",
        "add_device",
    ];
    (chain, names)
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn vector((name, signed): (&str, &SignedOp)) -> Value {
    let sigs: Vec<_> = signed
        .sigs
        .iter()
        .map(|sig| json!({ "key": hex(&sig.key), "sig": hex(&sig.sig) }))
        .collect();
    json!({
        "op": name,
        "payload": hex(&signed.payload),
        "sigs": sigs,
        "link_hash": hex(link_hash(&signed.payload).as_bytes()),
    })
}

fn private_keys() -> Value {
    let roles = [
        ("account", 1),
        ("account", 2),
        ("account", 4),
        ("recovery", 1),
        ("recovery", 2),
        ("device", 1),
        ("identity", 1),
        ("mls", 1),
        ("device", 2),
        ("identity", 2),
        ("mls", 2),
        ("device", 3),
        ("identity", 3),
        ("mls", 3),
    ];
    roles
        .iter()
        .map(|&(role, number)| (format!("{role} {number}"), json!(hex(&seed(role, number)))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn fixed_keys_give_the_committed_bytes() {
    let (chain, names) = chain();
    let other = AccountId::new([0; 32]);
    let other_key = public(&key("account", 3));
    let state = &chain.state;
    let own_key = public(&key("account", 2));

    let actual = json!({
        "private_keys": private_keys(),
        "account_id": state.account_id.to_string(),
        "uuid": state.account_id.uuid().to_string(),
        "ops": names.into_iter().zip(&chain.ops).map(vector).collect::<Vec<_>>(),
        "safety_number": {
            "account_key": hex(&own_key),
            "other_account_id": other.to_string(),
            "other_account_key": hex(&other_key),
            "digits": safety_number(
                (state.account_id, &own_key),
                (other, &other_key),
            ),
        },
    });

    let expected: Value = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(actual, expected, "as a file:\n{actual:#}");
}

#[test]
fn the_committed_chain_is_valid() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let unhex = |value: &Value| HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
    let ops: Vec<SignedOp> = vectors["ops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|op| {
            let sigs = op["sigs"].as_array().unwrap().iter();
            let pair = |sig: &Value| {
                (unhex(&sig["key"]).try_into().unwrap(), unhex(&sig["sig"]).try_into().unwrap())
            };
            build::signed(unhex(&op["payload"]), sigs.map(pair).collect::<Vec<_>>())
        })
        .collect();

    let state = replay(&ops).unwrap();

    assert_eq!(json!(state.account_id.to_string()), vectors["account_id"]);
    assert_eq!(state.handle, None);
    assert_eq!((state.seq, state.account_key), (11, public(&key("account", 4))));
    assert_eq!(state.recovery, recovery(1, 2));
    assert_eq!(state.devices[&device_id(2)].revoked_at_seq, Some(4));
    assert_eq!(state.devices[&device_id(1)].revoked_at_seq, Some(10));
    assert_eq!(state.live_devices().map(|device| device.id).collect::<Vec<_>>(), [device_id(3)]);
}
