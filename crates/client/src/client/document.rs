//! Who goes by a name, as the server says it and as the chain has it.

use serde_json::Value;
use sotto_ids::AccountId;

use super::Client;
use crate::{
    ClientError, Distrust, IdentityDocument, PublicName,
    chain::{self, Whose},
    content::Head,
    document::{Asked, difference},
    kinds,
    vault::accounts,
};

/// Attempts while the chain moves between the document and the look at it.
const ATTEMPTS: usize = 3;

impl Client {
    /// Looks up who goes by a name, and believes none of it: the chain is fetched,
    /// verified and pinned as by [`Self::add_contact`], and all that the server's
    /// document says is computed again from it.
    ///
    /// # Errors
    /// `document_mismatch` where they differ in anything; `unknown_account`, `unavailable`,
    /// any other [`Distrust`], and what the server refuses, such as `other_domain`.
    pub async fn identity_document(
        &self,
        name: &PublicName,
    ) -> Result<IdentityDocument, ClientError> {
        let inner = &self.inner;
        let domain = name.domain.as_deref().unwrap_or(&inner.config.domain);
        let full_name = format!("{}@{domain}", name.handle.as_str());
        for _ in 0..ATTEMPTS {
            let said = inner.rest.identity_document(&full_name).await?;
            let account = account_of(&said)?;
            let uuid = account.uuid();
            let known =
                inner.vault.run(move |tx| Ok(accounts::find(tx.db, uuid)?.is_some())).await?;
            let state = chain::refresh(&inner.vault, &inner.rest, Whose::Account(account))
                .await
                .map_err(|error| match error {
                    // There is no such account here: the document made it up.
                    ClientError::UnknownAccount | ClientError::Distrust(Distrust::OtherAccount) => {
                        mismatch("account")
                    }
                    error => error,
                })?;
            let now_ms = inner.server_clock.server_now_ms();
            let asked = Asked { handle: &name.handle, domain, rest: &inner.config.rest, now_ms };
            match difference(&said, &state, &asked) {
                None => {}
                // The chain may have moved since the document was made.
                Some("head") => continue,
                Some(field) => return Err(mismatch(field)),
            }
            let document = IdentityDocument::of(&state, &name.handle, now_ms);
            if !known {
                inner
                    .vault
                    .run(move |tx| kinds::sync::tell_contact(tx, account, Head::of(&state)))
                    .await?;
            }
            return Ok(document);
        }
        Err(mismatch("head"))
    }
}

fn account_of(said: &Value) -> Result<AccountId, ClientError> {
    let account = said["account"].as_str().and_then(|account| account.parse().ok());
    account.ok_or_else(|| mismatch("account"))
}

fn mismatch(field: &'static str) -> ClientError {
    Distrust::DocumentMismatch { field }.into()
}
