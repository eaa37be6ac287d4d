//! Compares the prekeys at the server with those that this device published.
//!
//! A prekey that is not ours was put there by somebody else, and messages that are
//! encrypted with it are not for us to read. The server says which ids it holds, and a
//! digest over the keys under them; the digest is made here again from our own keys.

use libsignal_protocol::{
    GenericSignedPreKey as _, KyberPreKeyRecord, PreKeyRecord, SignalProtocolError,
    SignedPreKeyRecord,
};
use rusqlite::Connection;
use sotto_identity::prekeys::Prekeys;

use crate::{
    ClientError,
    auth::Auth,
    prekeys::{Fill, maintain},
    rest::{Rest, wire::KeyDigest},
    signal::keys::make_standing,
    vault::{
        Tx, Vault, counters, own,
        prekeys::{self, Standing},
    },
};

/// Comparisons before the server is taken to differ: a key that was handed out and used
/// in between makes one fail.
const LOOKS: usize = 2;

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not time yet, or nothing differs.
    Same,
    /// Something differed; `restored` where it no longer does.
    Differed { restored: bool },
}

/// Compares, where the last time is [`crate::Tuning::prekey_check`] ago.
pub(crate) async fn check_if_due(
    vault: &Vault,
    rest: &Rest,
    auth: &Auth,
) -> Result<Verdict, ClientError> {
    let is_due = vault
        .run(|tx| {
            let every_ms = u64::try_from(tx.tuning.prekey_check.as_millis()).unwrap_or(u64::MAX);
            let last_ms = counters::value(tx.db, counters::PREKEYS_COMPARED_MS)?;
            // One from the future was written by a clock that was put back since.
            Ok(last_ms > tx.now_ms || last_ms.saturating_add(every_ms) <= tx.now_ms)
        })
        .await?;
    if !is_due {
        return Ok(Verdict::Same);
    }
    let verdict = check(vault, rest, auth).await?;
    vault.run(|tx| Ok(counters::set(tx.db, counters::PREKEYS_COMPARED_MS, tx.now_ms)?)).await?;
    Ok(verdict)
}

/// Compares. Where the server differs, it gets new standing keys, which take the place of
/// those that it has; one-time keys that are not ours cannot be taken back.
async fn check(vault: &Vault, rest: &Rest, auth: &Auth) -> Result<Verdict, ClientError> {
    if looks_the_same(vault, rest, auth).await? {
        return Ok(Verdict::Same);
    }
    vault.run(renew_standing).await?;
    maintain(vault, rest, auth, Fill::Now).await?;
    Ok(Verdict::Differed { restored: looks_the_same(vault, rest, auth).await? })
}

async fn looks_the_same(vault: &Vault, rest: &Rest, auth: &Auth) -> Result<bool, ClientError> {
    for _ in 0..LOOKS {
        let held = auth.with_token(|token| rest.key_digest(token)).await?;
        if vault.run(move |tx| is_ours(tx, &held)).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes the next standing keys; the upkeep uploads them.
pub(crate) fn renew_standing(tx: &mut Tx<'_>) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    make_standing(tx, &own, Standing::SignedEc)?;
    make_standing(tx, &own, Standing::LastResort)
}

/// Whether the server holds just the keys of this device that it says, and the standing
/// ones that are in use.
pub(crate) fn is_ours(tx: &Tx<'_>, held: &KeyDigest) -> Result<bool, ClientError> {
    for (kind, at_server) in
        [(Standing::SignedEc, held.signed_ec), (Standing::LastResort, held.last_resort_kyber)]
    {
        let in_use = prekeys::current(tx.db, kind)?.map(|key| key.id);
        if at_server.is_none() || at_server != in_use {
            return Ok(false);
        }
    }
    let Some([signed_ec, last_resort, one_time_ec, one_time_kyber]) = public_keys(tx, held)? else {
        return Ok(false);
    };
    let ours = Prekeys {
        signed_ec: bare(&signed_ec).pop(),
        last_resort_kyber: bare(&last_resort).pop(),
        one_time_ec: bare(&one_time_ec),
        one_time_kyber: bare(&one_time_kyber),
    };
    Ok(ours.digest().as_slice() == held.digest.0)
}

type PublicKeys = Vec<(u32, Vec<u8>)>;

fn bare(keys: &PublicKeys) -> Vec<(u32, &[u8])> {
    keys.iter().map(|(id, key)| (*id, key.as_slice())).collect()
}

/// Our own keys under the ids that the server holds: signed, last-resort, one-time EC and
/// one-time Kyber ones. `None` where there is none under one of them.
fn public_keys(tx: &Tx<'_>, held: &KeyDigest) -> Result<Option<[PublicKeys; 4]>, ClientError> {
    let kinds: [(&[u32], Find, Read); 4] = [
        (held.signed_ec.as_slice(), prekeys::signed_ec, signed_ec),
        (held.last_resort_kyber.as_slice(), prekeys::kyber, kyber),
        (&held.one_time_ec, prekeys::one_time_ec, one_time_ec),
        (&held.one_time_kyber, prekeys::kyber, kyber),
    ];
    let mut found: [PublicKeys; 4] = Default::default();
    for ((ids, find, read), into) in kinds.into_iter().zip(&mut found) {
        for &id in ids {
            let Some(record) = find(tx.db, id)? else {
                return Ok(None);
            };
            let key = read(&record).map_err(|_| ClientError::Crypto("stored_prekey"))?;
            into.push((id, key));
        }
    }
    Ok(Some(found))
}

type Find = fn(&Connection, u32) -> rusqlite::Result<Option<Vec<u8>>>;
type Read = fn(&[u8]) -> Result<Vec<u8>, SignalProtocolError>;

fn signed_ec(record: &[u8]) -> Result<Vec<u8>, SignalProtocolError> {
    Ok(SignedPreKeyRecord::deserialize(record)?.public_key()?.serialize().into_vec())
}

fn one_time_ec(record: &[u8]) -> Result<Vec<u8>, SignalProtocolError> {
    Ok(PreKeyRecord::deserialize(record)?.public_key()?.serialize().into_vec())
}

fn kyber(record: &[u8]) -> Result<Vec<u8>, SignalProtocolError> {
    Ok(KyberPreKeyRecord::deserialize(record)?.public_key()?.serialize().into_vec())
}
