//! People, as their devices see them: private keys, and the chain so far.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{Signer as _, SigningKey};
use rand_for_xeddsa::SeedableRng as _;
use serde_json::{Value, json};
use sotto_identity::{
    Body, IdentityKey, Op, Recovery, Rsig, SignedOp, State,
    auth::proof_message,
    build::{self, NewDevice},
    encode_op, rsig_message, signing_message,
};
use sotto_ids::{AccountId, AccountUuid, DeviceAddress, DeviceId};
use xeddsa::{Sign as _, xed25519::PrivateKey};

use super::{DOMAIN, NOW_MS, prekeys, random};

/// The private keys of one device.
pub(crate) struct Device {
    pub(crate) key: SigningKey,
    identity: [u8; 32],
    pub(crate) mls: SigningKey,
    pub(crate) registration_id: u32,
}

impl Device {
    fn new(id: u8) -> Self {
        Self { key: key(), identity: random(), mls: key(), registration_id: 4000 + u32::from(id) }
    }

    pub(crate) fn identity_key(&self) -> IdentityKey {
        let public = MontgomeryPoint::mul_base_clamped(self.identity).to_bytes();
        IdentityKey::try_from([[5].as_slice(), &public].concat().as_slice()).unwrap()
    }

    /// What its chain certifies for groups.
    pub(crate) fn mls_key(&self) -> [u8; 32] {
        self.mls.verifying_key().to_bytes()
    }

    /// Signs as libsignal does.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let rng = rand_for_xeddsa::rngs::StdRng::from_seed(random());
        PrivateKey(self.identity).sign(message, rng)
    }

    /// A signed EC prekey as the API takes it.
    pub(crate) fn signed_ec(&self, key_id: u32) -> Value {
        self.signed(key_id, &prekeys::ec_key())
    }

    /// A Kyber prekey as the API takes it.
    pub(crate) fn kyber(&self, key_id: u32) -> Value {
        self.signed(key_id, &prekeys::kyber_key())
    }

    pub(crate) fn signed(&self, key_id: u32, public_key: &[u8]) -> Value {
        json!({
            "key_id": key_id,
            "public_key": base64(public_key),
            "signature": base64(&self.sign(public_key)),
        })
    }

    fn describe(&self, id: u8, admin: bool) -> NewDevice {
        NewDevice {
            id: device_id(id),
            device_key: self.key.verifying_key().to_bytes(),
            identity_key: self.identity_key(),
            mls_key: self.mls_key(),
            registration_id: self.registration_id,
            admin,
            not_after_ms: 0,
        }
    }

    /// Has the device say that it wants to be in `op`.
    fn agree_to(&self, op: &mut Op) {
        let message = |by| rsig_message(op, by);
        let by_device = self.key.sign(&message(Rsig::Device)).to_vec();
        let by_identity = self.sign(&message(Rsig::Identity)).to_vec();
        let by_mls = self.mls.sign(&message(Rsig::Mls)).to_vec();
        build::set_rsig(op, Rsig::Device, by_device);
        build::set_rsig(op, Rsig::Identity, by_identity);
        build::set_rsig(op, Rsig::Mls, by_mls);
    }
}

/// Somebody with an account.
pub(crate) struct Person {
    account: SigningKey,
    /// What the words on paper stand for.
    recovery: SigningKey,
    pub(crate) devices: BTreeMap<u8, Device>,
    pub(crate) ops: Vec<SignedOp>,
    pub(crate) state: State,
    /// What the app calls them.
    pub(crate) user: String,
    /// The Sotto token of the first device.
    pub(crate) token: String,
}

impl Person {
    /// Keys, and a genesis that nobody has seen.
    pub(crate) fn new() -> Self {
        Self::at_home(DOMAIN)
    }

    /// The same, with a genesis that names another home server.
    pub(crate) fn at_home(home: &str) -> Self {
        let (account, recovery_key, device) = (key(), key(), Device::new(1));
        let recovery = Recovery {
            threshold: 1,
            keys: vec![recovery_key.verifying_key().to_bytes()],
            delay_s: 0,
        };
        let mut op = build::genesis(
            &recovery,
            account.verifying_key().to_bytes(),
            &device.describe(1, true),
            random(),
            home,
            NOW_MS,
        );
        device.agree_to(&mut op);
        let genesis = sign(&op, &[&account, &recovery_key]);
        Self {
            state: State::genesis(&genesis).unwrap(),
            account,
            recovery: recovery_key,
            devices: [(1, device)].into(),
            ops: vec![genesis],
            user: String::new(),
            token: String::new(),
        }
    }

    pub(crate) fn id(&self) -> AccountId {
        self.state.account_id
    }

    pub(crate) fn uuid(&self) -> AccountUuid {
        self.state.account_id.uuid()
    }

    pub(crate) fn address(&self, device: u8) -> DeviceAddress {
        DeviceAddress::new(self.uuid(), device_id(device))
    }

    /// What a login is proven with.
    pub(crate) fn proof(
        &self,
        domain: &str,
        challenge: &[u8],
        app_token: &str,
        device: u8,
    ) -> Vec<u8> {
        let message = proof_message(domain, challenge, self.id(), device_id(device), app_token);
        self.devices[&device].key.sign(&message).to_vec()
    }

    /// Takes an op into the person's own copy of the chain.
    fn accept(&mut self, op: SignedOp) -> SignedOp {
        self.state = self.state.apply(&op).unwrap();
        self.ops.push(op.clone());
        op
    }

    /// An op that would be next, and is in no copy of the chain.
    pub(crate) fn draft(&self, body: Body) -> SignedOp {
        sign(&self.state.next_op(body, NOW_MS), &[&self.account])
    }

    pub(crate) fn set_handle(&mut self, handle: &str) -> SignedOp {
        let op = self.draft(build::set_handle(&handle.parse().unwrap()));
        self.accept(op)
    }

    /// Adds a device with new keys.
    pub(crate) fn add_device(&mut self, id: u8, admin: bool) -> SignedOp {
        let device = Device::new(id);
        let mut op = self.state.next_op(build::add_device(&device.describe(id, admin)), NOW_MS);
        device.agree_to(&mut op);
        self.devices.insert(id, device);
        let op = sign(&op, &[&self.account]);
        self.accept(op)
    }

    /// Adds a device whose certificate ends.
    pub(crate) fn add_device_until(&mut self, id: u8, not_after_ms: u64) -> SignedOp {
        let device = Device::new(id);
        let described = NewDevice { not_after_ms, ..device.describe(id, false) };
        let mut op = self.state.next_op(build::add_device(&described), NOW_MS);
        device.agree_to(&mut op);
        self.devices.insert(id, device);
        let op = sign(&op, &[&self.account]);
        self.accept(op)
    }

    pub(crate) fn revoke_device(&mut self, id: u8) -> SignedOp {
        let op = self.draft(build::revoke_device(device_id(id)));
        self.accept(op)
    }

    /// Recovers the account with the words: these devices stay, each as an admin or not.
    pub(crate) fn recover(&mut self, keep: &[(u8, bool)]) -> SignedOp {
        let (op, new) = self.draft_recover(keep, &self.recovery);
        self.account = new;
        self.accept(op)
    }

    /// The words, as a key.
    pub(crate) fn words(&self) -> SigningKey {
        self.recovery.clone()
    }

    /// A recovery by these words, which is in no copy of the chain.
    pub(crate) fn draft_recover_by(&self, words: &SigningKey, keep: &[(u8, bool)]) -> SignedOp {
        self.draft_recover(keep, words).0
    }

    fn draft_recover(&self, keep: &[(u8, bool)], by: &SigningKey) -> (SignedOp, SigningKey) {
        let new = key();
        let keep = keep.iter().map(|&(id, admin)| (device_id(id), admin)).collect();
        let body = build::recover(new.verifying_key().to_bytes(), &keep);
        (sign(&self.state.next_op(body, NOW_MS), &[by, &new]), new)
    }

    /// Replaces the words.
    pub(crate) fn set_recovery(&mut self) -> SignedOp {
        let new = key();
        let keys = vec![new.verifying_key().to_bytes()];
        let body = build::set_recovery(&Recovery { threshold: 1, keys, delay_s: 0 });
        let op = sign(&self.state.next_op(body, NOW_MS), &[&self.recovery]);
        self.recovery = new;
        self.accept(op)
    }

    /// An op by the account key with any body.
    pub(crate) fn op(&mut self, body: Body) -> SignedOp {
        let op = self.draft(body);
        self.accept(op)
    }

    pub(crate) fn rotate(&mut self) -> SignedOp {
        let new = key();
        let body = build::rotate_account(new.verifying_key().to_bytes());
        let op = sign(&self.state.next_op(body, NOW_MS), &[&self.account, &new]);
        self.account = new;
        self.accept(op)
    }
}

fn sign(op: &Op, by: &[&SigningKey]) -> SignedOp {
    let payload = encode_op(op);
    let message = signing_message(&payload);
    let signatures: Vec<_> = by
        .iter()
        .map(|key| (key.verifying_key().to_bytes(), key.sign(&message).to_bytes()))
        .collect();
    build::signed(payload, signatures)
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&random())
}

pub(crate) fn device_id(id: u8) -> DeviceId {
    DeviceId::try_from(u32::from(id)).unwrap()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn unbase64(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}
