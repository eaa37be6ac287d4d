//! Whose word each op needs, and what it does.
//!
//! | op | signed by | effect |
//! |---|---|---|
//! | genesis | account key and `threshold` recovery keys | the account, with its first device |
//! | `add_device` | account key | one more device, which signs that it wants to be there |
//! | `revoke_device` | account key; or the device's own key, for itself | the device is off for good; after an admin, a rotation is due |
//! | `rotate_account` | old and new account key | the new key takes over |
//! | `set_handle` | account key | the account claims a handle |
//! | 1000 and up | account key | none, the chain goes on |
//!
//! The last live admin device cannot be revoked. Only admins hold the account key,
//! and without it no device could ever be added: the account would be lost, for
//! `recover`, which brings such an account back, is not built yet. Who wants to
//! replace their only device adds the new one first.

use sotto_ids::{
    DeviceId,
    limits::{MAX_CHAIN_OPS, MAX_LIVE_DEVICES},
};
use sotto_proto::identity::{AddDevice, RevokeDevice, RotateAccount, SetHandle};

use crate::{
    Body, ChainError, Device, KeyKind, Op, SignedOp, State, decode_op, keys, link_hash,
    signatures::Signatures,
};

/// How many device ids there are.
const DEVICE_IDS: usize = 127;

impl State {
    /// Goes on by one op. After an error the state is not to be used any more.
    pub(crate) fn advance(&mut self, signed: &SignedOp) -> Result<(), ChainError> {
        let op = decode_op(&signed.payload)?;
        self.check_place(&op)?;
        if self.rotation_due && !matches!(op.body, Some(Body::RotateAccount(_))) {
            return Err(ChainError::RotationDue);
        }
        match &op.body {
            Some(Body::Genesis(_)) => return Err(ChainError::UnexpectedGenesis),
            Some(Body::AddDevice(body)) => self.add_device(signed, &op, body)?,
            Some(Body::RevokeDevice(body)) => self.revoke_device(signed, *body)?,
            Some(Body::RotateAccount(body)) => self.rotate_account(signed, body)?,
            Some(Body::SetHandle(body)) => self.set_handle(signed, body)?,
            None => self.verify_account_key(signed)?,
        }
        self.seq = op.seq;
        self.head = link_hash(&signed.payload);
        Ok(())
    }

    /// The fields that place an op in a chain, after its start.
    fn check_place(&self, op: &Op) -> Result<(), ChainError> {
        if matches!(op.body, Some(Body::Genesis(_))) {
            return Err(ChainError::UnexpectedGenesis);
        }
        if op.account_id != self.account_id.as_bytes() {
            return Err(ChainError::WrongAccount);
        }
        if self.seq.checked_add(1) != Some(op.seq) {
            return Err(ChainError::WrongSeq);
        }
        if op.prev != self.head.as_bytes() {
            return Err(ChainError::WrongPrev);
        }
        if op.seq < MAX_CHAIN_OPS { Ok(()) } else { Err(ChainError::ChainTooLong) }
    }

    fn verify_account_key(&self, signed: &SignedOp) -> Result<(), ChainError> {
        Signatures::of(signed)?.verify(&signed.payload, &[self.account_key])
    }

    fn add_device(
        &mut self,
        signed: &SignedOp,
        op: &Op,
        body: &AddDevice,
    ) -> Result<(), ChainError> {
        let device = Device::check(body)?;
        if self.devices.len() >= DEVICE_IDS {
            return Err(ChainError::DeviceIdsExhausted);
        }
        if self.devices.contains_key(&device.id) {
            return Err(ChainError::DeviceIdReused);
        }
        if self.live_devices().count() >= MAX_LIVE_DEVICES {
            return Err(ChainError::TooManyDevices);
        }
        self.check_new_keys(&device)?;
        self.verify_account_key(signed)?;
        device.verify_rsigs(op, body)?;
        self.devices.insert(device.id, device);
        Ok(())
    }

    fn revoke_device(&mut self, signed: &SignedOp, body: RevokeDevice) -> Result<(), ChainError> {
        let id = DeviceId::try_from(body.device_id).map_err(|_| ChainError::MalformedDeviceId)?;
        let device = self.devices.get(&id).ok_or(ChainError::UnknownDevice)?;
        if !device.is_live() {
            return Err(ChainError::DeviceRevoked);
        }
        let (admin, device_key) = (device.admin, device.device_key);
        let is_other_admin = |other: &Device| other.admin && other.id != id;
        if admin && !self.live_devices().any(is_other_admin) {
            return Err(ChainError::LastAdmin);
        }
        let seq = self.seq.saturating_add(1);
        if admin && seq.saturating_add(1) >= MAX_CHAIN_OPS {
            // The rotation that has to follow would find no room.
            return Err(ChainError::ChainTooLong);
        }

        let signatures = Signatures::of(signed)?;
        let by = if signatures.has(&device_key) { device_key } else { self.account_key };
        signatures.verify(&signed.payload, &[by])?;

        if let Some(device) = self.devices.get_mut(&id) {
            device.revoked_at_seq = Some(seq);
        }
        self.rotation_due = admin;
        Ok(())
    }

    fn rotate_account(
        &mut self,
        signed: &SignedOp,
        body: &RotateAccount,
    ) -> Result<(), ChainError> {
        let new = keys::check_ed25519(&body.account_key)
            .map_err(|fault| KeyKind::Account.refused(fault))?;
        if self.knows(&new) {
            return Err(ChainError::KeyReused(KeyKind::Account));
        }
        Signatures::of(signed)?.verify(&signed.payload, &[self.account_key, new])?;
        self.former_account_keys.insert(self.account_key);
        self.account_key = new;
        self.rotation_due = false;
        Ok(())
    }

    fn set_handle(&mut self, signed: &SignedOp, body: &SetHandle) -> Result<(), ChainError> {
        let handle = body.handle.parse().map_err(|_| ChainError::MalformedHandle)?;
        self.verify_account_key(signed)?;
        self.handle = Some(handle);
        Ok(())
    }

    /// Demands that a new device brings keys of its own. A key in two places would
    /// be two authorities in one, and one of a revoked device would bring it back.
    pub(crate) fn check_new_keys(&self, device: &Device) -> Result<(), ChainError> {
        if self.knows(&device.device_key) {
            return Err(ChainError::KeyReused(KeyKind::Device));
        }
        if self.knows(&device.mls_key) || device.mls_key == device.device_key {
            return Err(ChainError::KeyReused(KeyKind::Mls));
        }
        let is_same = |other: &Device| other.identity_key == device.identity_key;
        if self.devices.values().any(is_same) {
            return Err(ChainError::KeyReused(KeyKind::Identity));
        }
        Ok(())
    }

    /// Whether an Ed25519 key has, or ever had, a place in this account.
    fn knows(&self, key: &[u8; 32]) -> bool {
        self.account_key == *key
            || self.former_account_keys.contains(key)
            || self.recovery.keys.contains(key)
            || self
                .devices
                .values()
                .any(|device| device.device_key == *key || device.mls_key == *key)
    }
}
