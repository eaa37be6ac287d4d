//! Handles.

use actix_web::web::{self, ServiceConfig};
use sotto_ids::Handle;
use sotto_kit::{
    fault::Problem,
    http::{Endpoint, limited, to},
    limits::Class,
};

use super::body::AccountBody;
use crate::ops::Keys;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.service(Endpoint::at("/{handle}").get(to(find).wrap(limited(Class::Lookup))));
}

/// `GET /v1/u/{handle}`
async fn find(
    handle: web::Path<Handle>,
    keys: web::Data<Keys>,
) -> Result<web::Json<AccountBody>, Problem> {
    let found = keys.find_by_handle(&handle).await?;
    Ok(web::Json(found.into()))
}
