//! Whose word each op needs, and what it does.
//!
//! | op | signed by | effect |
//! |---|---|---|
//! | genesis | account key and `threshold` recovery keys | the account, with its first device |
//! | `add_device` | account key | one more device, which signs that it wants to be there |
//! | `revoke_device` | account key; or the device's own key, for itself | the device is off for good; after an admin, a rotation is due |
//! | `rotate_account` | old and new account key | the new key takes over |
//! | `set_recovery` | `threshold` keys of the old recovery set | the new set takes over |
//! | `recover` | `threshold` recovery keys and the new account key | the new key takes over, and devices that are not kept are off for good; without an admin among those kept, one is due |
//! | `set_handle`, `drop_handle` | account key | the account claims a handle, or goes by none |
//! | `add_endpoint`, `drop_endpoint` | account key | the account can be reached there, or cannot |
//! | 1000 and up | account key | none, the chain goes on |
//!
//! The last live admin device cannot be revoked. Only admins hold the account key,
//! and without it nobody could add another but by `recover`, for which the words
//! have to be at hand. Who wants to replace their only device adds the new one first.

use sotto_ids::{
    DeviceId,
    limits::{MAX_CHAIN_OPS, MAX_LIVE_DEVICES, RECOVERY_DEVICE_IDS, RECOVERY_OPS},
};
use sotto_proto::identity::{AddDevice, RevokeDevice, RotateAccount, SetHandle};

use crate::{
    Body, ChainError, Device, KeyKind, Op, SignedOp, State, decode_op, keys, link_hash,
    signatures::Signatures,
};

/// How many device ids there are.
pub(crate) const DEVICE_IDS: usize = 127;

/// Where a chain ends for those who have the account key alone.
const ORDINARY_OPS: u64 = MAX_CHAIN_OPS - RECOVERY_OPS;

impl State {
    /// Goes on by one op. After an error the state is not to be used any more.
    pub(crate) fn advance(&mut self, signed: &SignedOp) -> Result<(), ChainError> {
        let op = decode_op(&signed.payload)?;
        self.check_place(&op)?;
        if self.rotation_due && !matches!(op.body, Some(Body::RotateAccount(_))) {
            return Err(ChainError::RotationDue);
        }
        let adds_admin = matches!(&op.body, Some(Body::AddDevice(body)) if body.admin);
        if self.admin_due && !adds_admin {
            return Err(ChainError::AdminDue);
        }
        match &op.body {
            Some(Body::Genesis(_)) => return Err(ChainError::UnexpectedGenesis),
            Some(Body::AddDevice(body)) => self.add_device(signed, &op, body)?,
            Some(Body::RevokeDevice(body)) => self.revoke_device(signed, *body)?,
            Some(Body::RotateAccount(body)) => self.rotate_account(signed, body)?,
            Some(Body::SetRecovery(body)) => self.set_recovery(signed, body)?,
            Some(Body::Recover(body)) => self.recover(signed, body)?,
            Some(Body::SetHandle(body)) => self.set_handle(signed, body)?,
            Some(Body::DropHandle(_)) => self.drop_handle(signed)?,
            Some(Body::AddEndpoint(body)) => self.add_endpoint(signed, body)?,
            Some(Body::DropEndpoint(body)) => self.drop_endpoint(signed, body)?,
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
        let recovers =
            self.admin_due || matches!(op.body, Some(Body::Recover(_) | Body::SetRecovery(_)));
        let end = if recovers { MAX_CHAIN_OPS } else { ORDINARY_OPS };
        if op.seq < end { Ok(()) } else { Err(ChainError::ChainTooLong) }
    }

    pub(crate) fn verify_account_key(&self, signed: &SignedOp) -> Result<(), ChainError> {
        Signatures::of(signed)?.verify(&signed.payload, &[self.account_key])
    }

    fn add_device(
        &mut self,
        signed: &SignedOp,
        op: &Op,
        body: &AddDevice,
    ) -> Result<(), ChainError> {
        let device = Device::check(body)?;
        let ids = if self.admin_due { DEVICE_IDS } else { DEVICE_IDS - RECOVERY_DEVICE_IDS };
        if self.devices.len() >= ids {
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
        // Where one is due, no other device comes as far as here.
        self.admin_due = false;
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
        if admin && seq.saturating_add(1) >= ORDINARY_OPS {
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
        let new = self.check_new_account_key(&body.account_key)?;
        Signatures::of(signed)?.verify(&signed.payload, &[self.account_key, new])?;
        self.replace_account_key(new);
        self.rotation_due = false;
        Ok(())
    }

    /// Takes an account key that has never had a place in this account.
    pub(crate) fn check_new_account_key(&self, key: &[u8]) -> Result<[u8; 32], ChainError> {
        let new = keys::check_ed25519(key).map_err(|fault| KeyKind::Account.refused(fault))?;
        if self.knows(&new) { Err(ChainError::KeyReused(KeyKind::Account)) } else { Ok(new) }
    }

    pub(crate) fn replace_account_key(&mut self, new: [u8; 32]) {
        self.former_account_keys.insert(self.account_key);
        self.account_key = new;
    }

    fn set_handle(&mut self, signed: &SignedOp, body: &SetHandle) -> Result<(), ChainError> {
        let handle = body.handle.parse().map_err(|_| ChainError::MalformedHandle)?;
        self.verify_account_key(signed)?;
        self.handle = Some(handle);
        Ok(())
    }

    fn drop_handle(&mut self, signed: &SignedOp) -> Result<(), ChainError> {
        if self.handle.is_none() {
            return Err(ChainError::NoHandle);
        }
        self.verify_account_key(signed)?;
        self.handle = None;
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
        self.recovery.keys.contains(key) || self.knows_below_recovery(key)
    }

    /// The same, but for a place in the recovery set that there is now.
    pub(crate) fn knows_below_recovery(&self, key: &[u8; 32]) -> bool {
        self.account_key == *key
            || self.former_account_keys.contains(key)
            || self.former_recovery_keys.contains(key)
            || self
                .devices
                .values()
                .any(|device| device.device_key == *key || device.mls_key == *key)
    }
}
