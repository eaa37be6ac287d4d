//! Fetches chains, verifies them and moves pins.

use std::sync::Arc;

use sotto_identity::{
    ChainError, SignedOp, State, link_hash,
    pin::{Pin, PinError, compare},
    replay,
};
use sotto_ids::{AccountId, AccountUuid, DeviceAddress};

use crate::{
    ClientError, Distrust, Event, OnIdentityChange,
    rest::Rest,
    vault::{Tx, Vault, account_key, accounts, chains, outbox, own, sessions},
};

/// Attempts while another task moves the same pin.
const ATTEMPTS: usize = 4;

/// Whose chain is meant.
#[derive(Clone, Copy)]
pub(crate) enum Whose {
    Account(AccountId),
    Uuid(AccountUuid),
}

impl Whose {
    fn uuid(self) -> AccountUuid {
        match self {
            Self::Account(account) => account.uuid(),
            Self::Uuid(uuid) => uuid,
        }
    }

    fn path(self) -> String {
        match self {
            Self::Account(account) => account.to_string(),
            Self::Uuid(uuid) => uuid.to_string(),
        }
    }

    fn is(self, state: &State) -> bool {
        match self {
            Self::Account(account) => state.account_id == account,
            Self::Uuid(uuid) => state.account_id.uuid() == uuid,
        }
    }
}

/// Fetches what is new of a chain, or all of it at first contact, verifies it
/// against the pin, and moves the pin.
///
/// # Errors
/// [`ClientError::Distrust`] where the server's view is not an honest one: the pin
/// stays, and after a fork the account is frozen.
pub(crate) async fn refresh(
    vault: &Vault,
    rest: &Rest,
    whose: Whose,
) -> Result<Arc<State>, ClientError> {
    let uuid = whose.uuid();
    for _ in 0..ATTEMPTS {
        let pinned = vault.run(move |tx| chains::find(tx.db, tx.chains, uuid)).await?;
        let outcome = match pinned {
            Some((_, state)) if !whose.is(&state) => return Err(Distrust::OtherAccount.into()),
            Some((_, state)) => go_on(vault, rest, whose, Pin::of(&state)).await?,
            None => first_contact(vault, rest, whose).await?,
        };
        if let Some(state) = outcome {
            return Ok(state);
        }
    }
    Err(ClientError::unavailable("the pin kept moving"))
}

async fn first_contact(
    vault: &Vault,
    rest: &Rest,
    whose: Whose,
) -> Result<Option<Arc<State>>, ClientError> {
    let ops = rest.chain(&whose.path(), 0).await?;
    vault
        .run(move |tx| {
            if chains::find(tx.db, tx.chains, whose.uuid())?.is_some() {
                return Ok(None);
            }
            let state = Arc::new(replay(&ops)?);
            if !whose.is(&state) {
                return Err(Distrust::OtherAccount.into());
            }
            chains::pin(tx.db, tx.chains, &state, &ops)?;
            Ok(Some(state))
        })
        .await
}

/// The pinned op comes along with those after it, which shows at once whether the
/// server still has the same chain.
async fn go_on(
    vault: &Vault,
    rest: &Rest,
    whose: Whose,
    pin: Pin,
) -> Result<Option<Arc<State>>, ClientError> {
    let mut ops = rest.chain(&whose.path(), pin.seq).await?;
    let starts_at_pin = ops.first().is_some_and(|op| link_hash(&op.payload) == pin.head);
    if !starts_at_pin {
        return judge(vault, rest, whose, pin).await;
    }
    let new_ops = ops.split_off(1);
    vault.run(move |tx| extend(tx, whose.uuid(), pin.seq, &new_ops)).await
}

/// Moves a pin by ops that follow on from `base`; `None` where it has moved since.
pub(crate) fn extend(
    tx: &mut Tx<'_>,
    uuid: AccountUuid,
    base: u64,
    new_ops: &[SignedOp],
) -> Result<Option<Arc<State>>, ClientError> {
    let Some((account, state)) = chains::find(tx.db, tx.chains, uuid)? else {
        return Ok(None);
    };
    if account.seq != base {
        return Ok(None);
    }
    if new_ops.is_empty() {
        return Ok(Some(state));
    }
    let next = Arc::new(state.apply_all(new_ops)?);
    chains::pin(tx.db, tx.chains, &next, new_ops)?;
    tx.tell(Event::ChainMoved { account: account.account });
    forget_revoked(tx, uuid, &state, &next)?;
    if next.account_key != state.account_key {
        key_changed(tx, &next)?;
    }
    Ok(Some(next))
}

/// Nothing goes to a device any more that is off the account: not what was encrypted
/// for it and has not been sent either, whatever the server says.
fn forget_revoked(
    tx: &mut Tx<'_>,
    uuid: AccountUuid,
    before: &State,
    now: &State,
) -> Result<(), ClientError> {
    let gone: Vec<_> = before
        .live_devices()
        .filter(|device| now.live_device(device.id).is_none())
        .map(|device| DeviceAddress::new(uuid, device.id))
        .collect();
    for device in &gone {
        sessions::delete(tx.db, *device)?;
    }
    if !gone.is_empty() {
        outbox::unseal_of(tx.db, uuid)?;
    }
    Ok(())
}

/// The account key was replaced, by its owner or by whoever has their words. A contact
/// is not written to until a person agrees, unless the setting only wants a warning.
fn key_changed(tx: &mut Tx<'_>, state: &State) -> Result<(), ClientError> {
    let account = state.account_id;
    if own::find(tx.db)?.is_some_and(|own| own.account == account) {
        return Ok(account_key::adopt(tx.db, &state.account_key)?);
    }
    accounts::set_key_changed(tx.db, account.uuid(), true)?;
    let held = tx.tuning.on_identity_change == OnIdentityChange::Hold;
    tx.tell(Event::IdentityChanged { account, held });
    Ok(())
}

/// Whether an error of [`extend`] says that the ops are of another branch, so that
/// the whole chain has to be looked at.
pub(crate) fn is_other_branch(error: &ClientError) -> bool {
    let ClientError::Distrust(Distrust::Chain(error)) = error else {
        return false;
    };
    matches!(error, ChainError::WrongPrev | ChainError::WrongSeq)
}

/// Looks at the whole chain, as the server's does not go on from the pin.
async fn judge(
    vault: &Vault,
    rest: &Rest,
    whose: Whose,
    pin: Pin,
) -> Result<Option<Arc<State>>, ClientError> {
    let served = rest.chain(&whose.path(), 0).await?;
    let uuid = whose.uuid();
    // The verdict is stored with what led to it, so a bad one is no error yet.
    vault.run(move |tx| compare_all(tx, uuid, &pin, &served)).await??;
    Ok(None)
}

/// Compares a whole chain as the server shows it with the pin. A fork freezes the
/// account, and the proof of it is kept.
pub(crate) fn compare_all(
    tx: &mut Tx<'_>,
    uuid: AccountUuid,
    pin: &Pin,
    served: &[SignedOp],
) -> Result<Result<(), Distrust>, ClientError> {
    let held = chains::ops(tx.db, uuid)?;
    Ok(match compare(pin, &held, served) {
        Ok(_) => Ok(()),
        Err(PinError::Rollback) => Err(Distrust::Rollback),
        Err(PinError::WrongAccount) => Err(Distrust::OtherAccount),
        Err(PinError::Chain(error)) => Err(Distrust::Chain(error)),
        Err(PinError::Fork(evidence)) => {
            chains::freeze(tx.db, uuid, evidence.as_deref(), tx.now_ms)?;
            tx.tell(Event::ForkSuspected { account: pin.account_id });
            Err(Distrust::Fork)
        }
    })
}
