//! The JSON bodies of the REST API.

use serde::{Deserialize, Serialize};
use sotto_identity::{Sig, SignedOp};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, DeviceId};
use uuid::Uuid;

/// An op with its signatures.
#[derive(Serialize, Deserialize)]
pub(crate) struct SignedOpBody {
    payload: Base64Bytes,
    sigs: Vec<SigBody>,
}

#[derive(Serialize, Deserialize)]
struct SigBody {
    key: Base64Bytes,
    sig: Base64Bytes,
}

impl From<&SignedOp> for SignedOpBody {
    fn from(op: &SignedOp) -> Self {
        let sig = |sig: &Sig| SigBody { key: sig.key.clone().into(), sig: sig.sig.clone().into() };
        Self { payload: op.payload.clone().into(), sigs: op.sigs.iter().map(sig).collect() }
    }
}

impl From<SignedOpBody> for SignedOp {
    fn from(body: SignedOpBody) -> Self {
        let sig = |sig: SigBody| Sig { key: sig.key.0, sig: sig.sig.0 };
        Self { payload: body.payload.0, sigs: body.sigs.into_iter().map(sig).collect() }
    }
}

#[derive(Serialize)]
pub(crate) struct NewAccount<'a> {
    pub(crate) genesis: SignedOpBody,
    pub(crate) ops: Vec<SignedOpBody>,
    pub(crate) app_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) invite: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof_of_work: Option<ProofOfWork>,
}

#[derive(Serialize)]
pub(crate) struct NewOps {
    pub(crate) ops: Vec<SignedOpBody>,
}

/// `GET /v1/u/{handle}`. The rest of the answer is found out from the chain.
#[derive(Deserialize)]
pub(crate) struct HandleOwner {
    pub(crate) account_id: AccountId,
}

#[derive(Serialize)]
pub(crate) struct BundlesRequest {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) device_ids: Vec<DeviceId>,
    pub(crate) have: u64,
}

#[derive(Deserialize)]
pub(crate) struct Bundles {
    /// What the chain has after `have`.
    pub(crate) ops: Vec<SignedOpBody>,
    pub(crate) devices: Vec<DeviceBundle>,
}

/// The keys of one device, unchecked.
#[derive(Clone, Deserialize)]
pub(crate) struct DeviceBundle {
    pub(crate) device_id: DeviceId,
    pub(crate) registration_id: u32,
    pub(crate) identity_key: Base64Bytes,
    pub(crate) signed_ec: SignedKey,
    pub(crate) one_time_ec: Option<OneTimeKey>,
    pub(crate) kyber: Option<SignedKey>,
}

/// A prekey with its signature by the identity key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SignedKey {
    pub(crate) key_id: u32,
    pub(crate) public_key: Base64Bytes,
    pub(crate) signature: Base64Bytes,
}

/// A prekey without a signature.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OneTimeKey {
    pub(crate) key_id: u32,
    pub(crate) public_key: Base64Bytes,
}

#[derive(Serialize)]
pub(crate) struct OneTimeKeys {
    pub(crate) keys: Vec<OneTimeKey>,
}

#[derive(Serialize)]
pub(crate) struct KyberKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_resort: Option<SignedKey>,
    pub(crate) one_time: Vec<SignedKey>,
}

/// `GET /v1/keys/count`.
#[derive(Deserialize)]
pub(crate) struct KeyCount {
    pub(crate) one_time_ec: u32,
    pub(crate) one_time_kyber: u32,
    #[serde(default)]
    pub(crate) highest_one_time_ec: Option<u32>,
    #[serde(default)]
    pub(crate) highest_kyber: Option<u32>,
    pub(crate) signed_ec: Option<u32>,
    pub(crate) last_resort_kyber: Option<u32>,
    #[serde(default)]
    pub(crate) key_packages: u32,
    #[serde(default)]
    pub(crate) last_resort_key_package: bool,
}

#[derive(Deserialize)]
pub(crate) struct Challenge {
    pub(crate) challenge: Base64Bytes,
}

#[derive(Serialize)]
pub(crate) struct TokenRequest<'a> {
    pub(crate) account_id: AccountId,
    pub(crate) device_id: DeviceId,
    pub(crate) challenge: &'a Base64Bytes,
    pub(crate) app_token: &'a str,
    pub(crate) proof: Base64Bytes,
}

#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    pub(crate) token: String,
    pub(crate) expires_at_ms: u64,
    pub(crate) account_uuid: AccountUuid,
}

/// `POST /v1/link`: a mailbox for two messages.
#[derive(Deserialize)]
pub(crate) struct Mailbox {
    pub(crate) link_id: String,
}

/// RFC 9457, with the server's additions.
#[derive(Default, Deserialize)]
pub(crate) struct ProblemBody {
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) retry_after_ms: Option<u64>,
    /// Prekeys whose ids stand for other bytes already.
    #[serde(default)]
    pub(crate) key_ids: Vec<u32>,
    /// With `device_mismatch`: the devices that it is about.
    #[serde(default)]
    pub(crate) missing: Vec<u32>,
    #[serde(default)]
    pub(crate) extra: Vec<u32>,
    #[serde(default)]
    pub(crate) stale: Vec<u32>,
    /// With `clock_skew`: the server's clock.
    #[serde(default)]
    pub(crate) server_time_ms: Option<u64>,
    /// Of a group that has moved on: encoded entries of its log, and whether there are more.
    #[serde(default)]
    pub(crate) entries: Vec<Base64Bytes>,
    #[serde(default)]
    pub(crate) more: bool,
    /// With `not_allowed`: the rule of the group's policy.
    #[serde(default)]
    pub(crate) rule: Option<String>,
}

/// What opening an account costs: nothing, an invite, or work on a challenge.
#[derive(Deserialize)]
pub(crate) struct AccountChallenge {
    pub(crate) required: String,
    #[serde(default)]
    pub(crate) challenge: Option<Base64Bytes>,
    #[serde(default)]
    pub(crate) bits: Option<u8>,
}

#[derive(Clone, Serialize)]
pub(crate) struct ProofOfWork {
    pub(crate) challenge: Base64Bytes,
    pub(crate) nonce: Base64Bytes,
}

/// `PUT /v1/messages/{recipient}`.
#[derive(Serialize)]
pub(crate) struct NewMessages {
    pub(crate) client_msg_id: String,
    pub(crate) messages: Vec<NewMessage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_seconds: Option<u32>,
    pub(crate) class: &'static str,
}

#[derive(Serialize)]
pub(crate) struct NewMessage {
    pub(crate) device_id: u32,
    pub(crate) registration_id: u32,
    pub(crate) r#type: &'static str,
    pub(crate) ciphertext: String,
}

#[derive(Deserialize)]
pub(crate) struct Stored {
    pub(crate) server_time_ms: u64,
    #[serde(default)]
    pub(crate) full: Vec<u32>,
}

/// `GET /v1/messages`.
#[derive(Deserialize)]
pub(crate) struct Page {
    pub(crate) envelopes: Vec<Waiting>,
    pub(crate) last: bool,
    #[serde(default)]
    pub(crate) overflow: Option<Overflow>,
}

#[derive(Deserialize)]
pub(crate) struct Overflow {
    pub(crate) since_ms: u64,
    pub(crate) turned_away: u64,
}

#[derive(Deserialize)]
pub(crate) struct Waiting {
    pub(crate) id: Uuid,
    pub(crate) sender: AccountUuid,
    pub(crate) sender_device: u32,
    pub(crate) r#type: String,
    pub(crate) ciphertext: Base64Bytes,
    pub(crate) server_time_ms: u64,
    #[serde(default)]
    pub(crate) class: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Acknowledged {
    pub(crate) envelope_ids: Vec<String>,
}

/// `GET /v1/keys/digest`.
#[derive(Deserialize)]
pub(crate) struct KeyDigest {
    pub(crate) digest: Base64Bytes,
    pub(crate) signed_ec: Option<u32>,
    pub(crate) last_resort_kyber: Option<u32>,
    pub(crate) one_time_ec: Vec<u32>,
    pub(crate) one_time_kyber: Vec<u32>,
}

/// Reads an answer of each kind.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let _read = serde_json::from_slice::<SignedOpBody>(data).is_ok();
    let _read = serde_json::from_slice::<HandleOwner>(data).is_ok();
    let _read = serde_json::from_slice::<Bundles>(data).is_ok();
    let _read = serde_json::from_slice::<DeviceBundle>(data).is_ok();
    let _read = serde_json::from_slice::<SignedKey>(data).is_ok();
    let _read = serde_json::from_slice::<OneTimeKey>(data).is_ok();
    let _read = serde_json::from_slice::<KeyCount>(data).is_ok();
    let _read = serde_json::from_slice::<Challenge>(data).is_ok();
    let _read = serde_json::from_slice::<TokenAnswer>(data).is_ok();
    let _read = serde_json::from_slice::<Mailbox>(data).is_ok();
    let _read = serde_json::from_slice::<ProblemBody>(data).is_ok();
    let _read = serde_json::from_slice::<AccountChallenge>(data).is_ok();
    let _read = serde_json::from_slice::<Stored>(data).is_ok();
    let _read = serde_json::from_slice::<Page>(data).is_ok();
    let _read = serde_json::from_slice::<Overflow>(data).is_ok();
    let _read = serde_json::from_slice::<Waiting>(data).is_ok();
    let _read = serde_json::from_slice::<KeyDigest>(data).is_ok();
}
