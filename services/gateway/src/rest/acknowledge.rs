//! `POST /v1/messages/ack`

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use sotto_ids::{EnvelopeId, limits::MAX_ACK_IDS};
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use utoipa::{OpenApi, ToSchema};

use super::{call::Call, error::RestError, identity};
use crate::gateway::Gateway;

#[derive(OpenApi)]
#[openapi(paths(acknowledge))]
pub(super) struct Document;

/// Envelopes that the device has stored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Acknowledgement)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    /// At most 256.
    #[schema(value_type = Vec<openapi::Uuid7>)]
    envelope_ids: Vec<String>,
}

/// Acknowledges. 204 says that it is on its way: one that is lost brings its envelope once
/// more.
#[utoipa::path(
    post,
    path = "/v1/messages/ack",
    tag = "messages",
    operation_id = "acknowledge",
    summary = "Acknowledges envelopes, which deletes them",
    description = "204 says that it is on its way: one that is lost brings its envelope once more.",
    security(("sotto_token" = [])),
    request_body = Body,
    responses((status = 204, description = "It is on its way."), (status = 422)),
)]
pub(super) async fn acknowledge(
    caller: Caller,
    body: web::Json<Body>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    let ids = envelope_ids(&body)?;
    if !ids.is_empty() {
        let mut call = Call::open(&gateway, &identity(caller))?;
        gateway.meters.acknowledged.increment(ids.len() as u64);
        call.put(|asker| asker.acknowledge(&ids));
    }
    Ok(HttpResponse::NoContent().finish())
}

fn envelope_ids(body: &Body) -> Result<Vec<EnvelopeId>, RestError> {
    if body.envelope_ids.len() > MAX_ACK_IDS {
        return Err(RestError::TooManyIds { most: MAX_ACK_IDS });
    }
    let id = |text: &String| {
        let uuid = uuid::Uuid::try_parse(text).map_err(|_| RestError::MalformedEnvelopeId)?;
        EnvelopeId::try_from(uuid.as_bytes().as_slice()).map_err(|_| RestError::MalformedEnvelopeId)
    };
    body.envelope_ids.iter().map(id).collect()
}

/// Reads an acknowledgement: each text is one id, and each id prints as a text of itself.
#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Body>(data) else { return };
    let Ok(ids) = envelope_ids(&body) else { return };
    assert_eq!(ids.len(), body.envelope_ids.len());
    let again = Body { envelope_ids: ids.iter().map(ToString::to_string).collect() };
    assert_eq!(envelope_ids(&again).ok(), Some(ids));
}
