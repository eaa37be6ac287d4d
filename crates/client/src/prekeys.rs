//! Upkeep of the prekeys at the server: on connect, and when the server says that
//! the stock is low.

use std::time::Duration;

use libsignal_protocol::{
    GenericSignedPreKey as _, KyberPreKeyRecord, PreKeyRecord, SignalProtocolError,
    SignedPreKeyRecord,
};
use sotto_ids::limits::MAX_PREKEYS_PER_UPLOAD;

use crate::{
    ClientError, Phase,
    auth::Auth,
    rest::{
        Rest, RestError,
        wire::{KeyCount, KyberKeys, OneTimeKey, OneTimeKeys, SignedKey},
    },
    signal::keys::{make_one_time, make_standing},
    vault::{
        Own, Tx, Vault, counters, own,
        prekeys::{self, OneTime, Standing},
    },
};

/// Rounds of one upkeep: the server's stock of one kind takes two uploads at most,
/// and a conflict of ids one more.
const ROUNDS: usize = 6;

/// When one-time keys are added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// When there are fewer than [`crate::Tuning::prekey_low`].
    IfLow,
    /// When there are fewer than [`crate::Tuning::prekey_target`]: the server has
    /// said that it is time.
    Now,
}

/// Brings the stock at the server up to its target, and replaces what is too old.
/// Once it is done, a device that was only certified is ready.
pub(crate) async fn maintain(
    vault: &Vault,
    rest: &Rest,
    auth: &Auth,
    fill: Fill,
) -> Result<(), ClientError> {
    for _ in 0..ROUNDS {
        let count = auth.with_token(|token| rest.key_count(token)).await?;
        let plan = vault.run(move |tx| plan(tx, &count, fill)).await?;
        if plan.is_empty() {
            return vault
                .run(|tx| match own::certified(tx.db)?.phase {
                    Phase::Certified => Ok(own::enter(tx.db, Phase::Ready)?),
                    _ => Ok(()),
                })
                .await;
        }
        plan.carry_out(vault, rest, auth).await?;
    }
    Err(ClientError::unavailable("the server did not keep the prekeys"))
}

/// What is to be uploaded.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) signed_ec: Option<SignedKey>,
    pub(crate) last_resort: Option<SignedKey>,
    pub(crate) one_time_ec: Vec<OneTimeKey>,
    pub(crate) one_time_kyber: Vec<SignedKey>,
}

/// Makes what is missing, and says what is to be uploaded. What was made before and
/// did not get there is uploaded again as it is.
pub(crate) fn plan(tx: &mut Tx<'_>, count: &KeyCount, fill: Fill) -> Result<Plan, ClientError> {
    let own = own::certified(tx.db)?;
    catch_up(tx, counters::ONE_TIME_EC, count.highest_one_time_ec)?;
    catch_up(tx, counters::KYBER, count.highest_kyber)?;
    tidy(tx)?;

    let signed_ec = standing(tx, &own, Standing::SignedEc, count.signed_ec)?;
    let last_resort = standing(tx, &own, Standing::LastResort, count.last_resort_kyber)?;
    let one_time_ec = one_time(tx, &own, OneTime::Ec, count.one_time_ec, fill)?;
    let one_time_kyber = one_time(tx, &own, OneTime::Kyber, count.one_time_kyber, fill)?;
    let encoded = || -> Result<Plan, SignalProtocolError> {
        Ok(Plan {
            signed_ec: signed_ec.map(signed_key).transpose()?,
            last_resort: last_resort.map(kyber_key).transpose()?,
            one_time_ec: one_time_ec.into_iter().map(one_time_key).collect::<Result<_, _>>()?,
            one_time_kyber: one_time_kyber.into_iter().map(kyber_key).collect::<Result<_, _>>()?,
        })
    };
    encoded().map_err(|_| ClientError::Crypto("stored_prekey"))
}

/// A store that was put back to an earlier day would otherwise make ids again that
/// the server has seen.
fn catch_up(tx: &Tx<'_>, counter: &str, highest: Option<u32>) -> Result<(), ClientError> {
    let highest = highest.unwrap_or_default().into();
    if counters::value(tx.db, counter)? < highest {
        counters::set(tx.db, counter, highest)?;
    }
    Ok(())
}

fn tidy(tx: &Tx<'_>) -> Result<(), ClientError> {
    let before_ms = tx.now_ms.saturating_sub(ms(tx.tuning.prekey_retention));
    for kind in [Standing::SignedEc, Standing::LastResort] {
        prekeys::drop_replaced(tx.db, kind, before_ms)?;
    }
    for kind in [OneTime::Ec, OneTime::Kyber] {
        prekeys::trim(tx.db, kind, tx.tuning.prekey_max_private)?;
    }
    Ok(())
}

/// The standing key that is to be uploaded: a new one when the present one is too
/// old, the present one when the server has another.
fn standing(
    tx: &mut Tx<'_>,
    own: &Own,
    kind: Standing,
    at_server: Option<u32>,
) -> Result<Option<(u32, Vec<u8>)>, ClientError> {
    let oldest_ms = tx.now_ms.saturating_sub(ms(tx.tuning.prekey_rotation));
    let current = prekeys::current(tx.db, kind)?;
    let has_it = |id| at_server == Some(id);
    if let Some(key) = &current
        && key.published
        && has_it(key.id)
        && key.made_ms > oldest_ms
    {
        return Ok(None);
    }
    let usable = current.filter(|key| !key.published && key.made_ms > oldest_ms);
    if let Some(key) = usable {
        return Ok(Some((key.id, key.record)));
    }
    make_standing(tx, own, kind)?;
    Ok(prekeys::current(tx.db, kind)?.map(|key| (key.id, key.record)))
}

fn one_time(
    tx: &mut Tx<'_>,
    own: &Own,
    kind: OneTime,
    at_server: u32,
    fill: Fill,
) -> Result<Vec<(u32, Vec<u8>)>, ClientError> {
    let waiting = prekeys::unpublished(tx.db, kind, MAX_PREKEYS_PER_UPLOAD)?;
    let low = at_server
        < match fill {
            Fill::IfLow => tx.tuning.prekey_low,
            Fill::Now => tx.tuning.prekey_target,
        };
    if !low && waiting.is_empty() {
        return Ok(waiting);
    }
    let have = at_server.saturating_add(u32::try_from(waiting.len()).unwrap_or(u32::MAX));
    if low {
        make_one_time(tx, own, kind, tx.tuning.prekey_target.saturating_sub(have))?;
    }
    Ok(prekeys::unpublished(tx.db, kind, MAX_PREKEYS_PER_UPLOAD)?)
}

fn signed_key((id, record): (u32, Vec<u8>)) -> Result<SignedKey, SignalProtocolError> {
    let record = SignedPreKeyRecord::deserialize(&record)?;
    Ok(SignedKey {
        key_id: id,
        public_key: record.public_key()?.serialize().into_vec().into(),
        signature: record.signature()?.into(),
    })
}

fn kyber_key((id, record): (u32, Vec<u8>)) -> Result<SignedKey, SignalProtocolError> {
    let record = KyberPreKeyRecord::deserialize(&record)?;
    Ok(SignedKey {
        key_id: id,
        public_key: record.public_key()?.serialize().into_vec().into(),
        signature: record.signature()?.into(),
    })
}

fn one_time_key((id, record): (u32, Vec<u8>)) -> Result<OneTimeKey, SignalProtocolError> {
    let public_key = PreKeyRecord::deserialize(&record)?.public_key()?;
    Ok(OneTimeKey { key_id: id, public_key: public_key.serialize().into_vec().into() })
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.signed_ec.is_none()
            && self.last_resort.is_none()
            && self.one_time_ec.is_empty()
            && self.one_time_kyber.is_empty()
    }

    async fn carry_out(
        mut self,
        vault: &Vault,
        rest: &Rest,
        auth: &Auth,
    ) -> Result<(), ClientError> {
        if let Some(key) = self.signed_ec.take() {
            auth.with_token(|token| rest.put_signed(&key, token)).await?;
            replace(vault, Standing::SignedEc, key.key_id).await?;
        }
        if self.last_resort.is_some() || !self.one_time_kyber.is_empty() {
            let last_resort = self.last_resort.as_ref().map(|key| key.key_id);
            let ids: Vec<_> = self.one_time_kyber.iter().map(|key| key.key_id).collect();
            let keys = KyberKeys { last_resort: self.last_resort, one_time: self.one_time_kyber };
            let put = auth.with_token(|token| rest.put_kyber(&keys, token)).await;
            if uploaded(vault, OneTime::Kyber, ids, put).await?
                && let Some(id) = last_resort
            {
                replace(vault, Standing::LastResort, id).await?;
            }
        }
        if !self.one_time_ec.is_empty() {
            let ids = self.one_time_ec.iter().map(|key| key.key_id).collect();
            let keys = OneTimeKeys { keys: self.one_time_ec };
            let put = auth.with_token(|token| rest.put_one_time(&keys, token)).await;
            uploaded(vault, OneTime::Ec, ids, put).await?;
        }
        Ok(())
    }
}

async fn replace(vault: &Vault, kind: Standing, id: u32) -> Result<(), ClientError> {
    vault.run(move |tx| Ok(prekeys::replace(tx.db, kind, id, tx.now_ms)?)).await
}

/// Notes one-time keys as uploaded; `false` where the server has other keys under
/// some of their ids, so that ours are of no use.
async fn uploaded(
    vault: &Vault,
    kind: OneTime,
    ids: Vec<u32>,
    put: Result<(), RestError>,
) -> Result<bool, ClientError> {
    match put {
        Ok(()) => {
            vault.run(move |tx| Ok(prekeys::set_published(tx.db, kind, &ids)?)).await?;
            Ok(true)
        }
        Err(RestError::Refused { problem, .. })
            if problem.reason.as_deref() == Some("prekey_conflict")
                && !problem.key_ids.is_empty() =>
        {
            vault
                .run(move |tx| {
                    for id in &problem.key_ids {
                        prekeys::delete(tx.db, kind, *id)?;
                    }
                    Ok(())
                })
                .await?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
