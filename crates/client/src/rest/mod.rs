//! The REST API of the home server.

mod accounts;
mod auth;
pub(crate) mod groups;
mod link;
pub(crate) mod messages;
mod prekeys;
pub(crate) mod registration;
pub(crate) mod wire;

use std::{error::Error as _, fmt, time::Duration};

use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use url::Url;

use self::wire::ProblemBody;
use crate::{ClientError, Distrust};

/// Bytes of the largest answer that is taken: a whole chain of 2,000 ops of 4 KiB
/// with their signatures.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Calls the REST API.
#[derive(Clone)]
pub(crate) struct Rest {
    http: reqwest::Client,
    base: Url,
    /// How long a request may take that does not wait for anything.
    timeout: Duration,
}

/// An answer that says yes.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

/// What went wrong with a request.
pub(crate) enum RestError {
    /// The server refuses it and always will.
    Refused { status: StatusCode, problem: Box<ProblemBody> },
    /// Anything else.
    Other(ClientError),
}

impl Rest {
    pub(crate) fn new(base: &Url, timeout: Duration) -> Result<Self, ClientError> {
        if base.cannot_be_a_base() || !matches!(base.scheme(), "http" | "https") {
            return Err(ClientError::Config("rest is no http or https URL"));
        }
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| ClientError::Config("TLS is not available"))?;
        Ok(Self { http, base: base.clone(), timeout })
    }

    /// The same, at another address.
    pub(crate) fn at(&self, base: Url) -> Self {
        Self { base, ..self.clone() }
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request_with(method, path, &[])
    }

    fn request_with(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        self.request_under("v1", method, path, query)
    }

    fn request_under(
        &self,
        root: &str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(root).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url)
    }

    /// Sends a request and reads the whole answer.
    async fn send(request: RequestBuilder) -> Result<Vec<u8>, RestError> {
        Self::exchange(request).await.map(|answer| answer.body)
    }

    /// As [`Self::send`], with the status, for answers of which there are several.
    async fn exchange(request: RequestBuilder) -> Result<Answer, RestError> {
        // An address in an error would end in somebody's log.
        let lost = |error: reqwest::Error| {
            RestError::Other(ClientError::unavailable(Lost(chain_of(&error.without_url()))))
        };
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let body = read(response).await?;
        if status.is_success() {
            return Ok(Answer { status, body });
        }
        let mut problem: ProblemBody = serde_json::from_slice(&body).unwrap_or_default();
        if problem.retry_after_ms.is_none() {
            problem.retry_after_ms = retry_after;
        }
        Err(refusal(status, problem))
    }

    async fn json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, RestError> {
        let body = Self::send(request).await?;
        serde_json::from_slice(&body).map_err(|_| RestError::Other(Distrust::Malformed.into()))
    }
}

fn refusal(status: StatusCode, problem: ProblemBody) -> RestError {
    let busy = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if !busy {
        return RestError::Refused { status, problem: Box::new(problem) };
    }
    let reason = problem.reason.unwrap_or_else(|| status.to_string());
    RestError::Other(ClientError::Unavailable {
        retry_after: problem.retry_after_ms.map(Duration::from_millis),
        source: Box::new(Lost(reason)),
    })
}

/// The header `Retry-After` in milliseconds, where it is a number of seconds. What
/// stands between us and the server, such as a load balancer, knows no other way.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

async fn read(mut response: Response) -> Result<Vec<u8>, RestError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(RestError::Other(Distrust::Malformed.into())),
            Ok(None) => return Ok(body),
            Err(error) => {
                let source = Lost(chain_of(&error.without_url()));
                return Err(RestError::Other(ClientError::unavailable(source)));
            }
        }
    }
}

impl RestError {
    /// Whether the server gave this reason.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.reason.as_deref() == Some(word))
    }

    pub(crate) fn is_status(&self, expected: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == expected)
    }
}

impl From<RestError> for ClientError {
    fn from(error: RestError) -> Self {
        match error {
            RestError::Other(error) => error,
            RestError::Refused { status, problem } => Self::Refused {
                reason: problem.reason.unwrap_or_else(|| format!("http_{}", status.as_u16())),
                detail: problem.detail.unwrap_or_default(),
            },
        }
    }
}

impl From<ClientError> for RestError {
    fn from(error: ClientError) -> Self {
        Self::Other(error)
    }
}

/// A request came to nothing: the causes, one after the other.
#[derive(Debug)]
struct Lost(String);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}

fn chain_of(error: &reqwest::Error) -> String {
    std::iter::successors(error.source(), |&source| source.source())
        .fold(error.to_string(), |chain, source| format!("{chain}: {source}"))
}
