//! Which replicas there are: every address of every configured name, looked up again
//! and again, as a headless service of Kubernetes shows them.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use dashmap::DashSet;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sotto_kit::{fault::chain, lifecycle::Lifecycle};
use tokio::{
    net::lookup_host,
    sync::watch,
    time::{Instant, MissedTickBehavior},
};
use tonic::codegen::http::{Uri, uri::Scheme};

use super::LinkError;
use crate::config::LinksConfig;

/// A stream that lived this long ends without counting as a failure.
const SOUND: Duration = Duration::from_secs(10);

/// What keeps a stream to a replica, for as long as it can.
pub(crate) trait Attach: Send + Sync + 'static {
    /// The role of the replicas.
    const ROLE: &'static str;

    /// What holds for all streams.
    fn config(&self) -> &LinksConfig;

    /// Attaches to a replica and serves the stream until it ends. Cancelled by being
    /// dropped only where the process stops.
    fn run(&self, replica: SocketAddr, key: u64) -> impl Future<Output = LinkError> + Send;
}

/// The names under which the replicas of a role are found.
#[derive(Debug, Clone)]
pub(crate) struct Replicas(Vec<(String, u16)>);

/// The setting names no replicas.
#[derive(Debug, thiserror::Error)]
#[error("links.{role}: `{url}` is not of the form http://host:port")]
pub struct MalformedReplicas {
    role: &'static str,
    url: String,
}

impl Replicas {
    /// Takes URLs of the form `http://host:port`. `role`: whose, for the error.
    pub(crate) fn parse(role: &'static str, urls: &[String]) -> Result<Self, MalformedReplicas> {
        let parse = |url: &String| {
            let uri: Uri = url.parse().ok()?;
            let plain = uri.scheme() == Some(&Scheme::HTTP) && matches!(uri.path(), "" | "/");
            let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
            plain.then_some((host, uri.port_u16()?))
        };
        urls.iter()
            .map(|url| parse(url).ok_or_else(|| MalformedReplicas { role, url: url.clone() }))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All addresses. `None` where a name could not be looked up: what was known then
    /// stays true.
    async fn resolve(&self) -> Option<BTreeSet<SocketAddr>> {
        let mut found = BTreeSet::new();
        for (host, port) in &self.0 {
            match lookup_host((host.as_str(), *port)).await {
                Ok(addresses) => found.extend(addresses),
                Err(_) => return None,
            }
        }
        Some(found)
    }
}

/// Keeps a stream attached to every replica until the process stops.
pub(crate) async fn keep_attached<A: Attach>(
    replicas: Replicas,
    attachment: Arc<A>,
    lifecycle: Lifecycle,
    mut rng: StdRng,
) {
    let stopped = lifecycle.stopped();
    let (known, _) = watch::channel(BTreeSet::new());
    let running = Arc::new(DashSet::new());
    let mut look = tokio::time::interval(attachment.config().resolve_every);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stopped.run_until_cancelled(look.tick()).await.is_some() {
        let Some(found) = replicas.resolve().await else {
            tracing::warn!(role = A::ROLE, "the names of the replicas cannot be looked up");
            continue;
        };
        known.send_replace(found.clone());
        for address in found {
            // One that is still ending is found again at the next look.
            if !running.insert(address) {
                continue;
            }
            let keep = keep_one(
                address,
                attachment.clone(),
                known.subscribe(),
                StdRng::from_rng(&mut rng),
            );
            let (stopped, running) = (stopped.clone(), running.clone());
            lifecycle.spawn("gateway.link", async move {
                stopped.run_until_cancelled(keep).await;
                running.remove(&address);
            });
        }
    }
}

/// Attaches to one replica again and again, for as long as its address is known.
async fn keep_one<A: Attach>(
    address: SocketAddr,
    attachment: Arc<A>,
    known: watch::Receiver<BTreeSet<SocketAddr>>,
    mut rng: StdRng,
) {
    let key = key_of(address);
    let mut pause = attachment.config().backoff_min;
    let mut failures = 0_u32;
    while known.borrow().contains(&address) {
        let since = Instant::now();
        let error = attachment.run(address, key).await;
        if since.elapsed() >= SOUND {
            pause = attachment.config().backoff_min;
            failures = 0;
        }
        failures = failures.saturating_add(1);
        // A replica that stays away is not worth a line at each attempt.
        if failures.is_power_of_two() {
            let error = chain(&error);
            tracing::warn!(role = A::ROLE, error, failures, "no link to a replica");
        }
        tokio::time::sleep(pause.mul_f64(rng.random_range(0.5..1.0))).await;
        pause = (pause * 2).min(attachment.config().backoff_max);
    }
}

fn key_of(address: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Replicas, MalformedReplicas> {
        Replicas::parse("messages", &[url.to_owned()])
    }

    #[tokio::test]
    async fn names_and_addresses_are_taken() {
        for url in ["http://127.0.0.1:9092", "http://messages.sotto.svc:9092/", "http://[::1]:9092"]
        {
            parse(url).unwrap();
        }
        let found = parse("http://[::1]:9092").unwrap().resolve().await.unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["[::1]:9092".parse().unwrap()]);
    }

    #[test]
    fn other_texts_are_refused() {
        for url in
            ["", "127.0.0.1:9092", "https://messages:9092", "http://messages", "http://m:1/x"]
        {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
