use std::fmt;

use sotto_ids::DeviceId;
use sotto_proto::identity::AddDevice;

use crate::{ChainError, IdentityKey, KeyKind, Op, Rsig, keys, rsig_message};

/// The largest registration id that libsignal makes.
const MAX_REGISTRATION_ID: u32 = 16_380;

/// A device that the chain certifies, or once did.
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number within the account.
    pub id: DeviceId,
    /// Ed25519: what it does for itself, such as logging in.
    pub device_key: [u8; 32],
    /// libsignal's: signs prekeys, and is one end of each session.
    pub identity_key: IdentityKey,
    /// Ed25519: signs MLS leaves.
    pub mls_key: [u8; 32],
    /// 1 to 16380; tells an installation from an earlier one under the same address.
    pub registration_id: u32,
    /// Whether it holds the account key.
    pub admin: bool,
    /// Milliseconds since 1970 at which its certificate ends, 0 for no end.
    pub not_after_ms: u64,
    /// The number of the op that took it off the account.
    pub revoked_at_seq: Option<u64>,
}

impl Device {
    /// Whether it is on the account: not revoked. The chain has no clock, so a
    /// device whose time is up counts as live here.
    pub const fn is_live(&self) -> bool {
        self.revoked_at_seq.is_none()
    }

    /// Whether it is on the account and its certificate has not ended.
    pub const fn is_live_at(&self, now_ms: u64) -> bool {
        self.is_live() && (self.not_after_ms == 0 || now_ms < self.not_after_ms)
    }

    /// Takes what a body says about a device, without the reverse signatures.
    pub(crate) fn check(body: &AddDevice) -> Result<Self, ChainError> {
        let id = DeviceId::try_from(body.device_id).map_err(|_| ChainError::MalformedDeviceId)?;
        if !(1..=MAX_REGISTRATION_ID).contains(&body.registration_id) {
            return Err(ChainError::MalformedRegistrationId);
        }
        let ed25519 = |key: &[u8], kind: KeyKind| {
            keys::check_ed25519(key).map_err(|fault| kind.refused(fault))
        };
        Ok(Self {
            id,
            device_key: ed25519(&body.device_key, KeyKind::Device)?,
            identity_key: IdentityKey::try_from(body.identity_key.as_slice())
                .map_err(|fault| KeyKind::Identity.refused(fault))?,
            mls_key: ed25519(&body.mls_key, KeyKind::Mls)?,
            registration_id: body.registration_id,
            admin: body.admin,
            not_after_ms: body.not_after,
            revoked_at_seq: None,
        })
    }

    /// Demands the word of each of the device's keys. Without it an account could
    /// pass off somebody else's keys as its own.
    pub(crate) fn verify_rsigs(&self, op: &Op, body: &AddDevice) -> Result<(), ChainError> {
        let message = |by| rsig_message(op, by);
        let checks = [
            (
                Rsig::Device,
                keys::verify_ed25519(&self.device_key, &message(Rsig::Device), &body.rsig_device),
            ),
            (
                Rsig::Identity,
                keys::verify_xeddsa(
                    &self.identity_key,
                    &message(Rsig::Identity),
                    &body.rsig_identity,
                ),
            ),
            (Rsig::Mls, keys::verify_ed25519(&self.mls_key, &message(Rsig::Mls), &body.rsig_mls)),
        ];
        match checks.into_iter().find(|(_, verifies)| !verifies) {
            Some((by, _)) => Err(ChainError::BadReverseSignature(by)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Device {
    /// What it may do and whether it is live, without its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("admin", &self.admin)
            .field("live", &self.is_live())
            .finish_non_exhaustive()
    }
}
