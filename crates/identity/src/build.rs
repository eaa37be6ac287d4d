//! Builders of ops that are yet to be signed.
//!
//! The way of an op: a body from here, [`State::next_op`](crate::State::next_op)
//! around it (or [`genesis`]), for a new device the three reverse signatures over
//! [`rsig_message`](crate::rsig_message) put in with [`set_rsig`], then
//! [`encode_op`](crate::encode_op), signatures over
//! [`signing_message`](crate::signing_message), and [`signed`].

use std::collections::BTreeMap;

use sotto_ids::{DeviceId, Handle};
use sotto_proto::identity as pb;

use crate::{Body, Endpoint, IdentityKey, OP_VERSION, Op, Recovery, Rsig, Sig, SignedOp};

/// What a device brings along when it is added.
#[derive(Clone)]
pub struct NewDevice {
    /// Its number: 1 for the first, then one that was never used.
    pub id: DeviceId,
    /// Ed25519.
    pub device_key: [u8; 32],
    /// libsignal's.
    pub identity_key: IdentityKey,
    /// Ed25519.
    pub mls_key: [u8; 32],
    /// 1 to 16380, as libsignal made it.
    pub registration_id: u32,
    /// Whether it holds the account key. The first device does.
    pub admin: bool,
    /// Milliseconds since 1970 at which its certificate ends, 0 for no end.
    pub not_after_ms: u64,
}

/// A genesis. `nonce` is random; `home` is the domain of the home server; `ts_ms`
/// the time for people to see, in milliseconds since 1970.
pub fn genesis(
    recovery: &Recovery,
    account_key: [u8; 32],
    first_device: &NewDevice,
    nonce: [u8; 16],
    home: &str,
    ts_ms: u64,
) -> Op {
    let body = Body::Genesis(pb::Genesis {
        recovery: Some(set(recovery)),
        account_key: account_key.to_vec(),
        first_device: Some(device(first_device)),
        nonce16: nonce.to_vec(),
        home: home.to_owned(),
    });
    Op { v: OP_VERSION, account_id: Vec::new(), seq: 0, prev: Vec::new(), ts_ms, body: Some(body) }
}

/// The body that adds a device, without its reverse signatures.
pub fn add_device(new: &NewDevice) -> Body {
    Body::AddDevice(device(new))
}

/// The body that takes a device off.
pub fn revoke_device(id: DeviceId) -> Body {
    Body::RevokeDevice(pb::RevokeDevice { device_id: id.into() })
}

/// The body that replaces the account key.
pub fn rotate_account(new_key: [u8; 32]) -> Body {
    Body::RotateAccount(pb::RotateAccount { account_key: new_key.to_vec() })
}

/// The body that replaces the recovery set. As many keys of the old set sign it as
/// its threshold says.
pub fn set_recovery(new: &Recovery) -> Body {
    Body::SetRecovery(pb::SetRecovery { recovery: Some(set(new)) })
}

/// The body that brings an account back: a new account key, and the live devices that
/// stay, each with whether it holds that key from now on.
///
/// As many recovery keys sign it as the threshold says, and the new account key. With
/// no admin among those that stay, an [`add_device`] of one comes next, in the same
/// request and signed by the new account key: apply this op to the state first, and
/// build that one on what it leads to.
pub fn recover(new_key: [u8; 32], keep: &BTreeMap<DeviceId, bool>) -> Body {
    let keep =
        keep.iter().map(|(&id, &admin)| pb::KeptDevice { device_id: id.into(), admin }).collect();
    Body::Recover(pb::Recover { account_key: new_key.to_vec(), keep })
}

/// The body that says where else the account can be reached.
pub fn add_endpoint(endpoint: &Endpoint) -> Body {
    let Endpoint { kind, url } = endpoint;
    Body::AddEndpoint(pb::AddEndpoint { kind: kind.wire().into(), url: url.clone() })
}

/// The body that takes an endpoint back.
pub fn drop_endpoint(endpoint: &Endpoint) -> Body {
    let Endpoint { kind, url } = endpoint;
    Body::DropEndpoint(pb::DropEndpoint { kind: kind.wire().into(), url: url.clone() })
}

/// The body that claims a handle.
pub fn set_handle(handle: &Handle) -> Body {
    Body::SetHandle(pb::SetHandle { handle: handle.to_string() })
}

/// The body that drops the handle.
pub const fn drop_handle() -> Body {
    Body::DropHandle(pb::DropHandle {})
}

/// Puts a reverse signature into the device that `op` adds. An op that adds none
/// stays as it is.
pub fn set_rsig(op: &mut Op, by: Rsig, signature: Vec<u8>) {
    let device = match &mut op.body {
        Some(Body::Genesis(genesis)) => genesis.first_device.as_mut(),
        Some(Body::AddDevice(device)) => Some(device),
        _ => None,
    };
    if let Some(device) = device {
        match by {
            Rsig::Device => device.rsig_device = signature,
            Rsig::Identity => device.rsig_identity = signature,
            Rsig::Mls => device.rsig_mls = signature,
        }
    }
}

/// A payload with its signatures: pairs of an Ed25519 key and what it signed.
pub fn signed(
    payload: Vec<u8>,
    signatures: impl IntoIterator<Item = ([u8; 32], [u8; 64])>,
) -> SignedOp {
    let sigs = signatures
        .into_iter()
        .map(|(key, sig)| Sig { key: key.to_vec(), sig: sig.to_vec() })
        .collect();
    SignedOp { payload, sigs }
}

fn set(recovery: &Recovery) -> pb::Recovery {
    pb::Recovery {
        threshold: recovery.threshold,
        keys: recovery.keys.iter().map(|key| key.to_vec()).collect(),
        delay_s: recovery.delay_s,
    }
}

fn device(new: &NewDevice) -> pb::AddDevice {
    pb::AddDevice {
        device_id: new.id.into(),
        device_key: new.device_key.to_vec(),
        identity_key: new.identity_key.as_bytes().to_vec(),
        mls_key: new.mls_key.to_vec(),
        registration_id: new.registration_id,
        admin: new.admin,
        not_after: new.not_after_ms,
        rsig_device: Vec::new(),
        rsig_identity: Vec::new(),
        rsig_mls: Vec::new(),
    }
}

impl std::fmt::Debug for NewDevice {
    /// What it may do, without its keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewDevice").field("admin", &self.admin).finish_non_exhaustive()
    }
}
