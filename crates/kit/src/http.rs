//! The public face: HTTP. Every refusal is a problem document, the framework's own
//! included.

mod address;
mod endpoint;
mod limited;
mod problems;
mod writes;

use std::time::{Duration, Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error,
    http::{
        Method,
        header::{HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use tracing::Instrument as _;
use uuid::Uuid;

pub use self::{
    address::{ForwardedHeader, Proxies, client_address},
    endpoint::{Endpoint, to},
    limited::{announce, limited},
    problems::as_problems,
    writes::writes,
};
use crate::{
    fault::{Code, Fault, Problem},
    telemetry,
};

/// The framework could not make sense of a request.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The body is not the JSON that the endpoint takes. The text is serde's.
    #[error("the body is not what this endpoint takes: {0}")]
    MalformedJson(String),
    /// The content type is another than the endpoint takes.
    #[error("the content type must be {expected}")]
    UnsupportedMediaType {
        /// What the endpoint takes.
        expected: &'static str,
    },
    /// The body is larger than the endpoint takes.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// The body is larger than the endpoint takes, which did not say how much that is.
    #[error("the body is larger than this endpoint takes")]
    PayloadTooLarge,
    /// The body does not come as its headers say.
    #[error("the request is malformed")]
    MalformedRequest,
    /// A part of the path has the wrong form.
    #[error("the path is malformed: {0}")]
    MalformedPath(String),
    /// The query has an unknown, missing or malformed parameter.
    #[error("the query is malformed: {0}")]
    MalformedQuery(String),
    /// Nothing lives under this path.
    #[error("there is nothing here")]
    NoSuchEndpoint,
    /// What lives under this path does not take this method. `Allow` says what it takes.
    #[error("this method is not taken here")]
    MethodNotAllowed,
    /// The request did not come to an end in time: its body stopped arriving, or we
    /// were too slow.
    #[error("the request took too long")]
    TimedOut,
    /// The framework failed.
    #[error("the framework failed: {0}")]
    Framework(String),
}

impl Fault for HttpError {
    fn code(&self) -> Code {
        match self {
            Self::NoSuchEndpoint => Code::NotFound,
            Self::MethodNotAllowed => Code::MethodNotAllowed,
            Self::TimedOut => Code::Unavailable,
            Self::Framework(_) => Code::Internal,
            _ => Code::InvalidInput,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::MalformedJson(_) => "malformed_json",
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::BodyTooLarge { .. } | Self::PayloadTooLarge => "body_too_large",
            Self::MalformedRequest => "malformed_request",
            Self::MalformedPath(_) => "malformed_path",
            Self::MalformedQuery(_) => "malformed_query",
            Self::NoSuchEndpoint => "no_such_endpoint",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TimedOut => "request_timeout",
            Self::Framework(_) => "internal",
        }
    }
}

/// Makes the framework's extractors answer with problem documents, and bounds bodies.
pub fn configure(app: &mut web::ServiceConfig, max_body_bytes: usize) {
    app.app_data(web::PayloadConfig::new(max_body_bytes))
        .app_data(json_config(max_body_bytes))
        .app_data(web::PathConfig::default().error_handler(|error, _: &HttpRequest| {
            problem(HttpError::MalformedPath(error.to_string()))
        }))
        .app_data(web::QueryConfig::default().error_handler(|error, _: &HttpRequest| {
            problem(HttpError::MalformedQuery(error.to_string()))
        }));
}

/// JSON bodies of at most so many bytes, for a route whose bodies are of another size than
/// others.
pub fn json_config(max_body_bytes: usize) -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(max_body_bytes)
        .error_handler(move |error, _: &HttpRequest| problem(json_error(&error, max_body_bytes)))
}

/// The answer where no route fits.
#[expect(clippy::unused_async, reason = "the form of a handler")]
pub async fn no_such_endpoint() -> Result<HttpResponse, Problem> {
    Err(HttpError::NoSuchEndpoint.into())
}

/// A method is any token that a caller likes: as a label it must be one of a few.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn problem(error: HttpError) -> actix_web::Error {
    Problem::from(error).into()
}

fn json_error(error: &error::JsonPayloadError, limit: usize) -> HttpError {
    match error {
        error::JsonPayloadError::ContentType => {
            HttpError::UnsupportedMediaType { expected: "application/json" }
        }
        error::JsonPayloadError::OverflowKnownLength { .. }
        | error::JsonPayloadError::Overflow { .. } => HttpError::BodyTooLarge { limit },
        other => HttpError::MalformedJson(other.to_string()),
    }
}

/// Ends a request that takes longer than `longest`. An upgraded connection is answered
/// before it is used, so this does not bound it.
///
/// # Errors
///
/// Those of the service behind it, and `request_timeout`.
pub async fn in_time<B: MessageBody>(
    longest: Duration,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    match tokio::time::timeout(longest, next.call(request)).await {
        Ok(response) => response,
        Err(_) => Err(problem(HttpError::TimedOut)),
    }
}

/// Puts each request into a span of its route, counts and times it, and names it in
/// the header `x-request-id`, so that people can ask about it.
///
/// The span and the metrics carry the route's pattern, never the path.
///
/// # Errors
///
/// Those of the service behind it.
pub async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let request_id = Uuid::new_v4();
    let method = method_label(request.method());
    let span = tracing::info_span!(
        "http.request",
        http.request.method = method,
        http.route = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
        request_id = %request_id,
    );
    telemetry::adopt_parent(&span, |name| {
        Some(request.headers().get(name)?.to_str().ok()?.to_owned())
    });

    let started = Instant::now();
    let mut response = next.call(request).instrument(span.clone()).await?;

    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let status = response.status().as_u16();
    span.record("http.route", &route);
    span.record("http.response.status_code", status);
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
    metrics::counter!("sotto_http_requests_total", &labels).increment(1);
    metrics::histogram!("sotto_http_request_seconds", &labels)
        .record(started.elapsed().as_secs_f64());

    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_somebody_made_up_makes_no_label_of_its_own() {
        assert_eq!(method_label(&Method::PUT), "PUT");
        for made_up in ["AAAA1", "put", "TRACE"] {
            let method = Method::from_bytes(made_up.as_bytes()).unwrap();
            assert_eq!(method_label(&method), "other");
        }
    }
}
