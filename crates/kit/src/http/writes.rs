use actix_web::{
    Error, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    middleware::{Next, from_fn},
    web,
};

use crate::{fault::Problem, read_only::ReadOnly};

/// Refuses with `read_only` while there is maintenance, before the handler runs. For every
/// route that changes something.
///
/// The app's data has a `web::Data<ReadOnly>`.
///
/// # Panics
///
/// On each request, where it is missing.
pub fn writes<S, B>() -> impl Transform<
    S,
    ServiceRequest,
    Response = ServiceResponse<EitherBody<B>>,
    Error = Error,
    InitError = (),
> + 'static
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    from_fn(refuse::<B>)
}

async fn refuse<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let read_only = request
        .app_data::<web::Data<ReadOnly>>()
        .expect("an app with routes that write has a read-only switch");
    match read_only.check() {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(error) => {
            let response = Problem::from(error).error_response();
            Ok(request.into_response(response).map_into_right_body())
        }
    }
}
