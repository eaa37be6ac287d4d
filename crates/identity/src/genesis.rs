use sotto_ids::DeviceId;
use sotto_proto::identity::Genesis;

use crate::{
    Body, ChainError, Device, KeyKind, Op, Recovery, SignedOp, State, decode_op, keys, link_hash,
    signatures::Signatures,
};

/// Bytes of the nonce that makes two accounts of the same keys differ.
const NONCE_BYTES: usize = 16;

/// Opens a chain. Who signs is in the table of the module `rules`.
pub(crate) fn open(signed: &SignedOp) -> Result<State, ChainError> {
    let op = decode_op(&signed.payload)?;
    let Some(Body::Genesis(body)) = &op.body else {
        return Err(ChainError::GenesisExpected);
    };
    check_start(&op)?;
    let recovery = Recovery::check(body.recovery.as_ref())?;
    let account_key =
        keys::check_ed25519(&body.account_key).map_err(|fault| KeyKind::Account.refused(fault))?;
    if recovery.keys.contains(&account_key) {
        return Err(ChainError::KeyReused(KeyKind::Account));
    }
    check_genesis(body)?;
    let first = body.first_device.as_ref().ok_or(ChainError::WrongFirstDevice)?;
    let device = Device::check(first)?;
    if device.id != DeviceId::FIRST || !device.admin {
        return Err(ChainError::WrongFirstDevice);
    }

    let head = link_hash(&signed.payload);
    let mut state = State {
        account_id: head.into(),
        account_key,
        recovery,
        seq: 0,
        head,
        devices: [].into(),
        handle: None,
        home: body.home.clone(),
        endpoints: [].into(),
        rotation_due: false,
        admin_due: false,
        former_account_keys: [].into(),
        former_recovery_keys: [].into(),
    };
    state.check_new_keys(&device)?;

    let signatures = Signatures::of(signed)?;
    let mut needed = state.recovery.signers(&signatures)?;
    needed.push(account_key);
    signatures.verify(&signed.payload, &needed)?;
    device.verify_rsigs(&op, first)?;

    state.devices.insert(device.id, device);
    Ok(state)
}

/// The fields that place an op in a chain, at its start.
fn check_start(op: &Op) -> Result<(), ChainError> {
    if !op.account_id.is_empty() {
        return Err(ChainError::WrongAccount);
    }
    if op.seq != 0 {
        return Err(ChainError::WrongSeq);
    }
    if op.prev.is_empty() { Ok(()) } else { Err(ChainError::WrongPrev) }
}

fn check_genesis(body: &Genesis) -> Result<(), ChainError> {
    if body.nonce16.len() != NONCE_BYTES {
        return Err(ChainError::MalformedNonce);
    }
    if is_domain(&body.home) { Ok(()) } else { Err(ChainError::MalformedHome) }
}

/// Whether the text is a domain name (RFC 1035 section 2.3.1, with digits first
/// allowed) in lower case, at most 253 characters in labels of at most 63.
fn is_domain(text: &str) -> bool {
    let of_alphabet = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(of_alphabet)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
