//! The identity document of an account: what a server says of it under a well-known name,
//! held against the chain.

use std::{collections::BTreeSet, fmt};

use serde_json::{Value, json};
use sotto_identity::{Device, Endpoint, State};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, DeviceId, Handle};
use url::Url;

/// A session with any device can be of this suite; a document that says less would talk
/// people out of it.
const SUITE: &str = "PQXDH-1";

/// How far the clocks here and at the server may differ, in milliseconds: a device whose
/// certificate ends within it of now may be listed or not.
const SKEW_MS: u64 = 5 * 60 * 1_000;

/// Who goes by a name. All of it is of the verified chain; the server's document said
/// nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityDocument {
    /// The account.
    pub account: AccountId,
    /// Its short name, as the server's queues have it.
    pub uuid: AccountUuid,
    /// The handle that the chain claims.
    pub handle: Handle,
    /// The domain of its home server.
    pub home: String,
    /// Number of the chain's newest op, from 0.
    pub seq: u64,
    /// Link hash of the chain's newest op.
    pub head: [u8; 32],
    /// Ed25519: the account key that holds now.
    pub account_key: [u8; 32],
    /// The devices that are live now, by number.
    pub devices: Vec<IdentityDevice>,
    /// Where else the account can be reached.
    pub endpoints: Vec<Endpoint>,
}

/// A live device of an [`IdentityDocument`].
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityDevice {
    /// Its number.
    pub id: DeviceId,
    /// Its libsignal identity key: 0x05 and 32 bytes.
    pub identity_key: [u8; 33],
    /// Ed25519: signs its MLS leaves.
    pub mls_key: [u8; 32],
}

impl fmt::Debug for IdentityDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityDocument(..)")
    }
}

impl fmt::Debug for IdentityDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityDevice(..)")
    }
}

/// What was asked, of whom, and when.
pub(crate) struct Asked<'a> {
    pub(crate) handle: &'a Handle,
    pub(crate) domain: &'a str,
    /// Base of the REST API here, which may be another one than people see.
    pub(crate) rest: &'a Url,
    /// The time at the server, milliseconds since 1970.
    pub(crate) now_ms: u64,
}

/// The first member in which a document differs from what the chain says. `head` comes
/// before all that can change: where it is the same, nothing else can honestly differ.
///
/// Members that are not known here are passed over. Ids and keys have one encoding: no
/// other text for the same bytes is taken.
pub(crate) fn difference(said: &Value, state: &State, asked: &Asked<'_>) -> Option<&'static str> {
    let name = format!("{}@{}", asked.handle.as_str(), asked.domain);
    let expected = [
        ("v", json!(1)),
        ("account", json!(state.account_id)),
        ("head", json!({ "seq": state.seq, "hash": base64(state.head.as_bytes()) })),
        ("uuid", json!(state.account_id.uuid())),
        ("handle", json!(name)),
        ("home", json!(state.home)),
        ("account_key", json!(base64(&state.account_key))),
        ("endpoints", state.endpoints.iter().map(endpoint).collect()),
    ];
    if let Some((field, _)) = expected.iter().find(|(field, value)| said.get(field) != Some(value))
    {
        return Some(field);
    }
    // The account itself has to claim the name, and the home.
    if state.handle.as_ref() != Some(asked.handle) {
        return Some("handle");
    }
    if !state.home.eq_ignore_ascii_case(asked.domain) {
        return Some("home");
    }
    if !is_chain_of(&said["chain"], state, asked) {
        return Some("chain");
    }
    (!are_devices_of(&said["devices"], state, asked.now_ms)).then_some("devices")
}

/// Whether this is where the chain is: at the home of the account, or where we go.
fn is_chain_of(said: &Value, state: &State, asked: &Asked<'_>) -> bool {
    let base = format!("https://{}", state.home);
    [base.as_str(), asked.rest.as_str().trim_end_matches('/')]
        .iter()
        .any(|base| *said == format!("{base}/v1/accounts/{}/ops", state.account_id))
}

fn are_devices_of(said: &Value, state: &State, now_ms: u64) -> bool {
    let Some(listed) = said.as_array() else { return false };
    let mut ids = BTreeSet::new();
    let all_live = listed.iter().all(|said| {
        let device = state.live_devices().find(|device| said["id"] == json!(device.id));
        device.is_some_and(|device| {
            device.is_live_at(now_ms.saturating_sub(SKEW_MS))
                && says(said, device)
                && ids.insert(device.id)
        })
    });
    let mut certain = state.live_devices().filter(|device| device.is_live_at(now_ms + SKEW_MS));
    all_live && certain.all(|device| ids.contains(&device.id))
}

fn says(said: &Value, device: &Device) -> bool {
    let has_suite = |suites: &Vec<Value>| suites.iter().any(|suite| suite == SUITE);
    said["identity_key"] == json!(base64(device.identity_key.as_bytes()))
        && said["mls_key"] == json!(base64(&device.mls_key))
        && said["suites"].as_array().is_some_and(has_suite)
}

fn endpoint(endpoint: &Endpoint) -> Value {
    json!({ "type": endpoint.kind.as_str(), "url": endpoint.url })
}

fn base64(bytes: &[u8]) -> Base64Bytes {
    Base64Bytes(bytes.to_vec())
}

impl IdentityDocument {
    /// What a chain says that claims this handle.
    pub(crate) fn of(state: &State, handle: &Handle, now_ms: u64) -> Self {
        let live = state.live_devices().filter(|device| device.is_live_at(now_ms));
        Self {
            account: state.account_id,
            uuid: state.account_id.uuid(),
            handle: handle.clone(),
            home: state.home.clone(),
            seq: state.seq,
            head: *state.head.as_bytes(),
            account_key: state.account_key,
            devices: live
                .map(|device| IdentityDevice {
                    id: device.id,
                    identity_key: *device.identity_key.as_bytes(),
                    mls_key: device.mls_key,
                })
                .collect(),
            endpoints: state.endpoints.iter().cloned().collect(),
        }
    }
}
