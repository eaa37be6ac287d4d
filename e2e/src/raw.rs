//! Callers who say whatever they like, with real keys and real tokens at hand: what no
//! client of ours would ever ask.

mod member;
mod party;
mod tenant;
mod wire;

use reqwest::Method;
use serde_json::Value;
use sotto_testkit::{Cluster, wait_for};

pub use self::{
    member::{Change, Member, entries_of, new_group},
    party::{Party, message_id, now_ms},
    tenant::{TOKEN_LIFETIME, lonely_app, with_app},
    wire::{Wire, frame},
};
use crate::PATIENCE;

/// The REST API and the sockets of a cluster.
#[derive(Debug, Clone)]
pub struct Raw {
    http: reqwest::Client,
    keys: String,
    gateway: String,
    groups: String,
    domain: String,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    token: Option<String>,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The status.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub body: Value,
    /// The same as it came.
    pub bytes: Vec<u8>,
}

impl Ask {
    /// A request without a token and without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), token: None, headers: Vec::new(), body: Vec::new() }
    }

    /// With a token of Sotto, if there is one.
    #[must_use]
    pub fn token(mut self, token: Option<&str>) -> Self {
        self.token = token.map(str::to_owned);
        self
    }

    /// With JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    /// With bytes of a type.
    #[must_use]
    pub fn bytes(self, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self.header("content-type", content_type) }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Heard {
    /// A text of the body.
    ///
    /// # Panics
    ///
    /// When the body has none of this name.
    pub fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).expect("a text of this name")
    }

    /// The answer in one line: its status, and the reason where it is a refusal.
    pub fn word(&self) -> String {
        match self.body.get("reason").and_then(Value::as_str) {
            Some(reason) => format!("{} {reason}", self.status),
            None => self.status.to_string(),
        }
    }
}

impl Raw {
    /// Those of the first gateway of a cluster.
    pub fn of(cluster: &Cluster) -> Self {
        let socket = cluster.socket_url(0).replacen("ws://", "http://", 1);
        Self {
            http: reqwest::Client::new(),
            keys: cluster.rest_url(),
            gateway: socket.trim_end_matches("/v1/socket").to_owned(),
            groups: cluster.groups_url(0),
            domain: cluster.domain().to_owned(),
        }
    }

    /// The home of its accounts.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The same, before another replica of groups.
    #[must_use]
    pub fn at_groups(mut self, cluster: &Cluster, replica: usize) -> Self {
        self.groups = cluster.groups_url(replica);
        self
    }

    /// Asks, of the role that serves the path.
    ///
    /// # Panics
    ///
    /// When nobody answers.
    pub async fn ask(&self, ask: Ask) -> Heard {
        self.try_ask(ask).await.expect("an answer")
    }

    /// Asks until there is an answer that says something of the matter: the role, or what it
    /// stands on, may be on its way back.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    pub async fn answer(&self, ask: Ask) -> Heard {
        wait_for(PATIENCE, "an answer", async || match self.try_ask(ask.clone()).await {
            Ok(heard) if heard.status < 500 => Ok(heard),
            Ok(heard) => Err(heard.word()),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// Asks a role that may be dead.
    ///
    /// # Errors
    ///
    /// When nobody answers.
    pub async fn try_ask(&self, ask: Ask) -> Result<Heard, reqwest::Error> {
        let begins = |start: &&str| ask.path.starts_with(start);
        let base = if ["/v1/messages", "/v1/socket"].iter().any(begins) {
            &self.gateway
        } else if begins(&"/v1/groups") {
            &self.groups
        } else {
            &self.keys
        };
        let mut request = self.http.request(ask.method, format!("{base}{}", ask.path));
        if let Some(token) = ask.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        let answer = request.body(ask.body).timeout(PATIENCE).send().await?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await?.to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Heard { status, body, bytes })
    }
}
