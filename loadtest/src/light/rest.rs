use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sotto_ids::{Base64Bytes, DeviceId};

use super::account::Account;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts at a request that the server puts off.
const ATTEMPTS: u32 = 20;

/// The pause after a refusal that names none.
const PAUSE: Duration = Duration::from_millis(250);

/// The REST API of a deployment, as far as a generator needs it.
#[derive(Debug, Clone)]
pub struct Rest {
    http: reqwest::Client,
    base: String,
    domain: String,
}

/// The server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{status}, {reason}")]
pub struct Refused {
    /// The status of the answer.
    pub status: StatusCode,
    /// The server's stable word for it.
    pub reason: String,
    /// When the same may pass, where the server said so.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// How long to wait before the same is asked again; `None` where that is of no use.
    fn pause(&self) -> Option<Duration> {
        let is_put_off =
            matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        is_put_off.then(|| self.retry_after.unwrap_or(PAUSE))
    }
}

#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Challenge {
    challenge: Base64Bytes,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

impl Rest {
    /// Speaks to a deployment.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn new(base: &str, domain: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        Ok(Self { http, base: base.to_owned(), domain: domain.to_owned() })
    }

    /// The home of its accounts.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Registers an account with all its devices.
    pub(super) async fn register(&self, account: &Account, app_token: &str) -> anyhow::Result<()> {
        let body = account.registration(app_token);
        self.ask(Method::POST, "accounts", None, &body).await.context("register")?;
        Ok(())
    }

    /// Logs a device in.
    pub(super) async fn login(
        &self,
        account: &Account,
        device: DeviceId,
        app_token: &str,
    ) -> anyhow::Result<String> {
        let answer = self.ask(Method::POST, "auth/challenge", None, &json!({})).await?;
        let challenge = serde_json::from_value::<Challenge>(answer)?.challenge;
        let keys = account.device(device).context("the account has no such device")?;
        let body = keys.login(account.id, device, &challenge.0, app_token, &self.domain);
        let answer = self.ask(Method::POST, "auth/token", None, &body).await.context("log in")?;
        Ok(serde_json::from_value::<Token>(answer)?.token)
    }

    /// Uploads prekeys of a kind (`signed`, `one-time`, `kyber`).
    pub(super) async fn put_keys(
        &self,
        kind: &str,
        token: &str,
        body: &Value,
    ) -> anyhow::Result<()> {
        let path = format!("keys/{kind}");
        self.ask(Method::PUT, &path, Some(token), body).await.context("publish prekeys")?;
        Ok(())
    }

    /// Takes a bundle of each device of an account, once, and says how many came with a
    /// one-time Kyber prekey.
    ///
    /// # Errors
    ///
    /// [`Refused`], and those of the connection.
    pub async fn bundles(&self, account: &str, token: &str) -> anyhow::Result<usize> {
        let path = format!("accounts/{account}/bundles");
        let answer = self.once(&Method::POST, &path, Some(token), &json!({})).await?;
        let devices = answer.get("devices").and_then(Value::as_array).context("no devices")?;
        Ok(devices
            .iter()
            .filter(|device| device.pointer("/kyber/last_resort") == Some(&Value::Bool(false)))
            .count())
    }

    /// Asks until it is done: what the server puts off is asked again when it said.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let mut attempt = 1;
        loop {
            match self.once(&method, path, token, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let pause = error
                        .downcast_ref::<Refused>()
                        .and_then(Refused::pause)
                        .filter(|_| attempt < ATTEMPTS);
                    let Some(pause) = pause else { return Err(error) };
                    attempt += 1;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let mut request =
            self.http.request(method.clone(), format!("{}/v1/{path}", self.base)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        if status.is_success() {
            return Ok(if bytes.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&bytes)?
            });
        }
        let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_default();
        let retry_after = problem.retry_after_ms.map(Duration::from_millis);
        Err(Refused { status, reason: problem.reason, retry_after }.into())
    }
}
