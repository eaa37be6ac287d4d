//! `DELETE /v1/messages/{recipient}/{client_msg_id}`

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use sotto_ids::{DeviceId, limits::MAX_LIVE_DEVICES};
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use sotto_proto::{messages::outcome, socket::Retract};
use utoipa::OpenApi;

use super::{
    body, call,
    error::{self, RestError},
    identity,
};
use crate::gateway::Gateway;

#[derive(OpenApi)]
#[openapi(paths(retract))]
pub(super) struct Document;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// The devices of the recipient that the send was for, with commas.
    #[param(pattern = "^[0-9]{1,3}(,[0-9]{1,3}){0,9}$", example = "1,2")]
    device_ids: String,
}

/// Deletes the copies of an own send that still wait. 204, whether there were any or not.
#[utoipa::path(
    delete,
    path = "/v1/messages/{recipient}/{client_msg_id}",
    tag = "messages",
    operation_id = "retract",
    summary = "Deletes the copies of an own send that still wait",
    security(("sotto_token" = [])),
    params(
        ("recipient" = openapi::AccountName, Path, description = "To whom it was sent."),
        ("client_msg_id" = openapi::Uuid7, Path, description = "Its name."),
        Query,
    ),
    responses(
        (status = 204, description = "None waits any more, whether there were any or not."),
        (status = 403, description = "`unknown_sender`"),
        (status = 404, description = "`unknown_recipient`"),
        (status = 422),
    ),
)]
pub(super) async fn retract(
    caller: Caller,
    path: web::Path<(String, String)>,
    query: web::Query<Query>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    let (recipient, client_msg_id) = path.into_inner();
    let retract = Retract {
        client_msg_id: Bytes::copy_from_slice(body::message_id(&client_msg_id)?.as_bytes()),
        recipient: Bytes::copy_from_slice(body::account(&recipient)?.as_bytes()),
        device_ids: device_ids(&query.device_ids)?,
    };
    let identity = identity(caller);
    match call::decide(&gateway, &identity, |asker, frame| asker.retract(frame, retract)).await? {
        outcome::Result::Retracted(_) => Ok(HttpResponse::NoContent().finish()),
        outcome::Result::Error(refusal) => Err(error::refused(refusal)),
        outcome::Result::Accepted(_) | outcome::Result::DeviceMismatch(_) => {
            Err(RestError::Unavailable.into())
        }
    }
}

fn device_ids(list: &str) -> Result<Vec<u32>, RestError> {
    // Counted before they are read: a list is as long as a URL may be.
    if list.split(',').count() > MAX_LIVE_DEVICES {
        return Err(RestError::TooManyDevices { most: MAX_LIVE_DEVICES });
    }
    let device = |text: &str| {
        let number: u32 = text.parse().map_err(|_| RestError::MalformedDeviceId)?;
        let device = DeviceId::try_from(number).map_err(|_| RestError::MalformedDeviceId)?;
        Ok(device.into())
    };
    list.split(',').map(device).collect()
}

/// Reads the query of a retraction: a list of devices that prints as a list of the same.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let Ok(query) = web::Query::<Query>::from_query(text) else { return };
    let Ok(ids) = device_ids(&query.device_ids) else { return };
    assert!((1..=MAX_LIVE_DEVICES).contains(&ids.len()));
    assert!(ids.iter().all(|id| (1..=127).contains(id)));
    let shown: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(device_ids(&shown.join(",")).ok(), Some(ids));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_devices_is_numbers_with_commas() {
        assert_eq!(device_ids("1,2,127").unwrap(), [1, 2, 127]);
        for wrong in ["", "0", "128", "1,", "1;2", "one"] {
            assert!(matches!(device_ids(wrong), Err(RestError::MalformedDeviceId)), "{wrong}");
        }
        let eleven = ["1"; 11].join(",");
        assert!(matches!(device_ids(&eleven), Err(RestError::TooManyDevices { .. })));
    }
}
