//! The stage for stories about messages, logs and cursors: groups that are made by SQL, so
//! that they cost nothing. What happens in them by MLS is told elsewhere.

mod group;
mod keys;
mod letter;
mod link;
mod rest;
mod wire;

use std::{
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix_web::{App, HttpServer};
use sotto_groups::{GroupsConfig, Interop, Neighbours, POSTGRES_ROLE};
use sotto_ids::{AccountId, DeviceAddress, DeviceId};
use sotto_kit::{
    clock::{Clock as _, TestClock},
    config::Secret,
    lifecycle::Lifecycle,
    read_only::{Maintenance, ReadOnly},
    service::Context,
};
use sotto_store::{
    device_changes::DeviceChanges,
    notices::Notices,
    places::Places,
    redis::{Redis, RedisConfig},
};
use sqlx::{
    Executor as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::watch;
use tonic::service::RoutesBuilder;
use uuid::Uuid;

use self::keys::PlayedKeys;
pub(crate) use self::{
    group::{Group, Row},
    keys::token,
    letter::{Letter, private_message},
    link::{Answer, Link, attaching, delivered, device_ref, gateway},
    rest::Caller,
    wire::Wire,
};

const DOMAIN: &str = "sotto.test";

/// When every story begins: some day in 2025, at noon.
pub(crate) const BEGINNING_MS: u64 = 1_750_075_200_000;

pub(crate) const MINUTE: Duration = Duration::from_mins(1);

/// A device that the played keys service knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) account: AccountId,
    pub(crate) address: DeviceAddress,
}

pub(crate) struct Stage {
    pub(crate) db: PgPool,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) keys: PlayedKeys,
    pub(crate) device_changes: DeviceChanges,
    redis: Redis,
    /// Whether nothing is to be changed now.
    pub(crate) maintenance: watch::Sender<Option<Arc<Maintenance>>>,
    replicas: Vec<(Lifecycle, PgPool)>,
}

/// One replica of the service.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    /// Its internal face, and its public one.
    pub(crate) grpc: String,
    pub(crate) http: String,
    pub(crate) lifecycle: Lifecycle,
}

impl Replica {
    /// Ends it as the process does that runs it. Says whether every task ended.
    pub(crate) async fn end_in_order(&self) -> bool {
        self.lifecycle.drain();
        self.lifecycle.drained(MINUTE).await;
        self.lifecycle.finish(MINUTE).await
    }
}

impl Stage {
    pub(crate) async fn set(db: PgPool) -> Self {
        let redis = connect_redis().await;
        Self {
            db,
            clock: Arc::new(TestClock::new(BEGINNING_MS)),
            keys: PlayedKeys::start(),
            device_changes: DeviceChanges::new(redis.clone()),
            redis,
            maintenance: watch::Sender::new(None),
            replicas: Vec::new(),
        }
    }

    pub(crate) async fn replica(&mut self) -> Replica {
        self.replica_with(|_| {}).await
    }

    pub(crate) async fn replica_with(&mut self, change: impl FnOnce(&mut GroupsConfig)) -> Replica {
        let options = self.db.connect_options().as_ref().clone();
        self.replica_over(options, change).await
    }

    /// A replica that reaches its database by another way than the stage does.
    pub(crate) async fn replica_over(
        &mut self,
        postgres: PgConnectOptions,
        change: impl FnOnce(&mut GroupsConfig),
    ) -> Replica {
        let mut config = config();
        change(&mut config);
        let pool = PgPoolOptions::new()
            .max_connections(6)
            .acquire_timeout(Duration::from_secs(5))
            .after_connect(|connection, _| {
                let statement = sqlx::AssertSqlSafe(format!("SET ROLE {POSTGRES_ROLE}"));
                Box::pin(async move { connection.execute(statement).await.map(drop) })
            })
            .connect_with(postgres)
            .await
            .unwrap();
        let lifecycle = Lifecycle::new();
        let mut context =
            Context::unlimited(lifecycle.clone(), self.clock.clone(), DOMAIN.to_owned());
        context.read_only = ReadOnly::new(self.maintenance.subscribe(), self.clock.clone());
        let neighbours = Neighbours {
            db: pool.clone(),
            redis: self.redis.clone(),
            places: Places::new(self.redis.clone(), MINUTE),
            device_changes: DeviceChanges::new(self.redis.clone()),
            keys: sotto_kit::grpc::channel(&self.keys.url).unwrap(),
            interop: Interop::default(),
        };
        let parts = sotto_groups::build(context, neighbours, config).await.unwrap();

        let mut routes = RoutesBuilder::default();
        parts.grpc.unwrap()(&mut routes);
        let (listener, grpc) = listen();
        let serving = sotto_kit::grpc::serve(listener, routes.routes(), lifecycle.clone());
        lifecycle.spawn("test.grpc", async move { serving.await.unwrap() });
        let http = serve_http(parts.http.unwrap(), &lifecycle);
        self.replicas.push((lifecycle.clone(), pool));
        Replica { grpc, http, lifecycle }
    }

    /// An account with that many devices.
    pub(crate) fn account(&self, devices: u32) -> Vec<Device> {
        let (left, right) = (Uuid::new_v4(), Uuid::new_v4());
        let mut id = [0; 32];
        id[..16].copy_from_slice(left.as_bytes());
        id[16..].copy_from_slice(right.as_bytes());
        let account = AccountId::new(id);
        let device = |number| Device {
            account,
            address: DeviceAddress::new(account.uuid(), DeviceId::try_from(number).unwrap()),
        };
        let devices: Vec<Device> = (1..=devices).map(device).collect();
        self.keys.set(&devices);
        devices
    }

    /// As many accounts with one device each.
    pub(crate) fn crowd(&self, accounts: usize) -> Vec<Device> {
        (0..accounts).map(|_| self.account(1)[0]).collect()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Where devices are connected.
    pub(crate) fn places(&self) -> Places {
        Places::new(self.redis.clone(), MINUTE)
    }

    /// What gateways are told.
    pub(crate) fn notices(&self) -> Notices {
        Notices::new(self.redis.clone(), self.places())
    }

    /// How many times keys was asked for devices.
    pub(crate) fn asked(&self) -> usize {
        self.keys.asked.load(Ordering::SeqCst)
    }

    /// Ends the replicas, in order: whoever forgets to end would hang here.
    pub(crate) async fn end(self) {
        for (lifecycle, pool) in self.replicas {
            assert!(lifecycle.finish(Duration::from_secs(20)).await, "every task ended");
            pool.close().await;
        }
    }
}

/// Waits until the condition holds, and panics when it does not within a minute.
pub(crate) async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::timeout(MINUTE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(patience.await.is_ok(), "waited in vain: {what}");
}

fn serve_http(face: sotto_kit::service::HttpFace, lifecycle: &Lifecycle) -> String {
    let (listener, url) = listen();
    let server = HttpServer::new(move || {
        let face = Arc::clone(&face);
        App::new().configure(move |app| {
            sotto_kit::http::configure(app, 1 << 20);
            face(app);
        })
    })
    .workers(1)
    // So that a connection is never closed under the request that a slow test sends on it.
    .keep_alive(10 * MINUTE)
    .client_request_timeout(MINUTE)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)
    .unwrap()
    .run();
    let (handle, stopped) = (server.handle(), lifecycle.stopped());
    lifecycle.spawn("test.http", async move { drop(server.await) });
    lifecycle.spawn("test.http.stop", async move {
        stopped.cancelled().await;
        handle.stop(false).await;
    });
    url
}

#[expect(clippy::disallowed_methods, reason = "the test runner tells where Redis is")]
async fn connect_redis() -> Redis {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let config =
        RedisConfig { url: Secret::from_value(url), response_timeout: Duration::from_secs(10) };
    sotto_store::redis::connect(&config).await.unwrap()
}

fn listen() -> (TcpListener, String) {
    let listener = sotto_kit::listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn config() -> GroupsConfig {
    #[derive(serde::Deserialize)]
    struct File {
        groups: GroupsConfig,
    }
    let mut config = toml::from_str::<File>(sotto_groups::DEFAULTS).unwrap().groups;
    // 32 zero bytes.
    config.external_sender = Secret::from_value("A".repeat(43) + "=");
    config.acks.every = Duration::from_millis(20);
    config
}
