//! The keys of an app that publishes them under a URL, which the operator wrote down.
//! No token has a say in where keys are fetched from.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use reqwest::{Client, StatusCode, header, redirect::Policy};
use sotto_kit::{
    clock::{SharedClock, millis},
    fault::chain,
    lifecycle::Lifecycle,
};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot, oneshot::error::RecvError};
use url::Url;

use super::{
    jwks::{self, JwksFlaw},
    key::AppKey,
};
use crate::{config::JwksConfig, metrics};

/// The key set of one app. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PinnedKeys(Arc<Inner>);

struct Inner {
    app: String,
    url: Url,
    client: Client,
    config: JwksConfig,
    clock: SharedClock,
    /// The last set that was good, by kid; none until the first.
    keys: ArcSwapOption<HashMap<String, AppKey>>,
    fetched_at_ms: AtomicU64,
    /// When it was last asked for, whether it came or not.
    asked_at_ms: AtomicU64,
    fetching: Arc<Mutex<()>>,
    lifecycle: Lifecycle,
}

/// Whose turn it is to fetch.
type Turn = OwnedMutexGuard<()>;

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedKeys").field("app", &self.app).finish_non_exhaustive()
    }
}

/// No key set of the app has come yet, so nobody can say which keys it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoKeySet;

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the key set could not be fetched")]
    Failed(#[source] reqwest::Error),
    #[error("the answer has the status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("the key set is over keys.jwks.max_body")]
    TooLarge,
    #[error("the key set cannot be used")]
    Flawed(#[source] JwksFlaw),
}

/// What fetches key sets. It follows no redirect: the URL that was written down is the
/// one that is asked.
pub(crate) fn client(config: &JwksConfig) -> reqwest::Result<Client> {
    Client::builder()
        .redirect(Policy::none())
        .timeout(config.timeout)
        .user_agent(concat!("sotto/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl PinnedKeys {
    pub(crate) fn new(
        app: String,
        url: Url,
        client: Client,
        config: JwksConfig,
        clock: SharedClock,
        lifecycle: Lifecycle,
    ) -> Self {
        Self(Arc::new(Inner {
            app,
            url,
            client,
            config,
            clock,
            keys: ArcSwapOption::empty(),
            fetched_at_ms: AtomicU64::new(0),
            asked_at_ms: AtomicU64::new(0),
            fetching: Arc::default(),
            lifecycle,
        }))
    }

    /// The key of this name, where the app has one.
    ///
    /// A set that is old is fetched anew by the first who comes, while others go on with
    /// it; where that fails, so do all. A kid that is not known may be brand new, and
    /// makes one fetch in `keys.jwks.refetch_pause`, however many name such kids.
    pub(crate) async fn find(&self, kid: &str) -> Result<Option<AppKey>, NoKeySet> {
        let inner = &self.0;
        let fetching = Arc::clone(&inner.fetching);
        if inner.holds(kid) {
            if inner.is_due()
                && let Ok(turn) = fetching.try_lock_owned()
                && inner.is_due()
            {
                self.fetch(turn).await;
            }
            return inner.key(kid);
        }
        // Those who waited for a fetch find that it is done.
        let turn = fetching.lock_owned().await;
        if !inner.holds(kid) && inner.may_ask() {
            self.fetch(turn).await;
        }
        // An old set says nothing of a key that may be new.
        if !inner.holds(kid) && inner.failed_last() {
            return Err(NoKeySet);
        }
        inner.key(kid)
    }

    /// Fetches in a task of its own: a caller that hangs up must not end what the others
    /// wait for, and what could not be begun again before the pause is over.
    async fn fetch(&self, turn: Turn) {
        let (inner, stopped) = (Arc::clone(&self.0), self.0.lifecycle.stopped());
        let (done, ended) = oneshot::channel::<()>();
        self.0.lifecycle.spawn("keys.key_set", async move {
            stopped.run_until_cancelled(inner.fetch()).await;
            drop((turn, done));
        });
        // It ends by being dropped.
        let _: Result<(), RecvError> = ended.await;
    }
}

impl Inner {
    fn holds(&self, kid: &str) -> bool {
        self.keys.load().as_ref().is_some_and(|keys| keys.contains_key(kid))
    }

    fn key(&self, kid: &str) -> Result<Option<AppKey>, NoKeySet> {
        let keys = self.keys.load();
        keys.as_ref().map(|keys| keys.get(kid).cloned()).ok_or(NoKeySet)
    }

    /// Whether the last try to fetch the set came to nothing.
    fn failed_last(&self) -> bool {
        self.asked_at_ms.load(Ordering::Acquire) > self.fetched_at_ms.load(Ordering::Acquire)
    }

    fn is_due(&self) -> bool {
        self.since(&self.fetched_at_ms) >= millis(self.config.refresh_every) && self.may_ask()
    }

    fn may_ask(&self) -> bool {
        self.since(&self.asked_at_ms) >= millis(self.config.refetch_pause)
    }

    fn since(&self, at_ms: &AtomicU64) -> u64 {
        self.clock.now_ms().saturating_sub(at_ms.load(Ordering::Acquire))
    }

    /// Fetches the set. Where that fails the last good one stays: it is no proof that a
    /// key is gone that its app's server is.
    async fn fetch(&self) {
        self.asked_at_ms.store(self.clock.now_ms(), Ordering::Release);
        match self.download().await {
            Ok(keys) => {
                self.keys.store(Some(Arc::new(keys)));
                self.fetched_at_ms.store(self.clock.now_ms(), Ordering::Release);
                metrics::key_set_fetched(&self.app, "fetched");
            }
            Err(error) => {
                metrics::key_set_fetched(&self.app, "failed");
                tracing::warn!(
                    app = self.app,
                    error = chain(&error),
                    "the key set of an app could not be renewed"
                );
            }
        }
    }

    async fn download(&self) -> Result<HashMap<String, AppKey>, FetchError> {
        let failed = |error: reqwest::Error| FetchError::Failed(error.without_url());
        let request = self
            .client
            .get(self.url.clone())
            .header(header::ACCEPT, "application/jwk-set+json, application/json");
        let mut response = request.send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut document = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            document.extend_from_slice(&part);
            if document.len() > self.config.max_body.0 {
                return Err(FetchError::TooLarge);
            }
        }
        jwks::parse(&document).map_err(FetchError::Flawed)
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use futures_util::future::{Either, select};
    use sotto_kit::{clock::TestClock, config::ByteSize};
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    // The key is that of RFC 8037 appendix A.2.
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
        {\"keys\": [{\"kid\": \"ed\", \"kty\": \"OKP\", \"crv\": \"Ed25519\", \
        \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

    const CONFIG: JwksConfig = JwksConfig {
        refresh_every: Duration::from_mins(10),
        refetch_pause: Duration::from_secs(30),
        timeout: Duration::from_secs(30),
        max_body: ByteSize(4096),
    };

    /// Caught: a fetch that is a part of the request which began it, and ends with it.
    /// Nobody could begin it again before the pause was over.
    #[tokio::test]
    async fn a_caller_that_goes_away_ends_no_fetch() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", server.local_addr().unwrap()).parse().unwrap();
        let clock = Arc::new(TestClock::new(1_800_000_000_000));
        let client = client(&CONFIG).unwrap();
        let keys = PinnedKeys::new("one".to_owned(), url, client, CONFIG, clock, Lifecycle::new());

        let mut connection = match select(pin!(keys.find("ed")), pin!(server.accept())).await {
            Either::Right((accepted, _caller)) => accepted.unwrap().0,
            Either::Left(_) => panic!("nobody has answered yet"),
        };
        connection.write_all(ANSWER.as_bytes()).await.unwrap();
        drop(connection);

        assert!(keys.find("ed").await.is_ok_and(|key| key.is_some()));
    }
}
