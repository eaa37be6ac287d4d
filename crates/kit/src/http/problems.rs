use actix_web::{
    Error, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
};

use super::HttpError;
use crate::fault::Problem;

/// Turns the framework's own refusals into problem documents, such as that of a body that
/// is too large, or that breaks off.
///
/// What the framework refuses before there is a request stays as it is, without a body:
/// a head that is no HTTP (400), that is too large (431), or that does not come to an
/// end (408).
///
/// # Errors
///
/// Those of the service behind it.
pub async fn as_problems<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let response = match next.call(request).await {
        Ok(response) => response,
        Err(error) => {
            return Err(foreign(&error).map_or(error, |ours| Problem::from(ours).into()));
        }
    };
    let foreign = response.response().error().and_then(foreign);
    Ok(match foreign {
        Some(ours) => {
            response.into_response(Problem::from(ours).error_response()).map_into_right_body()
        }
        None => response.map_into_left_body(),
    })
}

/// What an error of the framework is called here; `None` for one that has a name.
fn foreign(error: &Error) -> Option<HttpError> {
    if error.as_error::<Problem>().is_some() {
        return None;
    }
    Some(match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => HttpError::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => HttpError::UnsupportedMediaType {
            expected: "application/json or application/octet-stream, as the endpoint says",
        },
        StatusCode::REQUEST_TIMEOUT => HttpError::TimedOut,
        status if status.is_client_error() => HttpError::MalformedRequest,
        _ => HttpError::Framework(error.to_string()),
    })
}
