//! The Welcomes of a device.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path, Query},
};
use serde::{Deserialize, Serialize};
use sotto_ids::Base64Bytes;
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use utoipa::{OpenApi, ToSchema};

use super::body::{EpochQuery, GroupName};
use crate::{db::welcomes::Welcome, ops::Groups};

#[derive(OpenApi)]
#[openapi(paths(list, forget))]
pub(super) struct Document;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WelcomesQuery {
    /// Welcomes at most; no more than `groups.welcomes.page`.
    #[serde(default)]
    limit: Option<u32>,
}

/// Welcomes that wait for a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Welcomes)]
pub(super) struct WelcomesBody {
    welcomes: Vec<WelcomeBody>,
}

/// A Welcome that waits for a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Welcome)]
struct WelcomeBody {
    #[schema(value_type = openapi::GroupId)]
    group: String,
    generation: u32,
    /// The epoch that it leads into.
    epoch: u64,
    /// The entry that began the epoch.
    seq: u64,
    /// An MLSMessage with a Welcome that has the secret of this device alone.
    #[schema(value_type = openapi::Base64)]
    welcome: Base64Bytes,
}

/// `GET /v1/groups/welcomes`
#[utoipa::path(
    get,
    path = "/v1/groups/welcomes",
    tag = "groups",
    operation_id = "listWelcomes",
    summary = "Reads the Welcomes that wait for the device",
    description = "They wait until the device deletes them, or until they are too old.",
    security(("sotto_token" = [])),
    params(WelcomesQuery),
    responses(
        (status = 200, body = WelcomesBody, description = "The oldest first."),
        (status = 422),
    ),
)]
pub(super) async fn list(
    caller: Caller,
    query: Query<WelcomesQuery>,
    groups: Data<Groups>,
) -> Result<Json<WelcomesBody>, Problem> {
    let welcomes = groups.welcomes(caller.device, query.limit).await?;
    let welcomes = welcomes.into_iter().map(WelcomeBody::from).collect();
    Ok(Json(WelcomesBody { welcomes }))
}

/// `DELETE /v1/groups/{group}/welcome`
#[utoipa::path(
    delete,
    path = "/v1/groups/{group}/welcome",
    tag = "groups",
    operation_id = "deleteWelcome",
    summary = "Deletes a Welcome of the device",
    description = "The same again changes nothing.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "The group."), EpochQuery),
    responses((status = 204, description = "There is none."), (status = 422)),
)]
pub(super) async fn forget(
    caller: Caller,
    group: Path<GroupName>,
    query: Query<EpochQuery>,
    groups: Data<Groups>,
) -> Result<HttpResponse, Problem> {
    groups.forget_welcome(caller.device, group.0, query.into_inner().into()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<Welcome> for WelcomeBody {
    fn from(welcome: Welcome) -> Self {
        let Welcome { head, welcome } = welcome;
        Self {
            group: head.group.to_string(),
            generation: head.at.generation,
            epoch: head.at.epoch,
            seq: head.seq,
            welcome: welcome.to_vec().into(),
        }
    }
}
