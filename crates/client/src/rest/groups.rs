//! Groups: commits, logs, Welcomes and KeyPackages.

use prost::Message as _;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, ClientMsgId, GroupId};
use sotto_proto::{
    groups::LogPage,
    socket::{GroupEntry, GroupSend},
};

use super::{Rest, RestError, wire::ProblemBody};
use crate::{ClientError, Distrust};

/// Who removes the leaves of revoked devices: what stands in `ExternalSenders`.
#[derive(Deserialize)]
pub(crate) struct ExternalSender {
    pub(crate) signature_key: Base64Bytes,
}

#[derive(Clone, Serialize)]
pub(crate) struct NewGroup {
    pub(crate) group_info: Base64Bytes,
    pub(crate) sealed_metadata: Base64Bytes,
}

#[derive(Deserialize)]
pub(crate) struct Begun {
    #[serde(default = "first_seq")]
    pub(crate) seq: u64,
}

fn first_seq() -> u64 {
    1
}

#[derive(Serialize)]
pub(crate) struct NewCommit {
    pub(crate) commit: Base64Bytes,
    pub(crate) group_info: Base64Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) welcome: Option<Base64Bytes>,
    pub(crate) sealed_metadata: Base64Bytes,
}

#[derive(Deserialize)]
pub(crate) struct Committed {
    pub(crate) seq: u64,
}

/// A group of this device, as the server has it.
#[derive(Deserialize)]
pub(crate) struct GroupRow {
    pub(crate) group: GroupId,
    pub(crate) generation: u32,
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) removed_seq: Option<u64>,
}

#[derive(Deserialize)]
struct GroupRows {
    groups: Vec<GroupRow>,
}

#[derive(Deserialize)]
pub(crate) struct Info {
    pub(crate) group_info: Base64Bytes,
    pub(crate) generation: u32,
    pub(crate) epoch: u64,
}

#[derive(Deserialize)]
pub(crate) struct Welcome {
    pub(crate) group: GroupId,
    pub(crate) generation: u32,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) welcome: Base64Bytes,
}

#[derive(Deserialize)]
struct Welcomes {
    welcomes: Vec<Welcome>,
}

#[derive(Serialize)]
struct NewMessage {
    client_msg_id: String,
    generation: u32,
    epoch: u64,
    message: Base64Bytes,
}

/// A message stands in the log.
#[derive(Deserialize)]
pub(crate) struct Sent {
    pub(crate) seq: u64,
    pub(crate) server_time_ms: u64,
}

#[derive(Serialize)]
struct NewProposal {
    proposal: Base64Bytes,
}

#[derive(Serialize)]
struct NewMetadata {
    generation: u32,
    epoch: u64,
    sealed_metadata: Base64Bytes,
}

#[derive(Serialize)]
struct NewCursors {
    cursors: Vec<NewCursor>,
}

#[derive(Serialize)]
struct NewCursor {
    group: GroupId,
    seq: u64,
}

/// How far one device of a group has come.
#[derive(Deserialize)]
pub(crate) struct MemberCursor {
    pub(crate) account: AccountUuid,
    pub(crate) device_id: u32,
    pub(crate) cursor: u64,
}

#[derive(Deserialize)]
struct MemberCursors {
    members: Vec<MemberCursor>,
}

#[derive(Serialize)]
struct NewGeneration {
    generation: u32,
    group_info: Base64Bytes,
    sealed_metadata: Base64Bytes,
}

#[derive(Serialize)]
struct Claim {
    accounts: Vec<String>,
}

#[derive(Deserialize)]
struct Claimed {
    accounts: Vec<ClaimedAccount>,
}

/// What was claimed of one account.
#[derive(Deserialize)]
pub(crate) struct ClaimedAccount {
    #[serde(default)]
    pub(crate) known: bool,
    #[serde(default)]
    pub(crate) account_id: Option<AccountId>,
    #[serde(default)]
    pub(crate) devices: Vec<ClaimedPackage>,
}

#[derive(Deserialize)]
pub(crate) struct ClaimedPackage {
    pub(crate) device_id: u32,
    pub(crate) key_package: Base64Bytes,
}

#[derive(Serialize)]
struct NewPackages<'a> {
    one_time: &'a [Base64Bytes],
    #[serde(skip_serializing_if = "Option::is_none")]
    last_resort: Option<&'a Base64Bytes>,
}

/// What a group has become, by the server's refusal.
pub(crate) struct Moved {
    pub(crate) entries: Vec<GroupEntry>,
    pub(crate) more: bool,
}

impl Moved {
    /// What a refusal says of the group, where it is one of those that do.
    pub(crate) fn of(problem: &ProblemBody) -> Option<Self> {
        let reason = problem.reason.as_deref()?;
        let moved =
            ["epoch_taken", "proposals_missing", "stale_member", "stale_epoch", "generation_taken"];
        if !moved.contains(&reason) {
            return None;
        }
        let entries: Result<Vec<_>, _> =
            problem.entries.iter().map(|bytes| GroupEntry::decode(bytes.0.as_slice())).collect();
        // What cannot be read is read from the log.
        let (entries, more) = entries.map_or((Vec::new(), true), |all| (all, problem.more));
        Some(Self { entries, more })
    }
}

impl Rest {
    fn group(&self, method: Method, path: &[&str], token: String) -> reqwest::RequestBuilder {
        let path: Vec<_> = ["groups"].iter().chain(path).copied().collect();
        self.request(method, &path).bearer_auth(token)
    }

    /// `GET /v1/groups/external-sender`.
    pub(crate) async fn external_sender(&self, token: String) -> Result<ExternalSender, RestError> {
        Self::json(self.group(Method::GET, &["external-sender"], token)).await
    }

    /// `POST /v1/groups`.
    pub(crate) async fn begin_group(
        &self,
        new: &NewGroup,
        token: String,
    ) -> Result<Begun, RestError> {
        Self::json(self.group(Method::POST, &[], token).json(new)).await
    }

    /// `GET /v1/groups`.
    pub(crate) async fn groups(&self, token: String) -> Result<Vec<GroupRow>, RestError> {
        let rows: GroupRows = Self::json(self.group(Method::GET, &[], token)).await?;
        Ok(rows.groups)
    }

    /// `POST /v1/groups/{group}/commits`.
    pub(crate) async fn commit(
        &self,
        group: GroupId,
        new: &NewCommit,
        token: String,
    ) -> Result<Committed, RestError> {
        let path = [group.to_string(), "commits".to_owned()];
        let [id, commits] = &path;
        Self::json(self.group(Method::POST, &[id, commits], token).json(new)).await
    }

    /// `GET /v1/groups/{group}/log?after=&limit=`.
    pub(crate) async fn group_log(
        &self,
        group: GroupId,
        after: u64,
        limit: usize,
        token: String,
    ) -> Result<LogPage, RestError> {
        let request = self
            .request_with(
                Method::GET,
                &["groups", &group.to_string(), "log"],
                &[("after", &after.to_string()), ("limit", &limit.to_string())],
            )
            .bearer_auth(token);
        let body = Self::send(request).await?;
        LogPage::decode(body.as_slice()).map_err(|_| RestError::Other(Distrust::Malformed.into()))
    }

    /// `GET /v1/groups/{group}/info`.
    pub(crate) async fn group_info(
        &self,
        group: GroupId,
        token: String,
    ) -> Result<Info, RestError> {
        Self::json(self.group(Method::GET, &[&group.to_string(), "info"], token)).await
    }

    /// `GET /v1/groups/{group}/tree?epoch=&generation=`, as it comes: compressed.
    pub(crate) async fn group_tree(
        &self,
        group: GroupId,
        generation: u32,
        epoch: u64,
        token: String,
    ) -> Result<Vec<u8>, RestError> {
        let request = self.request_with(
            Method::GET,
            &["groups", &group.to_string(), "tree"],
            &[("epoch", &epoch.to_string()), ("generation", &generation.to_string())],
        );
        Self::send(request.bearer_auth(token)).await
    }

    /// `GET /v1/groups/welcomes?limit=`.
    pub(crate) async fn group_welcomes(
        &self,
        limit: usize,
        token: String,
    ) -> Result<Vec<Welcome>, RestError> {
        let request = self.request_with(
            Method::GET,
            &["groups", "welcomes"],
            &[("limit", &limit.to_string())],
        );
        let answer: Welcomes = Self::json(request.bearer_auth(token)).await?;
        Ok(answer.welcomes)
    }

    /// `DELETE /v1/groups/{group}/welcome?generation=&epoch=`.
    pub(crate) async fn drop_group_welcome(
        &self,
        group: GroupId,
        generation: u32,
        epoch: u64,
        token: String,
    ) -> Result<(), RestError> {
        let request = self.request_with(
            Method::DELETE,
            &["groups", &group.to_string(), "welcome"],
            &[("generation", &generation.to_string()), ("epoch", &epoch.to_string())],
        );
        match Self::send(request.bearer_auth(token)).await {
            Err(error) if !error.is_status(StatusCode::NOT_FOUND) => Err(error),
            _ => Ok(()),
        }
    }

    /// `POST /v1/groups/{group}/messages`.
    pub(crate) async fn send_to_group(
        &self,
        send: &GroupSend,
        token: String,
    ) -> Result<Sent, RestError> {
        let malformed = || RestError::Other(ClientError::Crypto("outbox"));
        let group = GroupId::try_from(send.group.as_ref()).map_err(|_| malformed())?;
        let id = ClientMsgId::try_from(send.client_msg_id.as_ref()).map_err(|_| malformed())?;
        let body = NewMessage {
            client_msg_id: id.to_string(),
            generation: send.generation,
            epoch: send.epoch,
            message: send.message.to_vec().into(),
        };
        let request = self.group(Method::POST, &[&group.to_string(), "messages"], token);
        Self::json(request.json(&body)).await
    }

    /// `POST /v1/groups/{group}/proposals`.
    pub(crate) async fn propose(
        &self,
        group: GroupId,
        proposal: Vec<u8>,
        token: String,
    ) -> Result<(), RestError> {
        let body = NewProposal { proposal: proposal.into() };
        let request = self.group(Method::POST, &[&group.to_string(), "proposals"], token);
        Self::send(request.json(&body)).await.map(drop)
    }

    /// `PUT /v1/groups/{group}/metadata`.
    pub(crate) async fn put_group_metadata(
        &self,
        group: GroupId,
        generation: u32,
        epoch: u64,
        sealed_metadata: Vec<u8>,
        token: String,
    ) -> Result<(), RestError> {
        let body = NewMetadata { generation, epoch, sealed_metadata: sealed_metadata.into() };
        let request = self.group(Method::PUT, &[&group.to_string(), "metadata"], token);
        Self::send(request.json(&body)).await.map(drop)
    }

    /// `PUT /v1/groups/cursors`.
    pub(crate) async fn put_group_cursors(
        &self,
        cursors: &[(GroupId, u64)],
        token: String,
    ) -> Result<(), RestError> {
        let cursors = cursors.iter().map(|&(group, seq)| NewCursor { group, seq }).collect();
        let request = self.group(Method::PUT, &["cursors"], token);
        Self::send(request.json(&NewCursors { cursors })).await.map(drop)
    }

    /// `GET /v1/groups/{group}/cursors`.
    pub(crate) async fn group_cursors(
        &self,
        group: GroupId,
        token: String,
    ) -> Result<Vec<MemberCursor>, RestError> {
        let request = self.group(Method::GET, &[&group.to_string(), "cursors"], token);
        let answer: MemberCursors = Self::json(request).await?;
        Ok(answer.members)
    }

    /// `POST /v1/groups/{group}/reset`.
    pub(crate) async fn reset_group(
        &self,
        group: GroupId,
        generation: u32,
        new: NewGroup,
        token: String,
    ) -> Result<Committed, RestError> {
        let NewGroup { group_info, sealed_metadata } = new;
        let body = NewGeneration { generation, group_info, sealed_metadata };
        let request = self.group(Method::POST, &[&group.to_string(), "reset"], token);
        Self::json(request.json(&body)).await
    }

    /// `POST /v1/key-packages`.
    pub(crate) async fn claim_key_packages(
        &self,
        accounts: &[AccountId],
        token: String,
    ) -> Result<Vec<ClaimedAccount>, RestError> {
        let accounts = accounts.iter().map(ToString::to_string).collect();
        let request = self.request(Method::POST, &["key-packages"]).bearer_auth(token);
        let answer: Claimed = Self::json(request.json(&Claim { accounts })).await?;
        Ok(answer.accounts)
    }

    /// `PUT /v1/keys/packages`.
    pub(crate) async fn put_key_packages(
        &self,
        one_time: &[Base64Bytes],
        last_resort: Option<&Base64Bytes>,
        token: String,
    ) -> Result<(), RestError> {
        let request = self.request(Method::PUT, &["keys", "packages"]).bearer_auth(token);
        Self::send(request.json(&NewPackages { one_time, last_resort })).await.map(drop)
    }
}
