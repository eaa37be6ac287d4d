//! Bodies that more than one endpoint has.

use serde::{Deserialize, Serialize};
use sotto_identity::{Sig, SignedOp};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes};
use sotto_kit::openapi;
use utoipa::ToSchema;

use crate::{
    db::accounts::Account,
    domain::{
        Head,
        prekey::{BarePrekey, RawPrekey, SignedPrekey},
    },
};

/// An op with its signatures. `payload` has the exact bytes that were signed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SignedOp)]
pub(super) struct SignedOpBody {
    #[schema(value_type = openapi::Base64)]
    pub(super) payload: Base64Bytes,
    pub(super) sigs: Vec<SigBody>,
}

/// An Ed25519 signature and the key that made it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Signature)]
pub(super) struct SigBody {
    #[schema(value_type = openapi::Base64)]
    pub(super) key: Base64Bytes,
    #[schema(value_type = openapi::Base64)]
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
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Head)]
pub(super) struct HeadBody {
    /// Its number; that of the first one is 0.
    seq: u64,
    #[schema(value_type = openapi::Base64)]
    hash: Base64Bytes,
}

impl From<Head> for HeadBody {
    fn from(head: Head) -> Self {
        Self { seq: head.seq, hash: Base64Bytes(head.hash.as_bytes().to_vec()) }
    }
}

/// An account by both its names, and its newest op.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub(super) struct AccountBody {
    #[schema(value_type = openapi::AccountId)]
    account_id: AccountId,
    #[schema(value_type = openapi::AccountUuid)]
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

/// A one-time EC prekey.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OneTimePrekey)]
pub(super) struct KeyBody {
    #[schema(value_type = openapi::KeyId)]
    pub(super) key_id: u32,
    #[schema(value_type = openapi::Base64)]
    pub(super) public_key: Base64Bytes,
}

/// A prekey with the signature of its device, EC or Kyber.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SignedPrekey)]
pub(super) struct SignedKeyBody {
    #[schema(value_type = openapi::KeyId)]
    pub(super) key_id: u32,
    #[schema(value_type = openapi::Base64)]
    pub(super) public_key: Base64Bytes,
    #[schema(value_type = openapi::Base64)]
    pub(super) signature: Base64Bytes,
}

impl From<BarePrekey> for KeyBody {
    fn from(prekey: BarePrekey) -> Self {
        Self { key_id: prekey.key_id.unsigned_abs(), public_key: prekey.public_key.into() }
    }
}

impl From<SignedPrekey> for SignedKeyBody {
    fn from(prekey: SignedPrekey) -> Self {
        Self {
            key_id: prekey.key_id.unsigned_abs(),
            public_key: prekey.public_key.into(),
            signature: prekey.signature.into(),
        }
    }
}

impl From<KeyBody> for RawPrekey {
    fn from(body: KeyBody) -> Self {
        Self { key_id: body.key_id, public_key: body.public_key.0, signature: Vec::new() }
    }
}

impl From<SignedKeyBody> for RawPrekey {
    fn from(body: SignedKeyBody) -> Self {
        Self { key_id: body.key_id, public_key: body.public_key.0, signature: body.signature.0 }
    }
}
