//! `PUT /v1/messages/{recipient}`

use actix_web::web;
use bytes::Bytes;
use sotto_ids::limits::MAX_LIVE_DEVICES;
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use sotto_proto::{
    messages::outcome,
    socket::{DeviceMessage, Send},
};
use utoipa::OpenApi;

use super::{
    body::{self, AcceptedBody, SendBody},
    call,
    error::{self, RestError},
    identity,
};
use crate::gateway::Gateway;

#[derive(OpenApi)]
#[openapi(paths(send))]
pub(super) struct Document;

/// Sends. 200 once the envelopes are durable; the same send again is answered alike.
#[utoipa::path(
    put,
    path = "/v1/messages/{recipient}",
    tag = "messages",
    operation_id = "send",
    summary = "Sends a message",
    description = "Answered once the envelopes are durable. The same send again is answered alike.",
    security(("sotto_token" = [])),
    params(("recipient" = openapi::AccountName, Path, description = "To whom.")),
    request_body = SendBody,
    responses(
        (status = 200, body = AcceptedBody, description = "It will arrive, or expire."),
        (status = 403, description = "`not_interoperable`, `unknown_sender`"),
        (status = 404, description = "`unknown_recipient`"),
        (status = 409, description = "`device_mismatch`, with `missing`, `extra` and `stale`"),
        (status = 422),
        (status = 429, description = "`rate_limited`; `queue_full` of all devices"),
    ),
)]
pub(super) async fn send(
    caller: Caller,
    recipient: web::Path<String>,
    body: web::Json<SendBody>,
    gateway: web::Data<Gateway>,
) -> Result<web::Json<AcceptedBody>, Problem> {
    let send = into_proto(body.into_inner(), &recipient)?;
    let identity = identity(caller);
    match call::decide(&gateway, &identity, |asker, frame| asker.submit(frame, send)).await? {
        outcome::Result::Accepted(accepted) => Ok(web::Json(accepted.into())),
        outcome::Result::DeviceMismatch(mismatch) => Err(error::mismatch(mismatch)),
        outcome::Result::Error(refusal) => Err(error::refused(refusal)),
        outcome::Result::Retracted(_) => Err(RestError::Unavailable.into()),
    }
}

/// The send as it would come by a socket.
fn into_proto(body: SendBody, recipient: &str) -> Result<Send, RestError> {
    let SendBody { client_msg_id, messages, ttl_seconds, class } = body;
    if messages.len() > MAX_LIVE_DEVICES {
        return Err(RestError::TooManyDevices { most: MAX_LIVE_DEVICES });
    }
    let messages = messages.into_iter().map(|message| DeviceMessage {
        device_id: message.device_id,
        registration_id: message.registration_id,
        r#type: message.kind.into_proto().into(),
        ciphertext: message.ciphertext.0.into(),
    });
    Ok(Send {
        client_msg_id: Bytes::copy_from_slice(body::message_id(&client_msg_id)?.as_bytes()),
        recipient: Bytes::copy_from_slice(body::account(recipient)?.as_bytes()),
        messages: messages.collect(),
        ttl_seconds,
        class: class.into_proto().into(),
    })
}

/// Reads a send: what is taken fits into a frame of the socket.
#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    const RECIPIENT: &str = "00112233-4455-8677-8899-aabbccddeeff";
    let Ok(body) = serde_json::from_slice::<SendBody>(data) else { return };
    if let Ok(send) = into_proto(body, RECIPIENT) {
        assert!(send.messages.len() <= MAX_LIVE_DEVICES);
        assert_eq!((send.client_msg_id.len(), send.recipient.len()), (16, 16));
    }
}
