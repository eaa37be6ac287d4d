use ed25519_dalek::SigningKey;
use sotto_identity::{Body, ChainError, KeyKind, build, replay};
use sotto_proto::identity::{RotateAccount, SetHandle};

use crate::harness::{Chain, device_id, key, new_device, public, sign};

/// An account with two admins and a third device, in which device 2, an admin, was
/// just revoked.
fn chain_with_rotation_due() -> Chain {
    let mut chain = Chain::open();
    chain.add(2, true);
    chain.add(3, false);
    chain.revoke(2);
    chain
}

#[test]
fn the_account_key_is_replaced_by_the_old_and_the_new_one() {
    let mut chain = Chain::open();
    let new = key("account", 2);
    let op = chain.next(build::rotate_account(public(&new)));
    let rotate = |by: &[&SigningKey]| chain.state.apply(&sign(&op, by));

    assert_eq!(rotate(&[&chain.account]), Err(ChainError::MissingSignature));
    assert_eq!(rotate(&[&new]), Err(ChainError::MissingSignature));
    assert_eq!(rotate(&[&new, &key("recovery", 1)]), Err(ChainError::MissingSignature));

    let old = chain.account.clone();
    chain.rotate(2);
    assert_eq!(chain.state.account_key, public(&new));
    let op = chain.next(build::set_handle(&"alice".parse().unwrap()));
    assert_eq!(chain.state.apply(&sign(&op, &[&old])), Err(ChainError::MissingSignature));
    assert!(chain.state.apply(&sign(&op, &[&new])).is_ok());
}

#[test]
fn a_key_that_has_a_place_or_had_one_does_not_become_the_account_key() {
    let mut chain = Chain::open();
    chain.rotate(2);
    for (role, number) in
        [("account", 2), ("account", 1), ("recovery", 1), ("device", 1), ("mls", 1)]
    {
        let new = key(role, number);
        let op = chain.next(build::rotate_account(public(&new)));
        let rotated = chain.state.apply(&sign(&op, &[&chain.account, &new]));
        assert_eq!(rotated, Err(ChainError::KeyReused(KeyKind::Account)), "{role}");
    }
    let rotate = |key: &[u8]| {
        chain.try_body(Body::RotateAccount(RotateAccount { account_key: key.to_vec() })).map(|_| ())
    };
    assert_eq!(rotate(&[1; 31]), Err(ChainError::MalformedKey(KeyKind::Account)));
    assert_eq!(rotate(&[0; 32]), Err(ChainError::LowOrderKey(KeyKind::Account)));
}

#[test]
fn after_an_admin_is_revoked_nothing_goes_on_but_a_rotation() {
    let mut chain = chain_with_rotation_due();
    assert!(chain.state.rotation_due);

    let due = Err(ChainError::RotationDue);
    let handle = build::set_handle(&"alice".parse().unwrap());
    assert_eq!(chain.try_body(handle).map(|_| ()), due);
    assert_eq!(chain.try_add(&new_device(4, false)).map(|_| ()), due);
    assert_eq!(chain.try_body(build::revoke_device(device_id(3))).map(|_| ()), due);

    chain.rotate(2);
    assert!(!chain.state.rotation_due);
    chain.set_handle("alice");
}

#[test]
fn an_admin_that_leaves_by_itself_makes_a_rotation_due_too() {
    let mut chain = Chain::open();
    chain.add(2, true);
    let op = chain.next(build::revoke_device(device_id(2)));

    chain.accept(sign(&op, &[&key("device", 2)]));

    assert!(chain.state.rotation_due);
}

#[test]
fn a_device_that_was_no_admin_makes_no_rotation_due() {
    let mut chain = Chain::open();
    chain.add(2, false);
    chain.revoke(2);
    assert!(!chain.state.rotation_due);
}

#[test]
fn a_request_that_revokes_an_admin_goes_on_with_the_rotation() {
    let mut chain = Chain::open();
    chain.add(2, true);
    let before = chain.clone();
    chain.revoke(2);
    let revoke = chain.ops.last().unwrap();
    let rotate = chain.rotate_op(2);

    assert_eq!(before.state.apply_all([revoke]), Err(ChainError::RotationDue));
    let after = before.state.apply_all([revoke, &rotate]).unwrap();
    assert_eq!(after.account_key, public(&key("account", 2)));
    assert_eq!(before.state.apply_all([]), Ok(before.state.clone()));
}

#[test]
fn a_handle_has_its_form() {
    let chain = Chain::open();
    let set = |handle: &str| {
        let body = Body::SetHandle(SetHandle { handle: handle.to_owned() });
        chain.try_body(body).map(|state| state.handle.unwrap().to_string())
    };
    assert_eq!(set("alice"), Ok("alice".to_owned()));
    for wrong in ["", "al", "Alice", "alice!", ".alice"] {
        assert_eq!(set(wrong), Err(ChainError::MalformedHandle), "{wrong}");
    }
}

#[test]
fn a_replay_gives_what_applying_one_by_one_gave() {
    let mut chain = chain_with_rotation_due();
    chain.rotate(2);
    chain.set_handle("alice");
    chain.set_handle("alice.b");

    assert_eq!(replay(&chain.ops), Ok(chain.state));
}
