//! What others get to see of us: receipts, typing, presence.

use sotto_ids::AccountId;

use super::Client;
use crate::{
    ClientError, Presence, ReceiptSettings, Visibility,
    kinds::{presence as said, receipt},
    net::announce,
    vault::{grants, presence, settings},
};

impl Client {
    /// Which receipts are sent. Both, unless they were switched off.
    ///
    /// # Errors
    /// `store`.
    pub async fn receipt_settings(&self) -> Result<ReceiptSettings, ClientError> {
        self.inner.vault.run(|tx| Ok(settings::receipts(tx.db)?)).await
    }

    /// Switches receipts, on all of one's devices. What has not gone out yet of a kind
    /// that is off does not.
    ///
    /// # Errors
    /// `not_registered`, `store`.
    pub async fn set_receipts(&self, to: ReceiptSettings) -> Result<(), ClientError> {
        self.inner.vault.run(move |tx| receipt::switch(tx, to)).await
    }

    /// Sets what a contact may see of us, on all of one's devices. What was said before
    /// holds for two heartbeats at most.
    ///
    /// # Errors
    /// `unknown_account`, `not_registered`.
    pub async fn grant(&self, to: AccountId, may: Visibility) -> Result<(), ClientError> {
        self.inner.vault.run(move |tx| said::grant(tx, to, may)).await?;
        announce(&self.inner, true).await;
        Ok(())
    }

    /// What a contact may see of us.
    ///
    /// # Errors
    /// `store`.
    pub async fn granted(&self, to: AccountId) -> Result<Visibility, ClientError> {
        self.inner.vault.run(move |tx| Ok(grants::of(tx.db, to.uuid())?)).await
    }

    /// Tells somebody that we are writing to them, or no longer. It holds for two
    /// heartbeats at most, so it is to be said again while it is true. Whether it went
    /// out: only while connected, to somebody who may see it, and with whom something
    /// was exchanged before.
    ///
    /// # Errors
    /// `not_registered`, `store`.
    pub async fn typing(&self, to: AccountId, typing: bool) -> Result<bool, ClientError> {
        let server_now_ms = self.inner.server_clock.server_now_ms();
        let sealed =
            self.inner.vault.run(move |tx| said::typing(tx, to, typing, server_now_ms)).await?;
        Ok(sealed.is_some_and(|send| self.inner.line.send(send)))
    }

    /// What is known of a contact's presence now.
    ///
    /// # Errors
    /// `store`.
    pub async fn presence(&self, of: AccountId) -> Result<Presence, ClientError> {
        self.inner.vault.run(move |tx| Ok(presence::of(tx.db, of.uuid(), tx.now_ms)?)).await
    }
}
