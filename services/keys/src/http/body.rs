//! Bodies that more than one endpoint has.

use serde::{Deserialize, Serialize};
use sotto_identity::{Sig, SignedOp};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes};

use crate::{db::accounts::Account, domain::Head};

/// An op with its signatures. `payload` has the exact bytes that were signed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SignedOpBody {
    pub(super) payload: Base64Bytes,
    pub(super) sigs: Vec<SigBody>,
}

/// An Ed25519 signature and the key that made it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SigBody {
    pub(super) key: Base64Bytes,
    pub(super) sig: Base64Bytes,
}

impl From<SignedOpBody> for SignedOp {
    fn from(body: SignedOpBody) -> Self {
        let sigs = body.sigs.into_iter().map(|sig| Sig { key: sig.key.0, sig: sig.sig.0 });
        Self { payload: body.payload.0, sigs: sigs.collect() }
    }
}

impl From<SignedOp> for SignedOpBody {
    fn from(op: SignedOp) -> Self {
        let sigs =
            op.sigs.into_iter().map(|sig| SigBody { key: sig.key.into(), sig: sig.sig.into() });
        Self { payload: op.payload.into(), sigs: sigs.collect() }
    }
}

/// The newest op of a chain.
#[derive(Debug, Serialize)]
pub(super) struct HeadBody {
    seq: u64,
    hash: Base64Bytes,
}

impl From<Head> for HeadBody {
    fn from(head: Head) -> Self {
        Self { seq: head.seq, hash: Base64Bytes(head.hash.as_bytes().to_vec()) }
    }
}

/// An account by both its names, and its newest op.
#[derive(Debug, Serialize)]
pub(super) struct AccountBody {
    account_id: AccountId,
    uuid: AccountUuid,
    head: HeadBody,
}

impl AccountBody {
    pub(super) fn new(account_id: AccountId, head: Head) -> Self {
        Self { account_id, uuid: account_id.uuid(), head: head.into() }
    }
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> Self {
        Self::new(account.account_id, account.head)
    }
}
