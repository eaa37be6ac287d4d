//! Handles.

use actix_web::web::{self, ServiceConfig};
use sotto_ids::Handle;
use sotto_kit::{
    fault::Problem,
    http::{Endpoint, limited, to},
    limits::Class,
    openapi,
};
use utoipa::OpenApi;

use super::body::AccountBody;
use crate::ops::Keys;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.service(Endpoint::at("/{handle}").get(to(find).wrap(limited(Class::Lookup))));
}

#[derive(OpenApi)]
#[openapi(paths(find))]
pub(super) struct Document;

/// `GET /v1/u/{handle}`
#[utoipa::path(
    get,
    path = "/v1/u/{handle}",
    tag = "accounts",
    operation_id = "findByHandle",
    summary = "Says who goes by a handle",
    security(()),
    params(("handle" = openapi::Handle, Path, description = "Without a domain.")),
    responses(
        (status = 200, body = AccountBody, description = "The account."),
        (status = 404, description = "`unknown_handle`"),
        (status = 422),
    ),
)]
async fn find(
    handle: web::Path<Handle>,
    keys: web::Data<Keys>,
) -> Result<web::Json<AccountBody>, Problem> {
    let found = keys.find_by_handle(&handle).await?;
    Ok(web::Json(found.into()))
}
