//! Other accounts: finding them, their chains, and comparing safety numbers.

use std::sync::Arc;

use sotto_identity::{Body, SignedOp, State, decode_op, link_hash};
use sotto_ids::AccountId;

use super::Client;
use crate::{
    Chain, ChainDevice, ChainOp, ClientError, Contact, Distrust, PeerName, SafetyNumber,
    chain::{self, Whose},
    content::Head,
    kinds,
    vault::{
        Tx,
        accounts::{self, Account},
        chains, own,
    },
};

impl Client {
    /// Looks somebody up, verifies their chain and pins it. From then on they can
    /// be written to, and a server that shows another chain is found out.
    ///
    /// # Errors
    /// `unknown_account`, `unavailable`, and any [`Distrust`].
    pub async fn add_contact(&self, name: &PeerName) -> Result<Contact, ClientError> {
        let inner = &self.inner;
        let account = match name {
            PeerName::Account(account) => *account,
            PeerName::Handle(handle) => inner.rest.handle_owner(handle).await?,
        };
        let uuid = account.uuid();
        let known = inner
            .vault
            .run(move |tx| Ok(accounts::find(tx.db, uuid)?.is_some_and(|one| !one.met_in_group)))
            .await?;
        let state = chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
        if let PeerName::Handle(handle) = name
            && state.handle.as_ref() != Some(handle)
        {
            // The server says so, and the account itself does not.
            return Err(Distrust::OtherAccount.into());
        }
        inner
            .vault
            .run(move |tx| {
                accounts::set_met_in_group(tx.db, uuid, false)?;
                if !known {
                    kinds::sync::tell_contact(tx, account, Head::of(&state))?;
                }
                find_contact(tx, account)?.ok_or(ClientError::UnknownAccount)
            })
            .await
    }

    /// Everybody who is known: added, or heard from. Without oneself.
    ///
    /// # Errors
    /// `store`.
    pub async fn contacts(&self) -> Result<Vec<Contact>, ClientError> {
        self.inner
            .vault
            .run(|tx| {
                let own = own::find(tx.db)?.map(|own| own.account);
                let accounts = accounts::list(tx.db)?;
                let others = accounts
                    .iter()
                    .filter(|known| Some(known.account) != own && !known.met_in_group);
                others
                    .map(|known| {
                        let state = chains::state(tx.db, tx.chains, known)?;
                        Ok(contact(&state, known, tx.now_ms))
                    })
                    .collect()
            })
            .await
    }

    /// The safety number with somebody who is known. Both sides see the same one,
    /// as long as nobody is between them.
    ///
    /// # Errors
    /// `unknown_account`, `not_registered`.
    pub async fn safety_number(&self, peer: AccountId) -> Result<SafetyNumber, ClientError> {
        self.inner
            .vault
            .run(move |tx| {
                let own = own::certified(tx.db)?.account;
                let key = |account: AccountId| {
                    let known = chains::find(tx.db, tx.chains, account.uuid())?;
                    let (_, state) = known
                        .filter(|(known, _)| known.account == account)
                        .ok_or(ClientError::UnknownAccount)?;
                    Ok::<_, ClientError>(state.account_key)
                };
                Ok(SafetyNumber::between((own, &key(own)?), (peer, &key(peer)?)))
            })
            .await
    }

    /// An account's chain as it is now, verified against what was seen before.
    ///
    /// # Errors
    /// As [`Self::add_contact`].
    pub async fn chain(&self, account: AccountId) -> Result<Chain, ClientError> {
        let inner = &self.inner;
        let state = chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
        let ops = inner.vault.run(move |tx| Ok(chains::ops(tx.db, account.uuid())?)).await?;
        Ok(view(&state, &ops))
    }
}

pub(super) fn find_contact(
    tx: &mut Tx<'_>,
    account: AccountId,
) -> Result<Option<Contact>, ClientError> {
    let known = chains::find(tx.db, tx.chains, account.uuid())?;
    Ok(known.map(|(known, state)| contact(&state, &known, tx.now_ms)))
}

fn contact(state: &State, known: &Account, now_ms: u64) -> Contact {
    let live = state.live_devices().filter(|device| device.is_live_at(now_ms));
    Contact {
        account: state.account_id,
        uuid: state.account_id.uuid(),
        handle: state.handle.clone(),
        live_devices: live.map(|device| device.id).collect(),
        frozen: known.frozen,
        key_changed: known.key_changed,
    }
}

fn view(state: &Arc<State>, ops: &[SignedOp]) -> Chain {
    let devices = state.devices.values().map(|device| ChainDevice {
        id: device.id,
        identity_key: *device.identity_key.as_bytes(),
        admin: device.admin,
        revoked_at_seq: device.revoked_at_seq,
    });
    Chain {
        account: state.account_id,
        seq: state.seq,
        head: *state.head.as_bytes(),
        account_key: state.account_key,
        handle: state.handle.clone(),
        home: state.home.clone(),
        devices: devices.collect(),
        ops: ops.iter().filter_map(op_view).collect(),
    }
}

/// The ops were verified before, so each can be read.
fn op_view(signed: &SignedOp) -> Option<ChainOp> {
    let op = decode_op(&signed.payload).ok()?;
    let kind = match op.body {
        Some(Body::Genesis(_)) => "genesis",
        Some(Body::AddDevice(_)) => "add_device",
        Some(Body::RevokeDevice(_)) => "revoke_device",
        Some(Body::RotateAccount(_)) => "rotate_account",
        Some(Body::SetRecovery(_)) => "set_recovery",
        Some(Body::Recover(_)) => "recover",
        Some(Body::SetHandle(_)) => "set_handle",
        Some(Body::DropHandle(_)) => "drop_handle",
        Some(Body::AddEndpoint(_)) => "add_endpoint",
        Some(Body::DropEndpoint(_)) => "drop_endpoint",
        None => "note",
    };
    let hash = *link_hash(&signed.payload).as_bytes();
    Some(ChainOp { seq: op.seq, kind, ts_ms: op.ts_ms, hash })
}
