//! The table `self`: who this device is, and its private keys.

use ed25519_dalek::SigningKey;
use libsignal_protocol::{IdentityKeyPair, PrivateKey};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use sotto_ids::{AccountId, DeviceAddress, DeviceId};
use zeroize::Zeroizing;

use super::value;
use crate::{ClientError, Phase};

/// The account and device of this store.
pub(crate) struct Own {
    pub(crate) phase: Phase,
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) registration_id: u32,
    /// On admin devices only.
    pub(crate) account_key: Option<SigningKey>,
    pub(crate) device_key: SigningKey,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) mls_key: SigningKey,
    /// The signed genesis while made, the op to be approved while requested.
    pub(crate) pending: Option<Vec<u8>>,
}

impl Own {
    pub(crate) fn address(&self) -> DeviceAddress {
        DeviceAddress::new(self.account.uuid(), self.device)
    }
}

/// Who this device is, where it is anybody.
pub(crate) fn find(db: &Connection) -> rusqlite::Result<Option<Own>> {
    db.prepare_cached("SELECT * FROM self")?.query_row([], from_row).optional()
}

/// Who this device is.
pub(crate) fn load(db: &Connection) -> Result<Own, ClientError> {
    find(db)?.ok_or(ClientError::NotRegistered)
}

/// Who this device is, once it is in its account's chain.
pub(crate) fn certified(db: &Connection) -> Result<Own, ClientError> {
    let own = load(db)?;
    match own.phase {
        Phase::Made => Err(ClientError::NotRegistered),
        Phase::Requested => Err(ClientError::RequestPending),
        Phase::Certified | Phase::Ready => Ok(own),
    }
}

/// Writes who this device is, in place of what was there.
pub(crate) fn put(db: &Connection, own: &Own) -> rusqlite::Result<()> {
    let secret = |key: &SigningKey| Zeroizing::new(key.to_bytes());
    let account_secret = own.account_key.as_ref().map(secret);
    db.prepare_cached(
        "INSERT OR REPLACE INTO self (id, phase, account, device, registration_id,
             account_secret, device_secret, identity_secret, mls_secret, pending)
         VALUES (1, :phase, :account, :device, :registration_id,
             :account_secret, :device_secret, :identity_secret, :mls_secret, :pending)",
    )?
    .execute(named_params! {
        ":phase": phase_word(own.phase),
        ":account": own.account.as_bytes(),
        ":device": u32::from(own.device),
        ":registration_id": own.registration_id,
        ":account_secret": account_secret.as_ref().map(|secret| secret.as_slice()),
        ":device_secret": secret(&own.device_key).as_slice(),
        ":identity_secret": Zeroizing::new(own.identity.private_key().serialize()).as_slice(),
        ":mls_secret": secret(&own.mls_key).as_slice(),
        ":pending": own.pending,
    })?;
    Ok(())
}

/// Goes on to a phase in which nothing is pending.
pub(crate) fn enter(db: &Connection, phase: Phase) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE self SET phase = ?1, pending = NULL")?
        .execute([phase_word(phase)])?;
    Ok(())
}

/// Forgets a device that never came to be certified.
pub(crate) fn forget(db: &Connection) -> rusqlite::Result<()> {
    db.execute("DELETE FROM self WHERE phase IN ('made', 'requested')", [])?;
    Ok(())
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Made => "made",
        Phase::Requested => "requested",
        Phase::Certified => "certified",
        Phase::Ready => "ready",
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Own> {
    let key = |secret: Zeroizing<[u8; 32]>| SigningKey::from_bytes(&secret);
    Ok(Own {
        phase: value::read(row, "phase", |word: String| match word.as_str() {
            "made" => Some(Phase::Made),
            "requested" => Some(Phase::Requested),
            "certified" => Some(Phase::Certified),
            "ready" => Some(Phase::Ready),
            _ => None,
        })?,
        account: value::account(row, "account")?,
        device: value::device(row, "device")?,
        registration_id: row.get("registration_id")?,
        account_key: row.get::<_, Option<[u8; 32]>>("account_secret")?.map(Zeroizing::new).map(key),
        device_key: key(Zeroizing::new(row.get("device_secret")?)),
        identity: value::read(row, "identity_secret", |secret: Vec<u8>| {
            let secret = Zeroizing::new(secret);
            IdentityKeyPair::try_from(PrivateKey::deserialize(&secret).ok()?).ok()
        })?,
        mls_key: key(Zeroizing::new(row.get("mls_secret")?)),
        pending: row.get("pending")?,
    })
}
