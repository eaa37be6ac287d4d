use anyhow::Context as _;
use ed25519_dalek::{Signer as _, SigningKey};
use rand::{CryptoRng, Rng};
use serde_json::{Value, json};
use sotto_identity::{
    Body, Op, Recovery, SignedOp, State,
    build::{self, signed},
    encode_op, signing_message,
};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, DeviceId};

use super::keys::{DeviceKeys, signing_key};

/// An account with all of its devices, whose private keys are in one place.
pub struct Account {
    /// Genesis, an op for each further device, and what followed.
    ops: Vec<SignedOp>,
    /// Its name.
    pub id: AccountId,
    /// The keys of its devices, the first of which has the number 1.
    pub(super) devices: Vec<DeviceKeys>,
    account_key: SigningKey,
    recovery_key: SigningKey,
    state: State,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(..)")
    }
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
        Ok(Self { ops, id, devices: all, account_key, recovery_key, state })
    }

    /// Its short name, as the server's queues have it.
    pub fn uuid(&self) -> AccountUuid {
        self.id.uuid()
    }

    /// The state that its ops lead to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The private keys of one of its devices; `None` where it has no such device.
    pub fn device(&self, id: DeviceId) -> Option<&DeviceKeys> {
        self.devices.get(usize::from(id.as_u8()).checked_sub(1)?)
    }

    /// An op that may come next, signed. It is not part of the chain yet.
    pub fn next(&self, body: Body, now_ms: u64) -> SignedOp {
        self.sign(&self.state.next_op(body, now_ms))
    }

    /// Signs an op, of whatever account: another recovery set with the recovery key,
    /// anything else with the account key.
    pub fn sign(&self, op: &Op) -> SignedOp {
        let key = match &op.body {
            Some(Body::SetRecovery(_)) => &self.recovery_key,
            _ => &self.account_key,
        };
        sign(op, &[key])
    }

    /// Makes an op the newest of the chain.
    ///
    /// # Errors
    ///
    /// When the rules of the chain do not allow it.
    pub fn follow(&mut self, op: SignedOp) -> anyhow::Result<()> {
        self.state = self.state.apply(&op).context("the op does not follow")?;
        self.ops.push(op);
        Ok(())
    }

    /// What registers it: a body of `POST /v1/accounts`.
    pub fn registration(&self, app_token: &str) -> Value {
        let mut ops = self.ops.iter().map(op_body);
        json!({
            "genesis": ops.next(),
            "ops": ops.collect::<Vec<_>>(),
            "app_token": app_token,
        })
    }
}

/// An op as the API takes it.
pub fn op_body(op: &SignedOp) -> Value {
    let sigs: Vec<Value> = op
        .sigs
        .iter()
        .map(|sig| json!({ "key": Base64Bytes(sig.key.clone()), "sig": Base64Bytes(sig.sig.clone()) }))
        .collect();
    json!({ "payload": Base64Bytes(op.payload.clone()), "sigs": sigs })
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
