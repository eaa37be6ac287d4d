use prost::encode_length_delimiter;
use sotto_ids::Handle;

use super::Keys;
use crate::{
    db::{self, accounts::Account},
    domain::account_ref::AccountRef,
    error::KeysError,
};

impl Keys {
    /// The account and its newest op.
    #[tracing::instrument(name = "keys.find_account", skip_all)]
    pub(crate) async fn find_account(&self, account: AccountRef) -> Result<Account, KeysError> {
        db::accounts::find(account.uuid(), &self.db)
            .await?
            .filter(|found| account.names(found.account_id))
            .ok_or(KeysError::UnknownAccount)
    }

    /// The account that goes by a handle.
    #[tracing::instrument(name = "keys.find_by_handle", skip_all)]
    pub(crate) async fn find_by_handle(&self, handle: &Handle) -> Result<Account, KeysError> {
        db::handles::find_account(handle, &self.db).await?.ok_or(KeysError::UnknownHandle)
    }

    /// The ops of a chain from number `from_seq` on: encoded `SignedOp` messages, each
    /// after its length, with the bytes in which they came.
    #[tracing::instrument(name = "keys.read_chain", skip_all)]
    pub(crate) async fn read_chain(
        &self,
        account: AccountRef,
        from_seq: u64,
    ) -> Result<Vec<u8>, KeysError> {
        let found = self.find_account(account).await?;
        let ops = db::chain_ops::list(account.uuid(), from_seq, found.head.seq, &self.db).await?;
        let mut delimited = Vec::new();
        for op in ops {
            encode_length_delimiter(op.signed_op.len(), &mut delimited)
                .map_err(|_| KeysError::Damaged("op"))?;
            delimited.extend_from_slice(&op.signed_op);
        }
        Ok(delimited)
    }
}
