use ed25519_dalek::SigningKey;
use sotto_identity::{
    Body, ChainError, KeyKind, Op, Recovery, Rsig, State, build, link_hash, replay,
};
use sotto_ids::AccountId;
use sotto_proto::identity::{AddDevice, Genesis};

use crate::harness::{NOW_MS, genesis_op, give_word, key, new_device, public, recovery, sign};

/// Opens an account by a genesis that was changed by `change`; everybody signs
/// what it says after that.
fn open_with(change: impl FnOnce(&mut Genesis)) -> Result<State, ChainError> {
    let mut op = genesis_op(&recovery(1, 1));
    let Some(Body::Genesis(body)) = &mut op.body else { unreachable!() };
    change(body);
    give_word(&mut op, 1);
    State::genesis(&sign(&op, &[&key("account", 1), &key("recovery", 1)]))
}

fn open_with_device(change: impl FnOnce(&mut AddDevice)) -> Result<State, ChainError> {
    open_with(|body| change(body.first_device.as_mut().unwrap()))
}

fn open_as(change: impl FnOnce(&mut Op)) -> Result<State, ChainError> {
    let mut op = genesis_op(&recovery(1, 1));
    change(&mut op);
    give_word(&mut op, 1);
    State::genesis(&sign(&op, &[&key("account", 1), &key("recovery", 1)]))
}

#[test]
fn a_genesis_opens_an_account_named_by_its_hash() {
    let signed = sign(&genesis_op(&recovery(1, 1)), &[&key("account", 1), &key("recovery", 1)]);

    let state = State::genesis(&signed).unwrap();

    assert_eq!(state.account_id, AccountId::from(link_hash(&signed.payload)));
    assert_eq!((state.seq, state.head), (0, link_hash(&signed.payload)));
    assert_eq!(state.account_key, public(&key("account", 1)));
    assert_eq!(state.recovery, recovery(1, 1));
    assert_eq!(state.home, "sotto.example");
    assert_eq!((state.handle.as_ref(), state.rotation_due), (None, false));
    let device = state.live_devices().next().unwrap();
    assert_eq!(device.identity_key, new_device(1, true).identity_key);
    assert!(device.admin);
    assert_eq!(state.unused_device_id().map(u32::from), Some(2));
}

#[test]
fn a_genesis_needs_the_account_key_and_its_threshold_of_recovery_keys() {
    let account = key("account", 1);
    let set = recovery(2, 3);
    let op = genesis_op(&set);
    let [r1, r2, r3] = [1, 2, 3].map(|number| key("recovery", number));
    let open = |by: &[&SigningKey]| State::genesis(&sign(&op, by)).map(|state| state.recovery);

    assert_eq!(open(&[&account, &r1, &r3]), Ok(set.clone()));
    assert_eq!(open(&[&r2, &account, &r1]), Ok(set), "in any order");
    assert_eq!(open(&[&account, &r1]), Err(ChainError::MissingSignature));
    assert_eq!(open(&[&r1, &r2]), Err(ChainError::MissingSignature));
    assert_eq!(open(&[]), Err(ChainError::MissingSignature));
    assert_eq!(open(&[&account, &r1, &r2, &r3]), Err(ChainError::SuperfluousSignature));
    let stranger = key("stranger", 1);
    assert_eq!(open(&[&account, &r1, &r2, &stranger]), Err(ChainError::SuperfluousSignature));
}

#[test]
fn a_recovery_set_has_its_form() {
    let open = |set: &Recovery, by: u8| {
        let account = key("account", 1);
        let signers: Vec<_> = (1..=by).map(|number| key("recovery", number)).collect();
        let all: Vec<_> = [&account].into_iter().chain(&signers).collect();
        State::genesis(&sign(&genesis_op(set), &all)).map(|state| state.recovery)
    };
    assert!(open(&recovery(15, 16), 15).is_ok());
    assert_eq!(open(&recovery(0, 1), 0), Err(ChainError::MalformedRecovery));
    assert_eq!(open(&recovery(2, 1), 1), Err(ChainError::MalformedRecovery));
    assert_eq!(open(&recovery(0, 0), 0), Err(ChainError::MalformedRecovery));
    assert_eq!(open(&recovery(1, 17), 1), Err(ChainError::MalformedRecovery));
    assert_eq!(open_with(|body| body.recovery = None), Err(ChainError::MalformedRecovery));

    let mut twice = recovery(1, 2);
    twice.keys[1] = twice.keys[0];
    assert_eq!(open(&twice, 1), Err(ChainError::KeyReused(KeyKind::Recovery)));
    let mut weak = recovery(1, 2);
    weak.keys[1] = [0; 32];
    assert_eq!(open(&weak, 1), Err(ChainError::LowOrderKey(KeyKind::Recovery)));
}

#[test]
fn the_account_key_is_a_key_and_no_recovery_key() {
    assert_eq!(
        open_with(|body| body.account_key.truncate(31)),
        Err(ChainError::MalformedKey(KeyKind::Account))
    );
    assert_eq!(
        open_with(|body| body.account_key = vec![0; 32]),
        Err(ChainError::LowOrderKey(KeyKind::Account))
    );
    assert_eq!(
        open_with(|body| body.account_key = public(&key("recovery", 1)).to_vec()),
        Err(ChainError::KeyReused(KeyKind::Account))
    );
}

#[test]
fn nonce_and_home_have_their_form() {
    for nonce in [0, 15, 17] {
        let opened = open_with(|body| body.nonce16 = vec![1; nonce]);
        assert_eq!(opened, Err(ChainError::MalformedNonce));
    }
    let long = format!("{}.example", "a".repeat(64));
    for home in ["", "Sotto.example", ".example", "a..b", "-a.b", "a-.b", "a b", "a.b:1", &long] {
        let opened = open_with(|body| body.home = home.to_owned());
        assert_eq!(opened, Err(ChainError::MalformedHome), "{home}");
    }
    for home in ["localhost", "127.0.0.1", "xn--bcher-kva.example"] {
        assert_eq!(open_with(|body| body.home = home.to_owned()).unwrap().home, home);
    }
}

#[test]
fn the_first_device_has_the_id_1_and_is_an_admin() {
    let wrong = Err(ChainError::WrongFirstDevice);
    assert_eq!(open_with(|body| body.first_device = None), wrong);
    assert_eq!(open_with_device(|device| device.device_id = 2), wrong);
    assert_eq!(open_with_device(|device| device.admin = false), wrong);
}

#[test]
fn the_first_device_gives_its_word_as_any_other() {
    for by in [Rsig::Device, Rsig::Identity, Rsig::Mls] {
        let mut op = genesis_op(&recovery(1, 1));
        build::set_rsig(&mut op, by, vec![1; 64]);
        let opened = State::genesis(&sign(&op, &[&key("account", 1), &key("recovery", 1)]));
        assert_eq!(opened, Err(ChainError::BadReverseSignature(by)));
    }
}

#[test]
fn one_key_has_one_place() {
    for taken in [key("account", 1), key("recovery", 1)] {
        let taken = public(&taken).to_vec();
        let as_device = open_with_device(|device| device.device_key.clone_from(&taken));
        let as_mls = open_with_device(|device| device.mls_key.clone_from(&taken));
        assert_eq!(as_device, Err(ChainError::KeyReused(KeyKind::Device)));
        assert_eq!(as_mls, Err(ChainError::KeyReused(KeyKind::Mls)));
    }
    let as_both = open_with_device(|device| device.mls_key.clone_from(&device.device_key));
    assert_eq!(as_both, Err(ChainError::KeyReused(KeyKind::Mls)));
}

#[test]
fn a_genesis_stands_at_the_start_of_nothing_else() {
    assert_eq!(open_as(|op| op.account_id = vec![1; 32]), Err(ChainError::WrongAccount));
    assert_eq!(open_as(|op| op.seq = 1), Err(ChainError::WrongSeq));
    assert_eq!(open_as(|op| op.prev = vec![1; 32]), Err(ChainError::WrongPrev));
    assert!(open_as(|op| op.ts_ms = NOW_MS + 1).is_ok());
}

#[test]
fn a_chain_starts_with_its_genesis() {
    let other = build::set_handle(&"alice".parse().unwrap());
    let op = Op { body: Some(other), ..genesis_op(&recovery(1, 1)) };
    let signed = sign(&op, &[&key("account", 1)]);

    assert_eq!(State::genesis(&signed), Err(ChainError::GenesisExpected));
    assert_eq!(replay([&signed]), Err(ChainError::GenesisExpected));
    assert_eq!(replay([]), Err(ChainError::EmptyChain));
}
