use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use sotto_identity::{
    Body, ChainError, IdentityKey, Op, Recovery, Rsig, SignedOp, State,
    build::{self, NewDevice},
    encode_op, rsig_message, signing_message,
};
use sotto_ids::DeviceId;

use crate::xeddsa;

pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

/// A private key that is the same in each run: SHA-256 of a text.
pub(crate) fn seed(role: &str, number: u8) -> [u8; 32] {
    Sha256::digest(format!("sotto test key: {role} {number}")).into()
}

pub(crate) fn key(role: &str, number: u8) -> SigningKey {
    SigningKey::from_bytes(&seed(role, number))
}

pub(crate) fn public(key: &SigningKey) -> [u8; 32] {
    key.verifying_key().to_bytes()
}

pub(crate) fn device_id(number: u8) -> DeviceId {
    DeviceId::try_from(u32::from(number)).unwrap()
}

pub(crate) fn identity_key(number: u8) -> IdentityKey {
    xeddsa::identity_key(seed("identity", number))
}

/// What the device with this number brings along.
pub(crate) fn new_device(number: u8, admin: bool) -> NewDevice {
    NewDevice {
        id: device_id(number),
        device_key: public(&key("device", number)),
        identity_key: identity_key(number),
        mls_key: public(&key("mls", number)),
        registration_id: 100 + u32::from(number),
        admin,
        not_after_ms: 0,
    }
}

/// Has the keys of the device with this number sign that it wants to be in `op`.
pub(crate) fn give_word(op: &mut Op, number: u8) {
    let message = |by| rsig_message(op, by);
    let by_device = key("device", number).sign(&message(Rsig::Device)).to_vec();
    let by_identity = xeddsa::sign(seed("identity", number), &message(Rsig::Identity)).to_vec();
    let by_mls = key("mls", number).sign(&message(Rsig::Mls)).to_vec();
    build::set_rsig(op, Rsig::Device, by_device);
    build::set_rsig(op, Rsig::Identity, by_identity);
    build::set_rsig(op, Rsig::Mls, by_mls);
}

pub(crate) fn sign(op: &Op, by: &[&SigningKey]) -> SignedOp {
    sign_payload(encode_op(op), by)
}

pub(crate) fn sign_payload(payload: Vec<u8>, by: &[&SigningKey]) -> SignedOp {
    let message = signing_message(&payload);
    let signatures: Vec<_> =
        by.iter().map(|key| (public(key), key.sign(&message).to_bytes())).collect();
    build::signed(payload, signatures)
}

/// A recovery set of `of` keys.
pub(crate) fn recovery(threshold: u32, of: u8) -> Recovery {
    let keys = (1..=of).map(|number| public(&key("recovery", number))).collect();
    Recovery { threshold, keys, delay_s: 0 }
}

/// Devices that stay through a recovery, and whether each is an admin.
pub(crate) fn kept(devices: &[(u8, bool)]) -> BTreeMap<DeviceId, bool> {
    devices.iter().map(|&(number, admin)| (device_id(number), admin)).collect()
}

/// The genesis of an account with device 1.
pub(crate) fn genesis_op(recovery: &Recovery) -> Op {
    let account_key = public(&key("account", 1));
    let device = new_device(1, true);
    let mut op = build::genesis(recovery, account_key, &device, [7; 16], "sotto.example", NOW_MS);
    give_word(&mut op, 1);
    op
}

/// An account as its owner has it: the keys, and the chain so far.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) account: SigningKey,
    pub(crate) ops: Vec<SignedOp>,
    pub(crate) state: State,
}

impl Chain {
    /// An account with device 1, an admin, and one recovery key.
    pub(crate) fn open() -> Self {
        let account = key("account", 1);
        let signed = sign(&genesis_op(&recovery(1, 1)), &[&account, &key("recovery", 1)]);
        let state = State::genesis(&signed).unwrap();
        Self { account, ops: vec![signed], state }
    }

    pub(crate) fn next(&self, body: Body) -> Op {
        self.state.next_op(body, NOW_MS)
    }

    /// The next op with this body, signed by the account key.
    pub(crate) fn signed(&self, body: Body) -> SignedOp {
        sign(&self.next(body), &[&self.account])
    }

    /// The next op, which adds this device with its consent.
    pub(crate) fn add_op(&self, new: &NewDevice) -> Op {
        let mut op = self.next(build::add_device(new));
        give_word(&mut op, new.id.as_u8());
        op
    }

    pub(crate) fn try_body(&self, body: Body) -> Result<State, ChainError> {
        self.state.apply(&self.signed(body))
    }

    pub(crate) fn try_add(&self, new: &NewDevice) -> Result<State, ChainError> {
        self.state.apply(&sign(&self.add_op(new), &[&self.account]))
    }

    pub(crate) fn accept(&mut self, signed: SignedOp) {
        self.state = self.state.apply(&signed).unwrap();
        self.ops.push(signed);
    }

    pub(crate) fn add(&mut self, number: u8, admin: bool) {
        let op = self.add_op(&new_device(number, admin));
        self.accept(sign(&op, &[&self.account]));
    }

    pub(crate) fn revoke(&mut self, number: u8) {
        self.accept(self.signed(build::revoke_device(device_id(number))));
    }

    pub(crate) fn set_handle(&mut self, handle: &str) {
        self.accept(self.signed(build::set_handle(&handle.parse().unwrap())));
    }

    /// The op that replaces the account key by the one with this number.
    pub(crate) fn rotate_op(&self, number: u8) -> SignedOp {
        let new = key("account", number);
        sign(&self.next(build::rotate_account(public(&new))), &[&self.account, &new])
    }

    pub(crate) fn rotate(&mut self, number: u8) {
        self.accept(self.rotate_op(number));
        self.account = key("account", number);
    }

    /// The op that recovers the account with the account key of this number, by these
    /// recovery keys.
    pub(crate) fn recover_op(&self, number: u8, keep: &[(u8, bool)], by: &[u8]) -> SignedOp {
        let new = key("account", number);
        let op = self.next(build::recover(public(&new), &kept(keep)));
        let signers: Vec<_> = by.iter().map(|&number| key("recovery", number)).collect();
        let all: Vec<_> = signers.iter().chain([&new]).collect();
        sign(&op, &all)
    }

    /// Recovers the account by recovery key 1.
    pub(crate) fn recover(&mut self, number: u8, keep: &[(u8, bool)]) {
        self.accept(self.recover_op(number, keep, &[1]));
        self.account = key("account", number);
    }

    pub(crate) fn live(&self) -> Vec<u8> {
        self.state.live_devices().map(|device| device.id.as_u8()).collect()
    }
}
