use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sotto_ids::{AccountId, DeviceId, Handle};

use crate::{Body, ChainError, Device, Endpoint, LinkHash, OP_VERSION, Op, Recovery, SignedOp};

/// What an account is after some op of its chain.
///
/// Made from signed ops alone: [`State::genesis`], then [`State::apply`].
#[derive(Clone, PartialEq, Eq)]
pub struct State {
    /// The link hash of its genesis.
    pub account_id: AccountId,
    /// Ed25519: signs the ordinary ops.
    pub account_key: [u8; 32],
    /// Stands above the account key.
    pub recovery: Recovery,
    /// The number of the newest op; genesis is 0.
    pub seq: u64,
    /// The link hash of the newest op.
    pub head: LinkHash,
    /// All devices that were ever on the account. A revoked one stays, since its id
    /// is not given out again.
    pub devices: BTreeMap<DeviceId, Device>,
    /// The handle that the account claims at its home. Whether the home grants it
    /// is not in the chain.
    pub handle: Option<Handle>,
    /// The domain of the home server.
    pub home: String,
    /// Where else the account says that it can be reached.
    pub endpoints: BTreeSet<Endpoint>,
    /// An admin device was revoked, and nothing but a rotation of the account key
    /// may follow: the device still has the old key.
    pub rotation_due: bool,
    /// A recovery kept no admin device, and nothing but the addition of one may
    /// follow: nobody on the account holds its key.
    pub admin_due: bool,
    /// Account keys of earlier days: those who hold one must not get it back.
    pub(crate) former_account_keys: BTreeSet<[u8; 32]>,
    /// The same of recovery keys.
    pub(crate) former_recovery_keys: BTreeSet<[u8; 32]>,
}

impl State {
    /// Opens a chain: signed by the account key and by as many recovery keys as the
    /// threshold says.
    pub fn genesis(signed: &SignedOp) -> Result<Self, ChainError> {
        crate::genesis::open(signed)
    }

    /// The state after one more op.
    pub fn apply(&self, signed: &SignedOp) -> Result<Self, ChainError> {
        let mut next = self.clone();
        next.advance(signed)?;
        Ok(next)
    }

    /// The state after the ops of one request, which stand or fall together.
    ///
    /// [`ChainError::RotationDue`] where they revoke an admin device and do not go
    /// on with the rotation, [`ChainError::AdminDue`] where they recover the account
    /// without an admin and do not go on with one: a chain is never left there.
    pub fn apply_all<'a>(
        &self,
        ops: impl IntoIterator<Item = &'a SignedOp>,
    ) -> Result<Self, ChainError> {
        let mut next = self.clone();
        for signed in ops {
            next.advance(signed)?;
        }
        next.check_whole()?;
        Ok(next)
    }

    /// Whether a chain may be left here: no rotation and no admin is due.
    pub const fn check_whole(&self) -> Result<(), ChainError> {
        if self.rotation_due {
            return Err(ChainError::RotationDue);
        }
        if self.admin_due { Err(ChainError::AdminDue) } else { Ok(()) }
    }

    /// The devices that are on the account, by their ids.
    pub fn live_devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values().filter(|device| device.is_live())
    }

    /// The device with this id, where it is on the account.
    pub fn live_device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.get(&id).filter(|device| device.is_live())
    }

    /// The lowest device id that was never used, if there is one.
    pub fn unused_device_id(&self) -> Option<DeviceId> {
        (1_u32..=127)
            .filter_map(|number| DeviceId::try_from(number).ok())
            .find(|id| !self.devices.contains_key(id))
    }

    /// An op with this body that would follow the head. `ts_ms` is the time for
    /// people to see, in milliseconds since 1970.
    pub fn next_op(&self, body: Body, ts_ms: u64) -> Op {
        Op {
            v: OP_VERSION,
            account_id: self.account_id.as_bytes().to_vec(),
            seq: self.seq.saturating_add(1),
            prev: self.head.as_bytes().to_vec(),
            ts_ms,
            body: Some(body),
        }
    }
}

/// The state after a whole chain, from its genesis on.
pub fn replay<'a>(ops: impl IntoIterator<Item = &'a SignedOp>) -> Result<State, ChainError> {
    let mut ops = ops.into_iter();
    let mut state = State::genesis(ops.next().ok_or(ChainError::EmptyChain)?)?;
    for signed in ops {
        state.advance(signed)?;
    }
    Ok(state)
}

impl fmt::Debug for State {
    /// Neither who nor with which keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("seq", &self.seq)
            .field("devices", &self.devices.values().collect::<Vec<_>>())
            .field("rotation_due", &self.rotation_due)
            .field("admin_due", &self.admin_due)
            .finish_non_exhaustive()
    }
}
