//! What the recovery set does: replace itself, and bring an account back.

use std::collections::BTreeMap;

use sotto_ids::{DeviceId, limits::MAX_CHAIN_OPS};
use sotto_proto::identity::{KeptDevice, Recover, SetRecovery};

use crate::{
    ChainError, KeyKind, Recovery, SignedOp, State, rules::DEVICE_IDS, signatures::Signatures,
};

impl State {
    /// The new set needs no word of its own keys: whoever puts wrong ones in loses
    /// what was theirs to lose, and guardians need not be at hand to be appointed.
    pub(crate) fn set_recovery(
        &mut self,
        signed: &SignedOp,
        body: &SetRecovery,
    ) -> Result<(), ChainError> {
        let new = Recovery::check(body.recovery.as_ref())?;
        // With a delay, those who hold the account key could object to a recovery. A
        // set that replaced itself at once would leave them no time to.
        if self.recovery.delay_s > 0 || new.delay_s > 0 {
            return Err(ChainError::RecoveryDelayed);
        }
        if new.keys.iter().any(|key| self.knows_below_recovery(key)) {
            return Err(ChainError::KeyReused(KeyKind::Recovery));
        }
        let signatures = Signatures::of(signed)?;
        signatures.verify(&signed.payload, &self.recovery.signers(&signatures)?)?;

        let dropped = self.recovery.keys.iter().filter(|key| !new.keys.contains(key));
        self.former_recovery_keys.extend(dropped);
        self.recovery = new;
        Ok(())
    }

    pub(crate) fn recover(&mut self, signed: &SignedOp, body: &Recover) -> Result<(), ChainError> {
        if self.recovery.delay_s > 0 {
            return Err(ChainError::RecoveryDelayed);
        }
        let new = self.check_new_account_key(&body.account_key)?;
        let kept = self.check_kept(&body.keep)?;
        let seq = self.seq.saturating_add(1);
        let admin_due = !kept.values().any(|&admin| admin);
        if admin_due && seq.saturating_add(1) >= MAX_CHAIN_OPS {
            // The device that has to follow would find no room,
            return Err(ChainError::ChainTooLong);
        }
        if admin_due && self.devices.len() >= DEVICE_IDS {
            // or no number.
            return Err(ChainError::DeviceIdsExhausted);
        }

        let signatures = Signatures::of(signed)?;
        let mut needed = self.recovery.signers(&signatures)?;
        needed.push(new);
        signatures.verify(&signed.payload, &needed)?;

        self.replace_account_key(new);
        for device in self.devices.values_mut().filter(|device| device.is_live()) {
            match kept.get(&device.id) {
                Some(&admin) => device.admin = admin,
                None => device.revoked_at_seq = Some(seq),
            }
        }
        self.admin_due = admin_due;
        Ok(())
    }

    /// The devices that stay, and whether each is an admin from now on.
    fn check_kept(&self, keep: &[KeptDevice]) -> Result<BTreeMap<DeviceId, bool>, ChainError> {
        let mut kept = BTreeMap::new();
        for &KeptDevice { device_id, admin } in keep {
            let id = DeviceId::try_from(device_id).map_err(|_| ChainError::MalformedDeviceId)?;
            // One form for one meaning, and none twice.
            if kept.last_key_value().is_some_and(|(last, _)| *last >= id) {
                return Err(ChainError::UnorderedDevices);
            }
            let device = self.devices.get(&id).ok_or(ChainError::UnknownDevice)?;
            if !device.is_live() {
                return Err(ChainError::DeviceRevoked);
            }
            kept.insert(id, admin);
        }
        Ok(kept)
    }
}
