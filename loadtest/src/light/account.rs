use anyhow::Context as _;
use ed25519_dalek::{Signer as _, SigningKey};
use rand::{CryptoRng, Rng};
use sotto_identity::{
    Op, Recovery, SignedOp, State,
    build::{self, signed},
    encode_op, signing_message,
};
use sotto_ids::{AccountId, AccountUuid, DeviceId};

use super::keys::{DeviceKeys, signing_key};

/// An account with all of its devices, whose private keys are in one place.
#[derive(Debug)]
pub struct Account {
    /// Genesis, and an op for each further device.
    pub(super) ops: Vec<SignedOp>,
    /// Its name.
    pub id: AccountId,
    /// The keys of its devices, the first of which has the number 1.
    pub(super) devices: Vec<DeviceKeys>,
}

impl Account {
    /// Makes an account of `devices` devices (1 to 10), which nobody knows of yet.
    ///
    /// # Errors
    ///
    /// When the rules of the chain do not allow it.
    pub fn generate(
        devices: u32,
        home: &str,
        now_ms: u64,
        rng: &mut (impl Rng + CryptoRng),
    ) -> anyhow::Result<Self> {
        let (account_key, recovery_key) = (signing_key(rng), signing_key(rng));
        let first = DeviceKeys::generate(rng);
        let recovery = Recovery {
            threshold: 1,
            keys: vec![recovery_key.verifying_key().to_bytes()],
            delay_s: 0,
        };
        let mut op = build::genesis(
            &recovery,
            account_key.verifying_key().to_bytes(),
            &first.certificate(DeviceId::FIRST)?,
            rng.random(),
            home,
            now_ms,
        );
        first.countersign(&mut op, rng)?;
        let genesis = sign(&op, &[&account_key, &recovery_key]);
        let mut state = State::genesis(&genesis).context("the genesis is no good")?;
        let id = state.account_id;
        let (mut ops, mut all) = (vec![genesis], vec![first]);
        for number in 2..=devices {
            let keys = DeviceKeys::generate(rng);
            let certificate = keys.certificate(DeviceId::try_from(number)?)?;
            let mut op = state.next_op(build::add_device(&certificate), now_ms);
            keys.countersign(&mut op, rng)?;
            let op = sign(&op, &[&account_key]);
            state = state.apply(&op).context("a device cannot be added")?;
            ops.push(op);
            all.push(keys);
        }
        Ok(Self { ops, id, devices: all })
    }

    /// Its short name, as the server's queues have it.
    pub fn uuid(&self) -> AccountUuid {
        self.id.uuid()
    }
}

fn sign(op: &Op, keys: &[&SigningKey]) -> SignedOp {
    let payload = encode_op(op);
    let message = signing_message(&payload);
    let signatures: Vec<_> = keys
        .iter()
        .map(|key| (key.verifying_key().to_bytes(), key.sign(&message).to_bytes()))
        .collect();
    signed(payload, signatures)
}
