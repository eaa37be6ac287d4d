//! Opens sessions with the devices of a peer.

use std::sync::Arc;

use sotto_identity::SignedOp;
use sotto_ids::{AccountUuid, DeviceAddress};

use super::flight::Mismatch;
use crate::{
    ClientError, Distrust,
    chain::{self, Whose},
    client::Inner,
    rest::wire::Bundles,
    signal::{bundle, encrypt},
    vault::{chains, own, sessions},
};

/// Brings our view of a peer's devices up to date, and opens sessions with those
/// that there is none with.
///
/// The chain comes first: what it does not certify is refused, whatever the server
/// says. With nothing named it is a first contact, with all of the devices.
pub(super) async fn introduce(
    inner: &Arc<Inner>,
    uuid: AccountUuid,
    mismatch: Mismatch,
) -> Result<(), ClientError> {
    let Mismatch { missing, void } = mismatch;
    let first_contact = missing.is_empty() && void.is_empty();
    let ended = void.clone();
    let known = inner
        .vault
        .run(move |tx| {
            for device in ended {
                sessions::delete(tx.db, DeviceAddress::new(uuid, device))?;
            }
            chains::find(tx.db, tx.chains, uuid)
        })
        .await?;
    let state = match known {
        Some((account, _)) if account.frozen => return Err(Distrust::Fork.into()),
        // Devices went: only the chain can say so.
        Some((_, state)) if void.is_empty() => state,
        _ => chain::refresh(&inner.vault, &inner.rest, Whose::Uuid(uuid)).await?,
    };

    // A void session is opened again where the device is still there.
    let mut wanted = missing;
    wanted.extend(void.into_iter().filter(|device| state.live_device(*device).is_some()));
    if wanted.is_empty() && !first_contact {
        return Ok(());
    }
    let (account, seq) = (state.account_id, state.seq);
    let device_ids: Vec<_> = wanted.iter().copied().collect();
    let answer = inner
        .auth
        .with_token(|token| inner.rest.bundles(account, device_ids.clone(), seq, token))
        .await;
    if let Err(error) = &answer
        && error.is("unknown_device")
    {
        // It went in the meantime; the next attempt starts from the newer chain.
        chain::refresh(&inner.vault, &inner.rest, Whose::Uuid(uuid)).await?;
    }
    let bundles = answer?;
    let served: Vec<_> = bundles.devices.iter().map(|bundle| bundle.device_id).collect();
    install(inner, uuid, seq, bundles).await?;

    // A device that is certified and has not published its keys yet.
    if !wanted.iter().all(|device| served.contains(device)) {
        return Err(ClientError::unavailable("a device has no prekeys yet"));
    }
    if first_contact && !has_targets_with_sessions(inner, uuid).await? {
        return Err(ClientError::unavailable("no device of the account has prekeys yet"));
    }
    Ok(())
}

async fn install(
    inner: &Inner,
    uuid: AccountUuid,
    have: u64,
    bundles: Bundles,
) -> Result<(), ClientError> {
    let Bundles { ops, devices } = bundles;
    let new_ops: Vec<SignedOp> = ops.into_iter().map(Into::into).collect();
    let extended = inner.vault.run(move |tx| chain::extend(tx, uuid, have, &new_ops)).await;
    match extended {
        Ok(Some(_)) => {}
        // The pin moved meanwhile, or this is another branch: the whole view decides.
        Ok(None) => {
            chain::refresh(&inner.vault, &inner.rest, Whose::Uuid(uuid)).await?;
        }
        Err(error) if chain::is_other_branch(&error) => {
            chain::refresh(&inner.vault, &inner.rest, Whose::Uuid(uuid)).await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    }
    inner
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let (_, state) =
                chains::find(tx.db, tx.chains, uuid)?.ok_or(ClientError::UnknownAccount)?;
            bundle::open_sessions(tx, &own, &state, &devices)
        })
        .await
}

async fn has_targets_with_sessions(inner: &Inner, uuid: AccountUuid) -> Result<bool, ClientError> {
    inner
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let Some((_, state)) = chains::find(tx.db, tx.chains, uuid)? else {
                return Ok(false);
            };
            for (address, _) in encrypt::targets(&own, &state, tx.now_ms) {
                if sessions::find(tx.db, address)?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
}
