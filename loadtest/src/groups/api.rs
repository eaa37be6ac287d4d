//! The REST API of groups and of KeyPackages, as a device uses it.

mod refused;
mod wire;

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use prost::{Message as _, bytes::Bytes};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::json;
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, ClientMsgId, GroupId};
use sotto_proto::{groups::LogPage, identity::SignedOp};
use tokio::time::Instant;

pub use self::refused::{ApiError, Moved, Refused};
use self::wire::{Accepted, Claimed, ExternalSender, Info, Problem, Welcomes};
pub use self::wire::{Head, Welcome};
use super::device::Commit;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts at a request that the server puts off.
const ATTEMPTS: u32 = 60;

/// The pause after a refusal that names none.
const PAUSE: Duration = Duration::from_millis(250);

/// Entries in a page of a log.
const PAGE: u32 = 500;

/// Welcomes that are asked for at a time.
const WELCOMES: u32 = 50;

/// A deployment, by the addresses of its REST faces.
#[derive(Debug)]
pub struct Api {
    http: reqwest::Client,
    keys: String,
    /// One for each replica; requests go to all of them in turn.
    groups: Vec<String>,
    turn: AtomicUsize,
    put_off: AtomicU64,
}

/// A KeyPackage of somebody else.
#[derive(Debug, Clone)]
pub struct Package {
    /// Whose.
    pub account: AccountId,
    /// As its maker encoded it.
    pub bytes: Vec<u8>,
}

impl Api {
    /// Speaks to keys, and to some replicas of groups, at these addresses without a path.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn new(keys: String, groups: Vec<String>) -> anyhow::Result<Self> {
        anyhow::ensure!(!groups.is_empty(), "there is no replica of groups");
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        let (turn, put_off) = (AtomicUsize::new(0), AtomicU64::new(0));
        Ok(Self { http, keys, groups, turn, put_off })
    }

    /// How often a request was put off and asked again.
    pub fn put_off(&self) -> u64 {
        self.put_off.load(Ordering::Relaxed)
    }

    /// Puts KeyPackages on the shelf of a device.
    pub(crate) async fn publish(
        &self,
        one_time: Vec<Vec<u8>>,
        last_resort: Vec<u8>,
        token: &str,
    ) -> Result<(), ApiError> {
        let one_time: Vec<_> = one_time.into_iter().map(Base64Bytes).collect();
        let body = json!({ "one_time": one_time, "last_resort": Base64Bytes(last_resort) });
        self.ask(self.keys(Method::PUT, "keys/packages", token).json(&body)).await?;
        Ok(())
    }

    /// Takes a KeyPackage of each device of some accounts (at most 100).
    pub(crate) async fn claim(
        &self,
        accounts: &[AccountUuid],
        token: &str,
    ) -> Result<Vec<Package>, ApiError> {
        let accounts: Vec<_> = accounts.iter().map(ToString::to_string).collect();
        let body = json!({ "accounts": accounts });
        let claimed: Claimed =
            self.json(self.keys(Method::POST, "key-packages", token).json(&body)).await?;
        Ok(claimed.into_packages())
    }

    /// The chain of an account, from its genesis on.
    pub(crate) async fn chain(
        &self,
        account: AccountUuid,
        token: &str,
    ) -> anyhow::Result<Vec<SignedOp>> {
        let url = format!("{}/v1/accounts/{account}/ops?from=0", self.keys);
        let mut bytes = self.ask(self.http.get(url).bearer_auth(token)).await?;
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(SignedOp::decode_length_delimited(&mut bytes).context("a chain")?);
        }
        Ok(ops)
    }

    /// The key of who removes the leaves of revoked devices.
    pub(crate) async fn external_sender(&self, token: &str) -> anyhow::Result<[u8; 32]> {
        let answer: ExternalSender =
            self.json(self.groups(Method::GET, "/external-sender", token)).await?;
        let key = answer.signature_key.0.try_into();
        key.map_err(|_| anyhow::anyhow!("the external sender has no key of Ed25519"))
    }

    /// Begins a group with its maker alone.
    pub(crate) async fn create(
        &self,
        group_info: Vec<u8>,
        sealed_metadata: Vec<u8>,
        token: &str,
    ) -> Result<(), ApiError> {
        let body = json!({
            "group_info": Base64Bytes(group_info),
            "sealed_metadata": Base64Bytes(sealed_metadata),
        });
        self.ask(self.groups(Method::POST, "", token).json(&body)).await?;
        Ok(())
    }

    /// Offers a commit. Where the group stands with it, and how long the answer took.
    pub(crate) async fn commit(
        &self,
        group: GroupId,
        commit: &Commit,
        token: &str,
    ) -> Result<(Head, Duration), ApiError> {
        let encoded = |bytes: &Vec<u8>| Base64Bytes(bytes.clone());
        let mut body = json!({
            "commit": encoded(&commit.commit),
            "group_info": encoded(&commit.group_info),
            "sealed_metadata": encoded(&commit.sealed_metadata),
        });
        if let (Some(welcome), Some(body)) = (&commit.welcome, body.as_object_mut()) {
            body.insert("welcome".to_owned(), json!(encoded(welcome)));
        }
        let request = self.groups(Method::POST, &format!("/{group}/commits"), token).json(&body);
        let asked = Instant::now();
        let head = self.json(request).await?;
        Ok((head, asked.elapsed()))
    }

    /// A page of a log.
    pub(crate) async fn log(
        &self,
        group: GroupId,
        after: u64,
        token: &str,
    ) -> Result<LogPage, ApiError> {
        let path = format!("/{group}/log?after={after}&limit={PAGE}");
        let page = self.ask(self.groups(Method::GET, &path, token)).await?;
        LogPage::decode(page).map_err(|_| ApiError::Unreadable("a log"))
    }

    /// The Welcomes that wait for a device.
    pub(crate) async fn welcomes(&self, token: &str) -> Result<Vec<Welcome>, ApiError> {
        let path = format!("/welcomes?limit={WELCOMES}");
        let answer: Welcomes = self.json(self.groups(Method::GET, &path, token)).await?;
        Ok(answer.welcomes)
    }

    /// Lets go of a Welcome that has been used.
    pub(crate) async fn forget_welcome(
        &self,
        welcome: &Welcome,
        token: &str,
    ) -> Result<(), ApiError> {
        let Welcome { group, generation, epoch, .. } = welcome;
        let path = format!("/{group}/welcome?generation={generation}&epoch={epoch}");
        self.ask(self.groups(Method::DELETE, &path, token)).await?;
        Ok(())
    }

    /// The ratchet tree of an epoch, compressed.
    pub(crate) async fn tree(
        &self,
        group: GroupId,
        generation: u32,
        epoch: u64,
        token: &str,
    ) -> Result<Bytes, ApiError> {
        let path = format!("/{group}/tree?generation={generation}&epoch={epoch}");
        self.ask(self.groups(Method::GET, &path, token)).await
    }

    /// The epoch that the server has a group in, and where its log ends.
    pub(crate) async fn stands_at(
        &self,
        group: GroupId,
        token: &str,
    ) -> Result<(u64, u64), ApiError> {
        let info: Info =
            self.json(self.groups(Method::GET, &format!("/{group}/info"), token)).await?;
        Ok((info.epoch, info.seq))
    }

    /// Sends a message. Its place in the log.
    pub(crate) async fn send(
        &self,
        group: GroupId,
        id: ClientMsgId,
        (generation, epoch): (u32, u64),
        message: &[u8],
        token: &str,
    ) -> Result<u64, ApiError> {
        let body = json!({
            "client_msg_id": id.to_string(),
            "generation": generation,
            "epoch": epoch,
            "message": Base64Bytes(message.to_vec()),
        });
        let path = format!("/{group}/messages");
        let accepted: Accepted =
            self.json(self.groups(Method::POST, &path, token).json(&body)).await?;
        Ok(accepted.seq)
    }

    /// Says how far a device has stored a log.
    pub(crate) async fn acknowledge(
        &self,
        group: GroupId,
        seq: u64,
        token: &str,
    ) -> Result<(), ApiError> {
        let body = json!({ "cursors": [{ "group": group.to_string(), "seq": seq }] });
        self.ask(self.groups(Method::PUT, "/cursors", token).json(&body)).await?;
        Ok(())
    }

    fn keys(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/v1/{path}", self.keys)).bearer_auth(token)
    }

    fn groups(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.groups.len();
        let base = self.groups.get(turn).map_or("", String::as_str);
        self.http.request(method, format!("{base}/v1/groups{path}")).bearer_auth(token)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ApiError> {
        let bytes = self.ask(request).await?;
        serde_json::from_slice(&bytes).map_err(|_| ApiError::Unreadable("an answer"))
    }

    /// Asks until it is done: what the server puts off is asked again when it said.
    async fn ask(&self, request: RequestBuilder) -> Result<Bytes, ApiError> {
        let mut attempt = 1;
        loop {
            let this = request.try_clone().ok_or(ApiError::Unreadable("a request"))?;
            match once(this).await {
                Err(ApiError::Refused(refused)) if attempt < ATTEMPTS && refused.is_put_off() => {
                    attempt += 1;
                    self.put_off.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(refused.retry_after.unwrap_or(PAUSE)).await;
                }
                other => return other,
            }
        }
    }
}

async fn once(request: RequestBuilder) -> Result<Bytes, ApiError> {
    let answer = request.send().await.map_err(ApiError::Away)?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(ApiError::Away)?;
    if status.is_success() {
        return Ok(bytes);
    }
    let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_default();
    Err(ApiError::Refused(Box::new(problem.into_refused(status))))
}
