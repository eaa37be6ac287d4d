//! Comparing account keys with somebody by a code that one shows and the other scans.

use std::sync::Arc;

use sotto_identity::State;
use sotto_ids::AccountId;

use super::{Client, Inner, contacts::find_contact};
use crate::{
    ClientError, Contact, Distrust, VerificationCode,
    chain::{self, Whose},
    content::Head,
    kinds,
    vault::{Tx, accounts, chains, own},
    verification::Verdict,
};

impl Client {
    /// The code that somebody who is known can scan, to know that nobody is between the
    /// two. It is made of both chains as they are now, or while the server is away, as
    /// they were last seen.
    ///
    /// # Errors
    /// `not_registered`, `unknown_account`, and any [`Distrust`].
    pub async fn verification_code(
        &self,
        peer: AccountId,
    ) -> Result<VerificationCode, ClientError> {
        let inner = &self.inner;
        let known = move |tx: &mut Tx<'_>| {
            let account = own::certified(tx.db)?.account;
            let known = accounts::find(tx.db, peer.uuid())?;
            let is_peer = peer != account && known.is_some_and(|known| known.account == peer);
            if is_peer { Ok(account) } else { Err(ClientError::UnknownAccount) }
        };
        let own = inner.vault.run(known).await?;
        match inner.see_both(own, peer).await {
            Err(error) if !error.is_temporary() => return Err(error),
            _ => {}
        }
        let make = move |tx: &mut Tx<'_>| {
            let (own, peer) = (seen(tx, own)?, seen(tx, peer)?);
            Ok(VerificationCode::of(&own, &peer))
        };
        inner.vault.run(make).await
    }

    /// Compares a code that somebody shows with what is seen here. Where both are the
    /// same, the person has agreed to the account key that the contact has now, as by
    /// [`Self::accept_identity`].
    ///
    /// A code that fits what is known needs no server. Otherwise the chains are fetched
    /// first, that of somebody who is not known yet too. With `peer`, the code has to be
    /// of that account.
    ///
    /// # Errors
    /// `code_of_another_account`, `code_differs`, `code_forked`, `code_older`;
    /// `not_registered`, `unknown_account`, `unavailable`, and any other [`Distrust`].
    /// None of them changes anything.
    pub async fn scan(
        &self,
        peer: Option<AccountId>,
        code: &VerificationCode,
    ) -> Result<Contact, ClientError> {
        let inner = &self.inner;
        let own = inner.vault.run(|tx| Ok(own::certified(tx.db)?.account)).await?;
        let shown_by = code.account();
        if code.made_for() != own || shown_by == own || peer.is_some_and(|peer| peer != shown_by) {
            return Err(ClientError::CodeOfAnotherAccount);
        }
        let uuid = shown_by.uuid();
        let known = inner.vault.run(move |tx| Ok(accounts::find(tx.db, uuid)?.is_some())).await?;
        if known {
            match inner.compare(own, code.clone(), known).await? {
                Verdict::Match => return inner.contact(shown_by).await,
                Verdict::Forked => return Err(Distrust::CodeForked.into()),
                Verdict::Older => return Err(ClientError::CodeOlder),
                // What is known may be out of date.
                Verdict::Differs | Verdict::Newer => {}
            }
        }
        inner.see_both(own, shown_by).await?;
        match inner.compare(own, code.clone(), known).await? {
            Verdict::Match => inner.contact(shown_by).await,
            Verdict::Differs => Err(Distrust::CodeDiffers.into()),
            Verdict::Older => Err(ClientError::CodeOlder),
            // Who shows it has the op from the server. It is kept from us.
            Verdict::Forked | Verdict::Newer => Err(Distrust::CodeForked.into()),
        }
    }
}

impl Inner {
    async fn see_both(&self, own: AccountId, peer: AccountId) -> Result<(), ClientError> {
        for account in [own, peer] {
            chain::refresh(&self.vault, &self.rest, Whose::Account(account)).await?;
        }
        Ok(())
    }

    /// Compares, and agrees in the same transaction: no other key can come between.
    async fn compare(
        &self,
        own: AccountId,
        code: VerificationCode,
        known: bool,
    ) -> Result<Verdict, ClientError> {
        let compare = move |tx: &mut Tx<'_>| {
            let account = code.account();
            let (own, peer) = (seen(tx, own)?, seen(tx, account)?);
            let there = chains::hash_at(tx.db, account.uuid(), code.seq())?;
            let verdict = code.compare(&own, &peer, there);
            if verdict == Verdict::Match {
                accounts::set_key_changed(tx.db, account.uuid(), false)?;
                tx.outbox_changed();
                if !known {
                    kinds::sync::tell_contact(tx, account, Head::of(&peer))?;
                }
            }
            Ok(verdict)
        };
        self.vault.run(compare).await
    }

    async fn contact(&self, account: AccountId) -> Result<Contact, ClientError> {
        let find =
            move |tx: &mut Tx<'_>| find_contact(tx, account)?.ok_or(ClientError::UnknownAccount);
        self.vault.run(find).await
    }
}

/// What this device has of an account that has one chain only.
fn seen(tx: &mut Tx<'_>, account: AccountId) -> Result<Arc<State>, ClientError> {
    match chains::find(tx.db, tx.chains, account.uuid())? {
        Some((known, _)) if known.frozen => Err(Distrust::Fork.into()),
        Some((known, state)) if known.account == account => Ok(state),
        _ => Err(ClientError::UnknownAccount),
    }
}
