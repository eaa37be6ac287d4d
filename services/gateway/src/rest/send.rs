//! `PUT /v1/messages/{recipient}`

use actix_web::web;
use bytes::Bytes;
use sotto_ids::limits::MAX_LIVE_DEVICES;
use sotto_kit::{auth::Caller, fault::Problem};
use sotto_proto::{
    messages::outcome,
    socket::{DeviceMessage, Send},
};

use super::{
    body::{self, AcceptedBody, SendBody},
    call,
    error::{self, RestError},
    identity,
};
use crate::gateway::Gateway;

/// Sends. 200 once the envelopes are durable; the same send again is answered alike.
pub(super) async fn send(
    caller: Caller,
    recipient: web::Path<String>,
    body: web::Json<SendBody>,
    gateway: web::Data<Gateway>,
) -> Result<web::Json<AcceptedBody>, Problem> {
    let SendBody { client_msg_id, messages, ttl_seconds, class } = body.into_inner();
    if messages.len() > MAX_LIVE_DEVICES {
        return Err(RestError::TooManyDevices { most: MAX_LIVE_DEVICES }.into());
    }
    let messages = messages.into_iter().map(|message| DeviceMessage {
        device_id: message.device_id,
        registration_id: message.registration_id,
        r#type: message.kind.into_proto().into(),
        ciphertext: message.ciphertext.0.into(),
    });
    let send = Send {
        client_msg_id: Bytes::copy_from_slice(body::message_id(&client_msg_id)?.as_bytes()),
        recipient: Bytes::copy_from_slice(body::account(&recipient)?.as_bytes()),
        messages: messages.collect(),
        ttl_seconds,
        class: class.into_proto().into(),
    };
    let identity = identity(caller);
    match call::decide(&gateway, &identity, |asker, frame| asker.submit(frame, send)).await? {
        outcome::Result::Accepted(accepted) => Ok(web::Json(accepted.into())),
        outcome::Result::DeviceMismatch(mismatch) => Err(error::mismatch(mismatch)),
        outcome::Result::Error(refusal) => Err(error::refused(refusal)),
        outcome::Result::Retracted(_) => Err(RestError::Unavailable.into()),
    }
}
