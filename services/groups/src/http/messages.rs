//! Messages to groups, for those who have no socket.

use actix_web::web;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sotto_ids::Base64Bytes;
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use sotto_proto::socket::GroupSend;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::body::GroupName;
use crate::{
    domain::Refusal,
    error::{Behind, GroupsError, Lag},
    gateways::Answer,
    ops::Groups,
};

#[derive(OpenApi)]
#[openapi(paths(send))]
pub(super) struct Document;

/// One message for all members of a group.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupSend)]
#[serde(deny_unknown_fields)]
pub(super) struct SendBody {
    #[schema(value_type = openapi::Uuid7)]
    client_msg_id: String,
    /// The generation and the epoch in which it was encrypted.
    generation: u32,
    epoch: u64,
    /// An MLSMessage that holds a PrivateMessage with application data (RFC 9420, 6).
    #[schema(value_type = openapi::Base64)]
    message: Base64Bytes,
}

/// The message stands in the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupAccepted)]
pub(super) struct AcceptedBody {
    seq: u64,
    server_time_ms: u64,
}

/// `POST /v1/groups/{group}/messages`
#[utoipa::path(
    post,
    path = "/v1/groups/{group}/messages",
    tag = "groups",
    operation_id = "sendToGroup",
    summary = "Sends a message to a group",
    description = "Answered once it is durable. The same again, by its `client_msg_id`, is \
                   answered alike, in whichever epoch.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "Which group.")),
    request_body = SendBody,
    responses(
        (status = 200, body = AcceptedBody, description = "It stands in the log."),
        (status = 403, description = "`not_a_member`, `unknown_sender`"),
        (status = 404, description = "`no_such_group`"),
        (status = 409, description = "`stale_epoch`, with `generation`, `epoch`, `entries` and \
                                      `more`: encrypt it again"),
        (status = 422, description = "`malformed_group_message`, `malformed_message_id`, \
                                      `message_too_large`"),
    ),
)]
pub(super) async fn send(
    caller: Caller,
    path: web::Path<GroupName>,
    body: web::Json<SendBody>,
    groups: web::Data<Groups>,
) -> Result<web::Json<AcceptedBody>, Problem> {
    let SendBody { client_msg_id, generation, epoch, message } = body.into_inner();
    let id = Uuid::try_parse(&client_msg_id).map_err(|_| Refusal::MalformedMessageId)?;
    let send = GroupSend {
        group: Bytes::copy_from_slice(path.0.as_bytes()),
        generation,
        epoch,
        client_msg_id: Bytes::copy_from_slice(id.as_bytes()),
        message: message.0.into(),
    };
    match groups.send(caller.device, send).await {
        Answer::Accepted { seq, server_time_ms } => {
            Ok(web::Json(AcceptedBody { seq, server_time_ms }))
        }
        Answer::Stale(stale) => {
            let (at, entries, more) = (stale.now, stale.entries, stale.more);
            let behind = Behind { lag: Lag::StaleEpoch, at, entries, more };
            Err(GroupsError::from(behind).into())
        }
        Answer::Refused(refusal) => Err(refusal.into()),
    }
}
