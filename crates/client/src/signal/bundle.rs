//! Opens sessions with bundles that the server handed out.

use libsignal_protocol::{IdentityKey, PreKeyBundle, PublicKey, kem, process_prekey_bundle};
use sotto_identity::{State, keys};
use sotto_ids::{Base64Bytes, DeviceAddress};

use super::{at_once, protocol_address, refuse_low_order, stores::Stores, word};
use crate::{
    ClientError, Distrust,
    clock::system_time,
    rest::wire::DeviceBundle,
    vault::{Own, Tx, sessions},
};

/// Opens a session with each device of `bundles`.
///
/// The chain decides: a device that it does not have live, and any key of a device
/// that is not its own, is refused. One bad bundle refuses them all, as a server
/// that sends one is not to be believed in the others.
pub(crate) fn open_sessions(
    tx: &mut Tx<'_>,
    own: &Own,
    peer: &State,
    bundles: &[DeviceBundle],
) -> Result<(), ClientError> {
    let uuid = peer.account_id.uuid();
    for bundle in bundles {
        let address = DeviceAddress::new(uuid, bundle.device_id);
        if address == own.address() {
            continue;
        }
        let checked = check(peer, bundle, tx.now_ms)?;
        let stores = Stores::new(tx, own);
        let (mut session_store, mut identity_store) = (stores.clone(), stores.clone());
        let processed = at_once(process_prekey_bundle(
            &protocol_address(address),
            &mut session_store,
            &mut identity_store,
            &checked,
            system_time(tx.now_ms),
            tx.rng,
        ));
        stores.check(processed)?.map_err(|error| distrust(word(&error)))?;
        sessions::set_acknowledged(tx.db, address, false)?;
    }
    Ok(())
}

fn distrust(word: &'static str) -> ClientError {
    match word {
        "bad_prekey_signature" => Distrust::BadSignature.into(),
        "identity_mismatch" => Distrust::IdentityMismatch.into(),
        "malformed_ciphertext" => Distrust::Malformed.into(),
        word => ClientError::Crypto(word),
    }
}

fn check(peer: &State, bundle: &DeviceBundle, now_ms: u64) -> Result<PreKeyBundle, Distrust> {
    let device = peer
        .live_device(bundle.device_id)
        .filter(|device| device.is_live_at(now_ms))
        .ok_or(Distrust::GhostDevice)?;
    if bundle.identity_key.0 != device.identity_key.as_bytes()
        || bundle.registration_id != device.registration_id
    {
        return Err(Distrust::IdentityMismatch);
    }
    let kyber = bundle.kyber.as_ref().ok_or(Distrust::KyberStripped)?;
    let one_time = match &bundle.one_time_ec {
        Some(key) => Some((key.key_id.into(), ec_key(&key.public_key)?)),
        None => None,
    };
    PreKeyBundle::new(
        bundle.registration_id,
        libsignal_protocol::DeviceId::new(bundle.device_id.as_u8())
            .map_err(|_| Distrust::Malformed)?,
        one_time,
        bundle.signed_ec.key_id.into(),
        ec_key(&bundle.signed_ec.public_key)?,
        bundle.signed_ec.signature.0.clone(),
        kyber.key_id.into(),
        kyber_key(&kyber.public_key)?,
        kyber.signature.0.clone(),
        IdentityKey::decode(device.identity_key.as_bytes()).map_err(|_| Distrust::Malformed)?,
    )
    .map_err(|_| Distrust::Malformed)
}

fn ec_key(bytes: &Base64Bytes) -> Result<PublicKey, Distrust> {
    let checked = keys::check_ec(&bytes.0).map_err(|fault| match fault {
        keys::KeyFault::LowOrder => Distrust::LowOrderKey,
        keys::KeyFault::Malformed => Distrust::Malformed,
    })?;
    let key = PublicKey::deserialize(&checked).map_err(|_| Distrust::Malformed)?;
    refuse_low_order(&key)?;
    Ok(key)
}

/// Kyber-1024 alone is taken; all zero is the one key of it that anybody can see
/// through at a glance.
fn kyber_key(bytes: &Base64Bytes) -> Result<kem::PublicKey, Distrust> {
    let key = kem::PublicKey::deserialize(&bytes.0).map_err(|_| Distrust::Malformed)?;
    if key.key_type() != kem::KeyType::Kyber1024 {
        return Err(Distrust::Malformed);
    }
    if bytes.0.iter().skip(1).all(|&byte| byte == 0) {
        return Err(Distrust::LowOrderKey);
    }
    Ok(key)
}
