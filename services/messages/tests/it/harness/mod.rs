//! The stage on which the stories play, with verbs of the domain.

mod congestion;
mod keys;
mod letter;
mod link;
mod wire;

use std::{
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sotto_ids::{AccountId, AccountUuid, ConnectionId, DeviceAddress, DeviceId};
use sotto_kit::{
    clock::{Clock as _, TestClock},
    config::Secret,
    lifecycle::Lifecycle,
    read_only::{Maintenance, ReadOnly},
    service::Context,
};
use sotto_messages::{Interop, MessagesConfig, Neighbours, POSTGRES_ROLE};
use sotto_store::{
    device_changes::DeviceChanges,
    places::{Place, Places},
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
    congestion::Congestion,
    letter::{Letter, device_ref},
    link::{Answer, Link, attaching, id_of},
    wire::Wire,
};

/// When every story begins: some day in 2025, at noon.
const BEGINNING_MS: u64 = 1_750_075_200_000;

pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// A device that the played keys service knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device {
    pub(crate) address: DeviceAddress,
    pub(crate) registration_id: u32,
}

pub(crate) struct Stage {
    pub(crate) db: PgPool,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) keys: PlayedKeys,
    pub(crate) places: Places,
    pub(crate) device_changes: DeviceChanges,
    redis: Redis,
    /// Whether nothing is to be changed now.
    pub(crate) maintenance: watch::Sender<Option<Arc<Maintenance>>>,
    replicas: Vec<(Lifecycle, PgPool)>,
}

/// One replica of the service.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) url: String,
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
        let redis = connect_redis(&redis_url()).await;
        Self {
            db,
            clock: Arc::new(TestClock::new(BEGINNING_MS)),
            keys: PlayedKeys::start(),
            places: Places::new(redis.clone(), MINUTE),
            device_changes: DeviceChanges::new(redis.clone()),
            redis,
            maintenance: watch::Sender::new(None),
            replicas: Vec::new(),
        }
    }

    pub(crate) async fn replica(&mut self) -> Replica {
        self.replica_with(|_| {}).await
    }

    pub(crate) async fn replica_with(
        &mut self,
        change: impl FnOnce(&mut MessagesConfig),
    ) -> Replica {
        let options = self.db.connect_options().as_ref().clone();
        self.replica_over(options, self.redis.clone(), change).await
    }

    /// A replica that reaches its stores by other ways than the stage does.
    pub(crate) async fn replica_over(
        &mut self,
        postgres: PgConnectOptions,
        redis: Redis,
        change: impl FnOnce(&mut MessagesConfig),
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
            Context::unlimited(lifecycle.clone(), self.clock.clone(), "sotto.test".to_owned());
        context.read_only = ReadOnly::new(self.maintenance.subscribe(), self.clock.clone());
        let neighbours = Neighbours {
            db: pool.clone(),
            places: Places::new(redis.clone(), MINUTE),
            device_changes: DeviceChanges::new(redis),
            keys: sotto_kit::grpc::channel(&self.keys.url).unwrap(),
            interop: interop(),
        };
        let parts = sotto_messages::build(context, neighbours, config).await.unwrap();

        let mut routes = RoutesBuilder::default();
        parts.grpc.unwrap()(&mut routes);
        let (listener, url) = listen();
        let serving = sotto_kit::grpc::serve(listener, routes.routes(), lifecycle.clone());
        lifecycle.spawn("test.grpc", async move { serving.await.unwrap() });
        self.replicas.push((lifecycle.clone(), pool));
        Replica { url, lifecycle }
    }

    /// A replica whose way to Redis can be cut. Its streams last at least
    /// `renew_every`.
    pub(crate) async fn replica_over_redis(
        &mut self,
        wire: &Wire,
        renew_every: Duration,
    ) -> Replica {
        let url = redis_url().replace(&redis_server(), &wire.address.to_string());
        let redis = connect_redis(&url).await;
        let postgres = self.db.connect_options().as_ref().clone();
        self.replica_over(postgres, redis, |config| config.downlink.renew_every = renew_every).await
    }

    /// An account of the app `socialink` with that many devices.
    pub(crate) fn account(&self, devices: u32) -> Vec<Device> {
        self.account_of("socialink", devices)
    }

    pub(crate) fn account_of(&self, app: &str, devices: u32) -> Vec<Device> {
        let account = someone();
        let device = |number| Device {
            address: DeviceAddress::new(account, DeviceId::try_from(number).unwrap()),
            registration_id: 1000 + number,
        };
        let devices: Vec<Device> = (1..=devices).map(device).collect();
        self.keys.set(app, &devices);
        devices
    }

    /// Writes the place of a device, as its gateway would.
    pub(crate) async fn online(&self, device: Device, gateway: &str, connection: u64) {
        let place = Place { gateway: gateway.to_owned(), connection: ConnectionId(connection) };
        self.places.claim(device.address, &place).await.unwrap();
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The ids that wait for a device, in their order.
    pub(crate) async fn queue(&self, device: Device) -> Vec<Uuid> {
        sqlx::query_scalar!(
            "SELECT id FROM messages.queue WHERE account = $1 AND device = $2 ORDER BY id",
            device.address.account.as_uuid(),
            device.address.device.as_i16(),
        )
        .fetch_all(&self.db)
        .await
        .unwrap()
    }

    /// Everything that lies in the schema, as text.
    pub(crate) async fn dump(&self) -> String {
        let queue = sqlx::query_scalar!(
            r#"SELECT coalesce(string_agg(queue::text, E'\n' ORDER BY account, device, id), '')
               AS "rows!" FROM messages.queue"#
        );
        let overflows = sqlx::query_scalar!(
            r#"SELECT coalesce(string_agg(overflows::text, E'\n' ORDER BY account, device), '')
               AS "rows!" FROM messages.overflows"#
        );
        let queue = queue.fetch_one(&self.db).await.unwrap();
        queue + "\n--\n" + &overflows.fetch_one(&self.db).await.unwrap()
    }

    /// How many times keys was asked for device sets.
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

/// An account that nobody else has.
pub(crate) fn someone() -> AccountUuid {
    let (left, right) = (Uuid::new_v4(), Uuid::new_v4());
    let mut id = [0; 32];
    id[..16].copy_from_slice(left.as_bytes());
    id[16..].copy_from_slice(right.as_bytes());
    AccountId::new(id).uuid()
}

/// A gateway's name that nobody else has.
pub(crate) fn gateway() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Waits until the condition holds, and panics when it does not within ten seconds.
pub(crate) async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::timeout(Duration::from_secs(10), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(patience.await.is_ok(), "waited in vain: {what}");
}

pub(crate) async fn connect_redis(url: &str) -> Redis {
    let config = RedisConfig {
        url: Secret::from_value(url.to_owned()),
        response_timeout: Duration::from_secs(1),
    };
    sotto_store::redis::connect(&config).await.unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test runner tells where Redis is")]
pub(crate) fn redis_url() -> String {
    std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}

/// Host and port in it.
pub(crate) fn redis_server() -> String {
    let url = redis_url();
    let authority = url.trim_start_matches("redis://").split('/').next().unwrap();
    authority.rsplit('@').next().unwrap().to_owned()
}

fn listen() -> (TcpListener, String) {
    let listener = sotto_kit::listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn config() -> MessagesConfig {
    #[derive(serde::Deserialize)]
    struct File {
        messages: MessagesConfig,
    }
    toml::from_str::<File>(sotto_messages::DEFAULTS).unwrap().messages
}

fn interop() -> Interop {
    [("socialink", "vignette"), ("vignette", "socialink")]
        .map(|(app, listed)| (app.to_owned(), [listed.to_owned()]))
        .into_iter()
        .collect()
}
