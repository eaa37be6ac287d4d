use ed25519_dalek::SigningKey;
use sotto_identity::{
    Body, ChainError, KeyKind, Rsig, State,
    build::{self, NewDevice},
};
use sotto_proto::identity::{AddDevice, RevokeDevice};

use crate::harness::{Chain, device_id, give_word, identity_key, key, new_device, public, sign};

/// Adds device 2 by a body that was changed by `change`; everybody signs what it
/// says after that.
fn add_with(chain: &Chain, change: impl FnOnce(&mut AddDevice)) -> Result<State, ChainError> {
    let mut op = chain.add_op(&new_device(2, false));
    let Some(Body::AddDevice(body)) = &mut op.body else { unreachable!() };
    change(body);
    give_word(&mut op, 2);
    chain.state.apply(&sign(&op, &[&chain.account]))
}

#[test]
fn a_device_is_added_by_the_account_key_and_with_its_consent() {
    let mut chain = Chain::open();

    chain.add(2, false);

    assert_eq!(chain.live(), [1, 2]);
    let device = &chain.state.devices[&device_id(2)];
    assert_eq!(device.device_key, public(&key("device", 2)));
    assert_eq!(device.identity_key, identity_key(2));
    assert_eq!(device.mls_key, public(&key("mls", 2)));
    assert_eq!((device.registration_id, device.admin), (102, false));
    assert_eq!(device.revoked_at_seq, None);
}

#[test]
fn a_device_without_the_word_of_each_of_its_keys_is_refused() {
    let chain = Chain::open();
    let other = chain.add_op(&new_device(3, false));
    let Some(Body::AddDevice(other)) = other.body else { unreachable!() };
    for (by, of_another) in [
        (Rsig::Device, other.rsig_device),
        (Rsig::Identity, other.rsig_identity),
        (Rsig::Mls, other.rsig_mls),
    ] {
        for signature in [Vec::new(), vec![0; 64], vec![0; 65], of_another] {
            let mut op = chain.add_op(&new_device(2, false));
            build::set_rsig(&mut op, by, signature);
            let added = chain.state.apply(&sign(&op, &[&chain.account]));
            assert_eq!(added, Err(ChainError::BadReverseSignature(by)));
        }
    }
}

#[test]
fn a_word_is_given_to_one_op_of_one_account() {
    let mut chain = Chain::open();
    let earlier = chain.add_op(&new_device(2, false));
    chain.set_handle("alice");
    let mut op = chain.next(earlier.body.unwrap());

    let added = chain.state.apply(&sign(&op, &[&chain.account]));
    assert_eq!(added, Err(ChainError::BadReverseSignature(Rsig::Device)));

    give_word(&mut op, 2);
    assert!(chain.state.apply(&sign(&op, &[&chain.account])).is_ok());
}

#[test]
fn keys_of_a_device_have_their_form() {
    let chain = Chain::open();
    let add = |change: fn(&mut AddDevice)| add_with(&chain, change).map(|_| ());
    let malformed = |kind| Err(ChainError::MalformedKey(kind));
    let low_order = |kind| Err(ChainError::LowOrderKey(kind));

    assert_eq!(add(|body| body.device_key.push(0)), malformed(KeyKind::Device));
    assert_eq!(add(|body| body.device_key = vec![0; 32]), low_order(KeyKind::Device));
    assert_eq!(add(|body| body.mls_key.clear()), malformed(KeyKind::Mls));
    assert_eq!(add(|body| body.mls_key = vec![0; 32]), low_order(KeyKind::Mls));
    assert_eq!(add(|body| body.identity_key[0] = 4), malformed(KeyKind::Identity));
    assert_eq!(add(|body| body.identity_key[32] |= 0x80), malformed(KeyKind::Identity));
    assert_eq!(add(|body| body.identity_key[1..].fill(0)), low_order(KeyKind::Identity));
}

#[test]
fn numbers_of_a_device_have_their_range() {
    let chain = Chain::open();
    for id in [0, 128, u32::MAX] {
        let added = add_with(&chain, |body| body.device_id = id);
        assert_eq!(added, Err(ChainError::MalformedDeviceId));
    }
    for id in [0, 16_381, u32::MAX] {
        let added = add_with(&chain, |body| body.registration_id = id);
        assert_eq!(added, Err(ChainError::MalformedRegistrationId));
    }
    for id in [1, 16_380] {
        assert!(add_with(&chain, |body| body.registration_id = id).is_ok());
    }
}

#[test]
fn a_device_brings_keys_that_the_account_never_had() {
    let mut chain = Chain::open();
    chain.add(2, false);
    chain.revoke(2);
    chain.rotate(2);
    let add = |change: fn(&mut NewDevice)| {
        let mut device = new_device(3, false);
        change(&mut device);
        chain.try_add(&device).map(|_| ())
    };

    let reused = |kind| Err(ChainError::KeyReused(kind));
    assert_eq!(add(|new| new.identity_key = identity_key(2)), reused(KeyKind::Identity));
    for (role, number) in [("device", 2), ("mls", 1), ("account", 1), ("account", 2)] {
        let taken = public(&key(role, number));
        let as_device = NewDevice { device_key: taken, ..new_device(3, false) };
        let as_mls = NewDevice { mls_key: taken, ..new_device(3, false) };
        assert_eq!(chain.try_add(&as_device), Err(ChainError::KeyReused(KeyKind::Device)));
        assert_eq!(chain.try_add(&as_mls), Err(ChainError::KeyReused(KeyKind::Mls)));
    }
    assert_eq!(add(|_| ()), Ok(()));
}

#[test]
fn ten_devices_are_live_at_most() {
    let mut chain = Chain::open();
    (2..=10).for_each(|number| chain.add(number, false));

    assert_eq!(chain.try_add(&new_device(11, false)), Err(ChainError::TooManyDevices));

    chain.revoke(5);
    chain.add(11, false);
    assert_eq!(chain.live(), [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_device_id_is_never_used_again() {
    let mut chain = Chain::open();
    chain.add(2, false);
    chain.revoke(2);
    let again = NewDevice { id: device_id(2), ..new_device(3, false) };

    assert_eq!(chain.try_add(&again), Err(ChainError::DeviceIdReused));
    assert_eq!(chain.state.unused_device_id(), Some(device_id(3)));
}

#[test]
fn an_account_runs_out_of_device_ids_after_111() {
    let mut chain = Chain::open();
    for number in 2..=111 {
        assert_eq!(chain.state.unused_device_id(), Some(device_id(number)));
        chain.add(number, false);
        chain.revoke(number);
    }

    let one_more = NewDevice { id: device_id(112), ..new_device(120, false) };
    assert_eq!(chain.try_add(&one_more), Err(ChainError::DeviceIdsExhausted));
    assert_eq!(chain.live(), [1]);
}

#[test]
fn a_device_is_revoked_once_and_for_good() {
    let mut chain = Chain::open();
    chain.add(2, false);

    chain.revoke(2);

    assert_eq!(chain.live(), [1]);
    assert_eq!(chain.state.devices[&device_id(2)].revoked_at_seq, Some(2));
    assert_eq!(chain.state.live_device(device_id(2)), None);
    let revoke =
        |number| chain.try_body(Body::RevokeDevice(RevokeDevice { device_id: number })).map(|_| ());
    assert_eq!(revoke(2), Err(ChainError::DeviceRevoked));
    assert_eq!(revoke(3), Err(ChainError::UnknownDevice));
    assert_eq!(revoke(0), Err(ChainError::MalformedDeviceId));
    assert_eq!(revoke(128), Err(ChainError::MalformedDeviceId));
}

#[test]
fn a_device_takes_itself_off_and_no_other() {
    let mut chain = Chain::open();
    chain.add(2, false);
    chain.add(3, false);
    let revoke = |number, by: &[&SigningKey]| {
        let op = chain.next(build::revoke_device(device_id(number)));
        chain.state.apply(&sign(&op, by))
    };
    let (second, third) = (key("device", 2), key("device", 3));

    assert!(revoke(2, &[&second]).is_ok());
    assert!(revoke(2, &[&chain.account]).is_ok());
    assert_eq!(revoke(3, &[&second]), Err(ChainError::MissingSignature));
    assert_eq!(revoke(2, &[&second, &third]), Err(ChainError::SuperfluousSignature));
    assert_eq!(revoke(2, &[&second, &chain.account]), Err(ChainError::SuperfluousSignature));
    assert_eq!(revoke(2, &[&key("mls", 2)]), Err(ChainError::MissingSignature));
    assert_eq!(revoke(2, &[&key("recovery", 1)]), Err(ChainError::MissingSignature));
}

#[test]
fn the_last_admin_stays() {
    let mut chain = Chain::open();
    chain.add(2, false);
    let op = chain.next(build::revoke_device(device_id(1)));

    for by in [&chain.account, &key("device", 1)] {
        assert_eq!(chain.state.apply(&sign(&op, &[by])), Err(ChainError::LastAdmin));
    }

    chain.add(3, true);
    chain.revoke(1);
    assert_eq!(chain.live(), [2, 3]);
}

#[test]
fn a_device_whose_time_is_up_is_live_to_the_chain_alone() {
    let chain = Chain::open();
    let until = NewDevice { not_after_ms: 1000, ..new_device(2, false) };

    let state = chain.try_add(&until).unwrap();

    let device = state.live_device(device_id(2)).unwrap();
    assert!(device.is_live_at(999));
    assert!(!device.is_live_at(1000));
    assert!(state.live_device(device_id(1)).unwrap().is_live_at(u64::MAX));
}
