use actix_web::{
    Error, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::header::{HeaderMap, HeaderName, HeaderValue},
    middleware::{Next, from_fn},
    web,
};

use super::client_address;
use crate::{
    auth,
    fault::Problem,
    limits::{Class, Decision, Policy, SharedLimiter, Subject, Take, Whom},
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Takes one unit of the class from whom it counts, before the handler runs: the address,
/// or the device or the account of the token. Where it counts callers, it takes from
/// their app as well, if this has a ceiling.
///
/// The answer carries `RateLimit-Policy` and `RateLimit`
/// (draft-ietf-httpapi-ratelimit-headers section 3 and 4); a refusal is a 429 with
/// `Retry-After`. What an app has left is nobody's business but its own, so its ceiling is
/// named in refusals alone.
///
/// The app's data has a `web::Data<SharedLimiter>` and, where callers are counted, a
/// `web::Data<TokenVerifier>`.
///
/// # Panics
///
/// For a class that counts pairs, of which a request knows but one half; and on each
/// request where the limiter is missing. Both are mistakes that no request can cause.
pub fn limited<S, B>(
    class: Class,
) -> impl Transform<
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
    assert!(class.whom() != Whom::Pair, "a use case takes from {class}, and no route");
    from_fn(move |request: ServiceRequest, next: Next<B>| limit(class, request, next))
}

async fn limit<B: MessageBody>(
    class: Class,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match take(class, &request).await {
        Ok(decision) => {
            let mut response = next.call(request).await?;
            announce(&decision, response.headers_mut());
            Ok(response.map_into_left_body())
        }
        Err((problem, decision)) => {
            let mut response = problem.error_response();
            announce(&decision, response.headers_mut());
            Ok(request.into_response(response).map_into_right_body())
        }
    }
}

async fn take(class: Class, request: &ServiceRequest) -> Result<Decision, (Problem, Decision)> {
    let limiter = request
        .app_data::<web::Data<SharedLimiter>>()
        .expect("an app with limited routes has a limiter");
    let http = request.request();
    let decision = match class.whom() {
        Whom::Address => {
            limiter.take(&[Take::one(class, Subject::Address(client_address(http)))]).await
        }
        Whom::Device | Whom::Account | Whom::Pair => {
            let caller =
                auth::authenticate(http).await.map_err(|error| (error, Decision::default()))?;
            let subject = match class.whom() {
                Whom::Account => Subject::Account(caller.device.account),
                _ => Subject::Device(caller.device),
            };
            let app = Subject::App(&caller.app);
            limiter.take(&[Take::one(class, subject), Take::one(class, app)]).await
        }
    };
    match decision.check() {
        Ok(()) => Ok(decision),
        Err(limited) => Err((limited.into(), decision)),
    }
}

/// Writes the headers. Of several limits each has its place in both.
pub fn announce(decision: &Decision, headers: &mut HeaderMap) {
    let shown = decision.0.iter().filter(|verdict| !verdict.policy.of_app);
    let (policies, limits): (Vec<_>, Vec<_>) = shown
        .map(|verdict| {
            let Policy { rate, .. } = verdict.policy;
            let window = rate.per.as_secs().max(1);
            let reset = verdict.reset.as_millis().div_ceil(1000);
            let name = verdict.policy;
            (
                format!("\"{name}\";q={};w={window}", rate.burst),
                format!("\"{name}\";r={};t={reset}", verdict.remaining),
            )
        })
        .unzip();
    for (name, items) in [(POLICY, policies), (LIMIT, limits)] {
        if !items.is_empty()
            && let Ok(value) = HeaderValue::from_str(&items.join(", "))
        {
            headers.insert(name, value);
        }
    }
}
