//! The mailbox for linking a device. Nobody shows a token: the new device has none yet,
//! and whoever knows the name of a mailbox is one of its two ends.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
use serde::{Deserialize, Serialize};
use sotto_kit::{
    fault::Problem,
    http::{Endpoint, HttpError, limited, to, writes},
    limits::Class,
    openapi,
};
use utoipa::{OpenApi, ToSchema};

use crate::{
    domain::mailbox::{LinkId, MAX_MESSAGE_BYTES, Slot},
    ops::Keys,
};

pub(super) fn routes(app: &mut ServiceConfig) {
    app.service(Endpoint::at("").post(to(open).wrap(limited(Class::LinkOpen)).wrap(writes())))
        .service(
            Endpoint::at("/{link}/{slot}")
                .get(to(read).wrap(limited(Class::Link)))
                .put(to(leave).wrap(limited(Class::Link)).wrap(writes())),
        );
}

const OCTETS: &str = "application/octet-stream";

#[derive(OpenApi)]
#[openapi(paths(open, leave, read))]
pub(super) struct Document;

/// A mailbox with two empty slots.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mailbox)]
struct MailboxBody {
    #[schema(value_type = openapi::LinkId)]
    link_id: String,
    /// Milliseconds since 1970.
    expires_at_ms: u64,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct WaitQuery {
    /// How long to wait for a message, in milliseconds. The server may wait less.
    #[serde(default)]
    wait_ms: u64,
}

/// `POST /v1/link`
#[utoipa::path(
    post,
    path = "/v1/link",
    tag = "link",
    operation_id = "openMailbox",
    summary = "Opens a mailbox for linking a device",
    security(()),
    responses((status = 201, body = MailboxBody, description = "It is open.")),
)]
async fn open(keys: web::Data<Keys>) -> Result<HttpResponse, Problem> {
    let mailbox = keys.open_mailbox().await?;
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(
        MailboxBody { link_id: mailbox.link.to_string(), expires_at_ms: mailbox.expires_at_ms },
    ))
}

/// `PUT /v1/link/{id}/{slot}`
#[utoipa::path(
    put,
    path = "/v1/link/{link}/{slot}",
    tag = "link",
    operation_id = "leaveMessage",
    summary = "Leaves a message in an empty slot",
    description = "At least one byte, at most 16 KiB. The same message again changes nothing.",
    security(()),
    params(
        ("link" = openapi::LinkId, Path, description = "The mailbox."),
        ("slot" = inline(Slot), Path, description = "`request` or `answer`."),
    ),
    request_body(content = openapi::Octets, content_type = "application/octet-stream"),
    responses(
        (status = 204, description = "It is there."),
        (status = 404, description = "`no_such_link`"),
        (status = 409, description = "`link_slot_taken`"),
        (status = 422),
    ),
)]
async fn leave(
    request: HttpRequest,
    place: web::Path<(LinkId, Slot)>,
    body: web::Payload,
    keys: web::Data<Keys>,
) -> Result<HttpResponse, Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    if content_type.is_none_or(|value| value.as_bytes() != OCTETS.as_bytes()) {
        return Err(HttpError::UnsupportedMediaType { expected: OCTETS }.into());
    }
    let message = body
        .to_bytes_limited(MAX_MESSAGE_BYTES)
        .await
        .map_err(|_| HttpError::BodyTooLarge { limit: MAX_MESSAGE_BYTES })?
        // It broke off; nobody is there to read the answer.
        .map_err(|_| HttpError::TimedOut)?;
    let (link, slot) = place.into_inner();
    keys.leave_message(link, slot, &message).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /v1/link/{id}/{slot}?wait_ms=MILLISECONDS`
///
/// 204 where there is nothing yet.
#[utoipa::path(
    get,
    path = "/v1/link/{link}/{slot}",
    tag = "link",
    operation_id = "readMessage",
    summary = "Reads the message of a slot, or waits for it",
    security(()),
    params(
        ("link" = openapi::LinkId, Path, description = "The mailbox."),
        ("slot" = inline(Slot), Path, description = "`request` or `answer`."),
        WaitQuery,
    ),
    responses(
        (status = 200, body = openapi::Octets, content_type = "application/octet-stream",
            description = "The message."),
        (status = 204, description = "There is nothing yet."),
        (status = 404, description = "`no_such_link`"),
        (status = 422),
    ),
)]
async fn read(
    place: web::Path<(LinkId, Slot)>,
    query: web::Query<WaitQuery>,
    keys: web::Data<Keys>,
) -> Result<HttpResponse, Problem> {
    let (link, slot) = place.into_inner();
    let wait = Duration::from_millis(query.wait_ms);
    let mut response = match keys.read_message(link, slot, wait).await? {
        Some(message) => HttpResponse::Ok().content_type(OCTETS).body(message),
        None => HttpResponse::NoContent().finish(),
    };
    let no_store = header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}
