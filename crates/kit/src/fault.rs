//! Errors as they look from outside: a closed set of codes, mapped once to HTTP
//! and to gRPC, and stable reasons that programs branch on.

use std::{borrow::Cow, collections::HashMap, error::Error, fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde_json::{Map, Value};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Look at the state again, then decide anew.
    Conflict,
    /// Nothing: the caller may not do this.
    Forbidden,
    /// Nothing: it was there and will not come back.
    Gone,
    /// Nothing: the failure is ours.
    Internal,
    /// Mend the request.
    InvalidInput,
    /// Use another method: one of those that the answer names.
    MethodNotAllowed,
    /// Nothing: there is no such thing.
    NotFound,
    /// Pay for it first, in work.
    PaymentRequired,
    /// Come again later, and slower.
    TooManyRequests,
    /// Show a valid token.
    Unauthenticated,
    /// Come again later.
    Unavailable,
}

impl Code {
    /// The HTTP status (RFC 9110 section 15).
    pub const fn http(self) -> StatusCode {
        match self {
            Self::Conflict => StatusCode::CONFLICT,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Gone => StatusCode::GONE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The gRPC status code.
    pub const fn grpc(self) -> tonic::Code {
        match self {
            Self::Conflict => tonic::Code::Aborted,
            Self::Forbidden => tonic::Code::PermissionDenied,
            Self::Gone | Self::NotFound => tonic::Code::NotFound,
            Self::Internal => tonic::Code::Internal,
            Self::MethodNotAllowed => tonic::Code::Unimplemented,
            Self::InvalidInput => tonic::Code::InvalidArgument,
            Self::PaymentRequired => tonic::Code::FailedPrecondition,
            Self::TooManyRequests => tonic::Code::ResourceExhausted,
            Self::Unauthenticated => tonic::Code::Unauthenticated,
            Self::Unavailable => tonic::Code::Unavailable,
        }
    }

    /// Whether the failure is ours rather than the caller's.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Internal | Self::Unavailable)
    }
}

/// An error that knows how it looks from outside.
pub trait Fault: Error {
    /// What the caller can do about it.
    fn code(&self) -> Code;

    /// A stable word for programs, such as `unknown_device`. Part of the API.
    fn reason(&self) -> &'static str;

    /// A sentence for people. Faults of ours say nothing about our insides.
    fn public_message(&self) -> String {
        if self.code().is_ours() {
            "the service could not complete the request".to_owned()
        } else {
            self.to_string()
        }
    }

    /// When the same request may succeed.
    fn retry_after(&self) -> Option<Duration> {
        (self.code() == Code::Unavailable).then_some(Duration::from_secs(1))
    }

    /// The `type` of the problem document, where it is a registered one (RFC 9457 section
    /// 4.2) rather than the page of its reason.
    fn problem_type(&self) -> Option<&'static str> {
        None
    }

    /// Further members of the problem document (RFC 9457 section 3.2).
    fn extra(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// A fault on its way out over HTTP: `application/problem+json` (RFC 9457).
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    reason: Cow<'static, str>,
    problem_type: Option<&'static str>,
    detail: String,
    retry_after: Option<Duration>,
    extra: Map<String, Value>,
}

impl Problem {
    /// The stable word of the fault.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// A refusal that another role has worded already, passed on as it is. That role has
    /// logged it.
    pub fn relayed(
        code: Code,
        reason: String,
        detail: String,
        retry_after: Option<Duration>,
        extra: Map<String, Value>,
    ) -> Self {
        let (status, reason) = (code.http(), Cow::Owned(reason));
        Self { status, reason, problem_type: None, detail, retry_after, extra }
    }

    fn body(&self) -> Value {
        let mut body = self.extra.clone();
        let page = || format!("/problems/{}", self.reason);
        body.insert("type".into(), self.problem_type.map_or_else(page, str::to_owned).into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("reason".into(), self.reason.as_ref().into());
        body.insert("detail".into(), self.detail.clone().into());
        if let Some(after) = self.retry_after {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            body.insert("retry_after_ms".into(), millis.into());
        }
        Value::Object(body)
    }
}

impl<F: Fault> From<F> for Problem {
    fn from(fault: F) -> Self {
        log_once(&fault);
        Self {
            status: fault.code().http(),
            reason: Cow::Borrowed(fault.reason()),
            problem_type: fault.problem_type(),
            detail: fault.public_message(),
            retry_after: fault.retry_after(),
            extra: fault.extra(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(after) = self.retry_after {
            let seconds = after.as_millis().div_ceil(1000);
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        response.content_type("application/problem+json").body(self.body().to_string())
    }
}

/// A fault on its way out over gRPC, with `ErrorInfo` in the details.
pub fn status(fault: &impl Fault) -> tonic::Status {
    log_once(fault);
    let mut details = ErrorDetails::with_error_info(fault.reason(), "sotto", HashMap::new());
    if let Some(after) = fault.retry_after() {
        details.set_retry_info(Some(after));
    }
    tonic::Status::with_error_details(fault.code().grpc(), fault.public_message(), details)
}

/// The one place where a failed request is logged, with its whole chain.
fn log_once(fault: &impl Fault) {
    match fault.code() {
        Code::Internal => {
            tracing::error!(reason = fault.reason(), error = chain(fault), "request failed");
        }
        // The operator knows, and the switch has been logged.
        Code::Unavailable if fault.reason() == "read_only" => {
            tracing::debug!(reason = fault.reason(), "request put off");
        }
        // What is away is away for many requests; whoever it is says so at ERROR once.
        Code::Unavailable => {
            tracing::warn!(reason = fault.reason(), error = chain(fault), "request put off");
        }
        // The text of a caller's fault may name what the caller sent.
        _ => tracing::debug!(reason = fault.reason(), "request refused"),
    }
}

/// An error and all that caused it, in one line.
pub fn chain(error: &dyn Error) -> String {
    std::iter::successors(error.source(), |&source| source.source())
        .fold(error.to_string(), |chain, source| format!("{chain}: {source}"))
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("the thing is missing")]
        Missing,
        #[error("the store failed")]
        Store(#[source] std::io::Error),
    }

    impl Fault for Example {
        fn code(&self) -> Code {
            match self {
                Self::Missing => Code::NotFound,
                Self::Store(_) => Code::Unavailable,
            }
        }

        fn reason(&self) -> &'static str {
            match self {
                Self::Missing => "missing",
                Self::Store(_) => "storage",
            }
        }
    }

    async fn body(fault: Example) -> (StatusCode, Value) {
        let response = Problem::from(fault).error_response();
        let status = response.status();
        let bytes = to_bytes(response.into_body()).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[actix_web::test]
    async fn a_callers_fault_explains_itself() {
        let (status, body) = body(Example::Missing).await;

        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(body["reason"], "missing");
        assert_eq!(body["detail"], "the thing is missing");
    }

    #[actix_web::test]
    async fn a_fault_of_ours_says_nothing_of_our_insides() {
        let cause = std::io::Error::other("disk 3 on host db-7");

        let (status, body) = body(Example::Store(cause)).await;

        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!body.to_string().contains("disk"), "{body}");
        assert_eq!(body["retry_after_ms"], 1000);
    }

    #[test]
    fn grpc_carries_the_reason_in_the_details() {
        let status = status(&Example::Missing);

        assert_eq!(status.code(), tonic::Code::NotFound);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("sotto", "missing"));
    }
}
