//! What the recovery set may do, and nobody else.

use ed25519_dalek::SigningKey;
use sotto_identity::{Body, ChainError, KeyKind, Recovery, State, build, replay};
use sotto_ids::limits::{MAX_CHAIN_OPS, RECOVERY_OPS};
use sotto_proto::identity::{KeptDevice, Recover};

use crate::harness::{Chain, device_id, genesis_op, kept, key, new_device, public, recovery, sign};

/// An account whose recovery set is `threshold` of `of`.
fn chain_of(threshold: u32, of: u8) -> Chain {
    let account = key("account", 1);
    let set = recovery(threshold, of);
    let signers: Vec<_> =
        (1..=of).take(threshold.try_into().unwrap()).map(|n| key("recovery", n)).collect();
    let all: Vec<_> = signers.iter().chain([&account]).collect();
    let signed = sign(&genesis_op(&set), &all);
    let state = State::genesis(&signed).unwrap();
    Chain { account, ops: vec![signed], state }
}

fn set_of(numbers: &[u8]) -> Recovery {
    let keys = numbers.iter().map(|&number| public(&key("recovery", number))).collect();
    Recovery { threshold: 1, keys, delay_s: 0 }
}

fn set(chain: &Chain, new: &Recovery, by: &[&SigningKey]) -> Result<State, ChainError> {
    chain.state.apply(&sign(&chain.next(build::set_recovery(new)), by))
}

#[test]
fn the_old_set_appoints_the_new_one() {
    let mut chain = chain_of(2, 3);
    let new = set_of(&[4, 3]);
    let [r1, r2, r3, r4] = [1, 2, 3, 4].map(|number| key("recovery", number));

    let account = chain.account.clone();
    assert_eq!(set(&chain, &new, &[&account]), Err(ChainError::MissingSignature));
    assert_eq!(set(&chain, &new, &[&r1]), Err(ChainError::MissingSignature));
    assert_eq!(set(&chain, &new, &[&r4, &r1]), Err(ChainError::MissingSignature));
    assert_eq!(set(&chain, &new, &[&r1, &r2, &r3]), Err(ChainError::SuperfluousSignature));
    assert_eq!(set(&chain, &new, &[&r1, &r2, &account]), Err(ChainError::SuperfluousSignature));

    chain.accept(sign(&chain.next(build::set_recovery(&new)), &[&r3, &r1]));
    assert_eq!(chain.state.recovery, new);
    assert_eq!(set(&chain, &set_of(&[5]), &[&r1, &r2]), Err(ChainError::MissingSignature));
    assert!(set(&chain, &set_of(&[5]), &[&r4]).is_ok());
}

#[test]
fn a_set_has_its_form_and_keys_of_its_own() {
    let mut chain = chain_of(1, 1);
    let by = key("recovery", 1);
    let try_keys = |chain: &Chain, keys: Vec<[u8; 32]>, threshold| {
        set(chain, &Recovery { threshold, keys, delay_s: 0 }, &[&by]).map(|_| ())
    };
    assert_eq!(try_keys(&chain, vec![], 0), Err(ChainError::MalformedRecovery));
    assert_eq!(try_keys(&chain, recovery(1, 3).keys, 4), Err(ChainError::MalformedRecovery));
    for (role, number) in [("account", 1), ("device", 1), ("mls", 1)] {
        let taken = try_keys(&chain, vec![public(&key(role, number))], 1);
        assert_eq!(taken, Err(ChainError::KeyReused(KeyKind::Recovery)), "{role}");
    }

    // A key that was dropped has no place any more, neither here nor elsewhere.
    chain.accept(sign(&chain.next(build::set_recovery(&set_of(&[2]))), &[&by]));
    let back = set(&chain, &set_of(&[1, 2]), &[&key("recovery", 2)]);
    assert_eq!(back, Err(ChainError::KeyReused(KeyKind::Recovery)));
    let rotate = build::rotate_account(public(&by));
    let rotated = chain.state.apply(&sign(&chain.next(rotate), &[&chain.account, &by]));
    assert_eq!(rotated, Err(ChainError::KeyReused(KeyKind::Account)));
}

/// Sixteen could never recover: their signatures and that of the new account key are
/// more than an op may have.
#[test]
fn a_threshold_leaves_room_for_the_account_key() {
    let chain = chain_of(1, 1);
    let by = key("recovery", 1);
    let keys: Vec<_> = (1..=16).map(|number| public(&key("recovery", number))).collect();
    let of = |threshold| Recovery { threshold, keys: keys.clone(), delay_s: 0 };

    assert!(set(&chain, &of(15), &[&by]).is_ok());
    assert_eq!(set(&chain, &of(16), &[&by]), Err(ChainError::MalformedRecovery));
}

#[test]
fn a_recovery_needs_the_threshold_and_the_new_account_key() {
    let mut chain = chain_of(2, 3);
    chain.add(2, true);
    let new = key("account", 2);
    let op = chain.next(build::recover(public(&new), &kept(&[(2, true)])));
    let [r1, r2, r3] = [1, 2, 3].map(|number| key("recovery", number));
    let recover = |by: &[&SigningKey]| chain.state.apply(&sign(&op, by)).map(|_| ());

    assert_eq!(recover(&[&chain.account, &new]), Err(ChainError::MissingSignature));
    assert_eq!(recover(&[&r1, &new]), Err(ChainError::MissingSignature));
    assert_eq!(recover(&[&r1, &r2]), Err(ChainError::MissingSignature));
    assert_eq!(recover(&[&r1, &r2, &r3, &new]), Err(ChainError::SuperfluousSignature));
    assert_eq!(recover(&[&r1, &r2, &new, &chain.account]), Err(ChainError::SuperfluousSignature));
    assert_eq!(recover(&[&new, &r3, &r1]), Ok(()));
}

#[test]
fn a_recovery_keeps_the_devices_that_it_names_and_no_other() {
    let mut chain = Chain::open();
    chain.add(2, false);
    chain.add(3, true);
    let old = chain.account.clone();

    // What was a second device becomes the one that holds the new key.
    chain.recover(2, &[(2, true)]);

    assert_eq!(chain.live(), [2]);
    assert_eq!(chain.state.account_key, public(&key("account", 2)));
    assert_eq!(chain.state.devices[&device_id(3)].revoked_at_seq, Some(3));
    assert!(chain.state.live_device(device_id(2)).unwrap().admin);
    let handle = chain.next(build::set_handle(&"alice".parse().unwrap()));
    assert_eq!(chain.state.apply(&sign(&handle, &[&old])), Err(ChainError::MissingSignature));
    chain.set_handle("alice");
    assert_eq!(replay(&chain.ops), Ok(chain.state));
}

#[test]
fn an_admin_that_is_kept_as_none_is_none_any_more() {
    let mut chain = Chain::open();
    chain.add(2, true);

    chain.recover(2, &[(1, false), (2, true)]);

    assert_eq!(chain.live(), [1, 2]);
    let last = chain.try_body(build::revoke_device(device_id(2)));
    assert_eq!(last, Err(ChainError::LastAdmin));
    // Device 1 does not have the new account key, so nothing has to be rotated.
    chain.revoke(1);
    assert!(!chain.state.rotation_due);
}

#[test]
fn a_client_that_has_lost_everything_comes_back_with_its_words() {
    let mut chain = Chain::open();
    chain.add(2, false);
    let before = chain.clone();

    chain.recover(2, &[]);
    assert!(chain.state.admin_due && chain.live().is_empty());
    let recover = chain.ops.last().unwrap().clone();
    assert_eq!(before.state.apply_all([&recover]), Err(ChainError::AdminDue));

    // Nothing goes on but a device that holds the new key.
    let due = Err(ChainError::AdminDue);
    assert_eq!(chain.try_add(&new_device(3, false)).map(|_| ()), due);
    let handle = build::set_handle(&"alice".parse().unwrap());
    assert_eq!(chain.try_body(handle).map(|_| ()), due);
    assert_eq!(set(&chain, &set_of(&[2]), &[&key("recovery", 1)]).map(|_| ()), due);
    assert_eq!(chain.state.apply(&chain.recover_op(3, &[], &[1])).map(|_| ()), due);

    chain.add(3, true);
    let add = chain.ops.last().unwrap();
    let after = before.state.apply_all([&recover, add]).unwrap();
    assert_eq!(after, chain.state);
    assert!(!after.admin_due);
    assert_eq!(chain.live(), [3]);
}

#[test]
fn a_device_that_a_recovery_revoked_does_not_come_back() {
    let mut chain = Chain::open();
    chain.add(2, false);
    chain.recover(2, &[(1, true)]);

    assert_eq!(chain.try_add(&new_device(2, false)), Err(ChainError::DeviceIdReused));
    let mut same_keys = new_device(2, false);
    same_keys.id = device_id(3);
    let op = chain.next(build::add_device(&same_keys));
    let added = chain.state.apply(&sign(&op, &[&chain.account]));
    assert_eq!(added, Err(ChainError::KeyReused(KeyKind::Device)));
}

#[test]
fn the_devices_that_are_kept_are_live_and_stand_in_order() {
    let mut chain = Chain::open();
    chain.add(2, false);
    chain.add(3, false);
    chain.revoke(3);
    let recover = |ids: &[u32]| {
        let keep = ids.iter().map(|&device_id| KeptDevice { device_id, admin: true }).collect();
        let new = key("account", 2);
        let body = Recover { account_key: public(&new).to_vec(), keep };
        let op = chain.next(Body::Recover(body));
        chain.state.apply(&sign(&op, &[&key("recovery", 1), &new])).map(|_| ())
    };

    assert_eq!(recover(&[1, 2]), Ok(()));
    assert_eq!(recover(&[2, 1]), Err(ChainError::UnorderedDevices));
    assert_eq!(recover(&[1, 1]), Err(ChainError::UnorderedDevices));
    assert_eq!(recover(&[1, 3]), Err(ChainError::DeviceRevoked));
    assert_eq!(recover(&[1, 4]), Err(ChainError::UnknownDevice));
    assert_eq!(recover(&[0]), Err(ChainError::MalformedDeviceId));
    assert_eq!(recover(&[128]), Err(ChainError::MalformedDeviceId));
}

#[test]
fn a_recovery_brings_a_key_that_was_never_here() {
    let mut chain = Chain::open();
    chain.rotate(2);
    for number in [1, 2] {
        let recovered = chain.state.apply(&chain.recover_op(number, &[(1, true)], &[1]));
        assert_eq!(recovered, Err(ChainError::KeyReused(KeyKind::Account)));
    }
    let by = key("recovery", 1);
    let op = chain.next(build::recover(public(&by), &kept(&[(1, true)])));
    let recovered = chain.state.apply(&sign(&op, &[&by]));
    assert_eq!(recovered, Err(ChainError::KeyReused(KeyKind::Account)));
}

/// Otherwise a set with a delay could be replaced by one without, and the delay would
/// be worth nothing.
#[test]
fn a_set_with_a_delay_does_nothing_yet() {
    let account = key("account", 1);
    let by = key("recovery", 1);
    let set_with_delay = Recovery { delay_s: 86_400, ..recovery(1, 1) };
    let signed = sign(&genesis_op(&set_with_delay), &[&account, &by]);
    let state = State::genesis(&signed).unwrap();
    let chain = Chain { account, ops: vec![signed], state };

    let recovered = chain.state.apply(&chain.recover_op(2, &[(1, true)], &[1]));
    assert_eq!(recovered, Err(ChainError::RecoveryDelayed));
    assert_eq!(set(&chain, &set_of(&[2]), &[&by]), Err(ChainError::RecoveryDelayed));
    assert_eq!(set(&Chain::open(), &set_with_delay, &[&by]), Err(ChainError::RecoveryDelayed));
}

/// Whoever has the account key can fill what is theirs, and holds no recovery up by it.
/// Caught with the reserve of either taken out: no room is left then.
#[test]
fn a_thief_leaves_room_for_recoveries_and_their_devices() {
    let mut chain = Chain::open();
    for number in 2..=111 {
        chain.add(number, false);
        chain.revoke(number);
    }
    while chain.state.seq < MAX_CHAIN_OPS - RECOVERY_OPS - 1 {
        chain.set_handle("mine_now");
    }
    let handle = chain.try_body(build::set_handle(&"alice".parse().unwrap()));
    assert_eq!(handle, Err(ChainError::ChainTooLong));

    // As often as there is room for two ops, and for ids: 16 times.
    for round in 0..16 {
        chain.recover(2 + round, &[]);
        chain.add(112 + round, true);
    }
    assert_eq!(chain.live(), [127]);
    let once_more = chain.state.apply(&chain.recover_op(40, &[], &[1])).map(|_| ());
    assert_eq!(once_more, Err(ChainError::ChainTooLong));
}

#[test]
fn a_recovery_that_no_device_could_follow_is_refused() {
    let mut chain = Chain::open();
    for number in 2..=111 {
        chain.add(number, false);
        chain.revoke(number);
    }
    for round in 0..16 {
        chain.recover(2 + round, &[]);
        chain.add(112 + round, true);
    }
    let recover = |chain: &Chain, keep: &[(u8, bool)]| {
        chain.state.apply(&chain.recover_op(40, keep, &[1])).map(|_| ())
    };

    assert_eq!(recover(&chain, &[]), Err(ChainError::DeviceIdsExhausted));
    assert_eq!(recover(&chain, &[(127, true)]), Ok(()));
}
