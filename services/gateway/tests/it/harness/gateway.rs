//! A gateway on a port of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, dev::ServerHandle};
use rand::{SeedableRng as _, rngs::StdRng};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sotto_gateway::{DEFAULT_CONFIG, GatewayConfig, Neighbours};
use sotto_kit::{clock::TestClock, config::Secret, lifecycle::Lifecycle, service::Context};
use sotto_store::{
    limits::{AppLimits, Limits, LimitsConfig},
    notices::Notices,
    places::{Place, Places},
    redis::{Redis, RedisConfig},
};

use super::{
    Device, Form, GroupsReplica, Replica, Signer,
    keys::{DOMAIN, START_MS, TestKeys},
    wait_for,
};

/// See the module.
pub(crate) struct TestGateway {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) keys: TestKeys,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) places: Places,
    pub(crate) notices: Notices,
    redis: Redis,
    address: SocketAddr,
    server: ServerHandle,
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.lifecycle.stop();
        drop(self.server.stop(false));
    }
}

#[derive(Debug, Deserialize)]
struct File {
    gateway: GatewayConfig,
}

/// The defaults, with waits that tests can afford.
pub(crate) fn config() -> GatewayConfig {
    let mut config = toml::from_str::<File>(DEFAULT_CONFIG).unwrap().gateway;
    config.links.resolve_every = Duration::from_millis(100);
    config.links.backoff_max = Duration::from_millis(100);
    config.resync.delay = Duration::from_millis(100);
    config.resync.pause = Duration::from_millis(1);
    config.drain.window = Duration::from_millis(100);
    config.drain.reconnect_within = Duration::from_millis(500);
    config.groups.gap_patience = Duration::from_millis(50);
    config.groups.list_retry = Duration::from_millis(100);
    config.groups.unwatch_after = Duration::from_millis(300);
    config
}

/// Where the test's Redis is.
pub(super) fn redis_url() -> String {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
    std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}

async fn redis(url: String) -> Redis {
    let config =
        RedisConfig { url: Secret::from_value(url), response_timeout: Duration::from_secs(1) };
    sotto_store::redis::connect(&config).await.unwrap()
}

impl TestGateway {
    /// A gateway of these replicas.
    pub(crate) async fn start(replicas: &[&Replica]) -> Self {
        Self::start_with(replicas, config()).await
    }

    pub(crate) async fn start_with(replicas: &[&Replica], config: GatewayConfig) -> Self {
        Self::start_behind(redis_url(), replicas, config).await
    }

    /// A gateway that finds Redis under this URL.
    pub(crate) async fn start_behind(
        redis_url: String,
        replicas: &[&Replica],
        config: GatewayConfig,
    ) -> Self {
        Self::start_as(redis_url, replicas, config, None, &[]).await
    }

    /// A gateway of groups.
    pub(crate) async fn start_of_groups(
        replicas: &[&Replica],
        groups: &[&GroupsReplica],
        config: GatewayConfig,
        limits: Option<LimitsConfig>,
    ) -> Self {
        Self::start_of_groups_behind(redis_url(), replicas, groups, config, limits).await
    }

    pub(crate) async fn start_of_groups_behind(
        redis_url: String,
        replicas: &[&Replica],
        groups: &[&GroupsReplica],
        config: GatewayConfig,
        limits: Option<LimitsConfig>,
    ) -> Self {
        let limits = limits.map(|limits| (limits, AppLimits::new()));
        let gateway = Self::start_as(redis_url, replicas, config, limits, groups).await;
        let attached = || groups.iter().all(|replica| replica.attached() > 0);
        wait_for("the links to the groups replicas", async || attached()).await;
        gateway
    }

    /// A gateway that limits its callers.
    pub(crate) async fn start_limited(
        replicas: &[&Replica],
        limits: LimitsConfig,
        apps: AppLimits,
    ) -> Self {
        Self::start_limited_behind(redis_url(), replicas, limits, apps).await
    }

    pub(crate) async fn start_limited_behind(
        redis_url: String,
        replicas: &[&Replica],
        limits: LimitsConfig,
        apps: AppLimits,
    ) -> Self {
        Self::start_as(redis_url, replicas, config(), Some((limits, apps)), &[]).await
    }

    async fn start_as(
        redis_url: String,
        replicas: &[&Replica],
        config: GatewayConfig,
        limits: Option<(LimitsConfig, AppLimits)>,
        groups: &[&GroupsReplica],
    ) -> Self {
        let redis = redis(redis_url).await;
        let places = Places::new(redis.clone(), Duration::from_secs(60));
        let notices = Notices::new(redis.clone(), places.clone());
        let clock = Arc::new(TestClock::new(START_MS));
        let lifecycle = Lifecycle::new();
        let keys = TestKeys::default();
        let mut context = Context::unlimited(lifecycle.clone(), clock.clone(), DOMAIN.to_owned());
        if let Some((limits, apps)) = limits {
            let (rng, clock) = (StdRng::from_os_rng(), clock.clone());
            context.limits = Limits::new(limits, apps, redis.clone(), clock, rng).shared();
        }
        let neighbours = Neighbours {
            places: places.clone(),
            notices: notices.clone(),
            redis: redis.clone(),
            keys: keys.serve().await,
            messages: replicas.iter().map(|replica| replica.url()).collect(),
            groups: groups.iter().map(|replica| replica.url()).collect(),
        };
        let parts = sotto_gateway::build(context, neighbours, config).await.unwrap();

        let http = parts.http.unwrap();
        let listener = sotto_kit::listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = HttpServer::new(move || {
            let http = http.clone();
            App::new().configure(move |app| {
                sotto_kit::http::configure(app, 1 << 20);
                http(app);
            })
        })
        .workers(2)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "stopped when the gateway is dropped")]
        tokio::spawn(server);

        let gateway =
            Self { clock, keys, lifecycle, places, notices, redis, address, server: handle };
        gateway.linked(replicas).await;
        gateway
    }

    /// Waits until the gateway uses every replica: probes come until each has been
    /// asked for a page by one of them.
    async fn linked(&self, replicas: &[&Replica]) {
        if replicas.is_empty() {
            return;
        }
        let before: Vec<_> = replicas.iter().map(|replica| replica.pulls()).collect();
        wait_for("the links to the replicas", async || {
            let token = Signer::new().token(600);
            let probe = Device::open(self.address).token(&token).try_connect().await;
            // One that is turned away comes again.
            if let Ok(mut probe) = probe {
                probe.hello().await;
            }
            replicas.iter().zip(&before).all(|(replica, before)| replica.pulls() > *before)
        })
        .await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A device of this user, connected, authenticated, and with an empty queue.
    pub(crate) async fn connect(&self, user: Signer) -> Device {
        self.connect_in(Form::Proto, user).await
    }

    /// The same, of a device that speaks this.
    pub(crate) async fn connect_in(&self, form: Form, user: Signer) -> Device {
        let mut device = self.connect_early_in(form, user).await;
        device.queue_empty().await;
        device
    }

    /// A device of this user, connected and authenticated.
    pub(crate) async fn connect_early(&self, user: Signer) -> Device {
        self.connect_early_in(Form::Proto, user).await
    }

    /// The same, of a device that speaks this.
    pub(crate) async fn connect_early_in(&self, form: Form, user: Signer) -> Device {
        let opening = Device::open(self.address).form(form).token(&user.token(600));
        let mut device = opening.connect().await;
        device.hello().await;
        device
    }

    /// How many tickets Redis has that are this one.
    pub(crate) async fn tickets_of(&self, ticket: &[u8]) -> usize {
        let key = format!("gateway:{{{:x}}}:resume", Sha256::digest(ticket));
        redis::cmd("EXISTS").arg(key).query_async(&mut self.redis.commands()).await.unwrap()
    }

    /// Where Redis says that the user's device is.
    pub(crate) async fn place(&self, user: Signer) -> Option<Place> {
        self.places.lookup_many(&[user.device()]).await.unwrap().pop().flatten()
    }
}
