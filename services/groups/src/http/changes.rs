//! What changes a group.

use actix_web::web::{Data, Json, Path};
use serde::Deserialize;
use sotto_ids::Base64Bytes;
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use utoipa::{OpenApi, ToSchema};

use super::body::{GroupName, HeadBody, SealedBody, SeqBody};
use crate::{
    domain::Epoch,
    ops::{CommitRequest, Groups},
};

#[derive(OpenApi)]
#[openapi(paths(commit, propose, reseal))]
pub(super) struct Document;

/// A commit, and what others need of its maker.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupCommit)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitBody {
    /// An MLSMessage with a PublicMessage. At most 512 KiB.
    #[schema(value_type = openapi::Base64)]
    commit: Base64Bytes,
    /// An MLSMessage with the GroupInfo of the epoch that the commit leads to, signed by the
    /// committer, without the ratchet tree. At most 8 KiB.
    #[schema(value_type = openapi::Base64)]
    group_info: Base64Bytes,
    /// An MLSMessage with the Welcome of those whom it adds, if it adds any. At most 512 KiB.
    #[serde(default)]
    #[schema(value_type = Option<openapi::Base64>)]
    welcome: Option<Base64Bytes>,
    /// The metadata sealed for the new epoch; nothing where the committer does not know them.
    /// At most 18 KiB.
    #[serde(default)]
    #[schema(value_type = openapi::Base64)]
    sealed_metadata: Base64Bytes,
}

/// A proposal.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupProposal)]
#[serde(deny_unknown_fields)]
pub(super) struct ProposalBody {
    /// An MLSMessage with a PublicMessage, by which the caller removes its own leaf.
    #[schema(value_type = openapi::Base64)]
    proposal: Base64Bytes,
}

/// `POST /v1/groups/{group}/commits`
#[utoipa::path(
    post,
    path = "/v1/groups/{group}/commits",
    tag = "groups",
    operation_id = "commit",
    summary = "Changes a group by a commit",
    description = "Of the commits in an epoch the first is taken. The others are refused with \
                   `epoch_taken`, and what their makers lack: a commit that comes again finds \
                   itself there. Each proposal of the epoch has to be in the commit. A device of \
                   an account that is in the group may join by a commit from outside.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "The group.")),
    request_body = CommitBody,
    responses(
        (status = 200, body = HeadBody, description = "The epoch that it led to, and its entry."),
        (status = 403, description = "`not_a_member`, `not_interoperable`; `not_allowed`, with \
                                      the `rule`"),
        (status = 409, description = "`epoch_taken`, `proposals_missing`, `stale_member`, each \
                                      with `generation`, `epoch`, `entries` and `more`"),
        (status = 422, description = "`malformed_mls`, `commit_invalid`, `leaf_uncertified`, \
                                      `group_info_mismatch`, `welcome_mismatch`, `group_full`, \
                                      `too_large`"),
    ),
)]
pub(super) async fn commit(
    caller: Caller,
    group: Path<GroupName>,
    body: Json<CommitBody>,
    groups: Data<Groups>,
) -> Result<Json<HeadBody>, Problem> {
    let CommitBody { commit, group_info, welcome, sealed_metadata } = body.into_inner();
    let request = CommitRequest {
        commit: commit.0.into(),
        group_info: group_info.0.into(),
        welcome: welcome.map(|welcome| welcome.0.into()),
        sealed_metadata: sealed_metadata.0.into(),
    };
    Ok(Json(groups.commit(group.0, request, &caller).await?.into()))
}

/// `POST /v1/groups/{group}/proposals`
#[utoipa::path(
    post,
    path = "/v1/groups/{group}/proposals",
    tag = "groups",
    operation_id = "propose",
    summary = "Proposes that the caller leaves",
    description = "The next commit has to contain it. Where the same is proposed already, the \
                   answer names that proposal.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "The group.")),
    request_body = ProposalBody,
    responses(
        (status = 200, body = SeqBody, description = "It is proposed."),
        (status = 403, description = "`not_a_member`; `not_allowed`, with the `rule`"),
        (status = 409, description = "`stale_epoch`, with what the caller lacks"),
        (status = 422, description = "`malformed_mls`, `commit_invalid`, `too_large`"),
    ),
)]
pub(super) async fn propose(
    caller: Caller,
    group: Path<GroupName>,
    body: Json<ProposalBody>,
    groups: Data<Groups>,
) -> Result<Json<SeqBody>, Problem> {
    let proposal = body.into_inner().proposal.0.into();
    Ok(Json(SeqBody { seq: groups.propose(group.0, proposal, &caller).await? }))
}

/// `PUT /v1/groups/{group}/metadata`
#[utoipa::path(
    put,
    path = "/v1/groups/{group}/metadata",
    tag = "groups",
    operation_id = "resealMetadata",
    summary = "Seals the metadata for an epoch that began without them",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "The group.")),
    request_body = SealedBody,
    responses(
        (status = 200, body = SeqBody, description = "They stand in the log."),
        (status = 403, description = "`not_a_member`"),
        (status = 409, description = "`metadata_sealed`; `stale_epoch`, with what the caller \
                                      lacks"),
        (status = 422, description = "`malformed_mls`, `too_large`"),
    ),
)]
pub(super) async fn reseal(
    caller: Caller,
    group: Path<GroupName>,
    body: Json<SealedBody>,
    groups: Data<Groups>,
) -> Result<Json<SeqBody>, Problem> {
    let SealedBody { generation, epoch, sealed_metadata } = body.into_inner();
    let at = Epoch { generation, epoch };
    let seq = groups.reseal(group.0, at, sealed_metadata.0.into(), &caller).await?;
    Ok(Json(SeqBody { seq }))
}

#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let _commit = serde_json::from_slice::<CommitBody>(data);
    let _proposal = serde_json::from_slice::<ProposalBody>(data);
    let _sealed = serde_json::from_slice::<SealedBody>(data);
}
