//! The service under test, and verbs to speak to it with.

mod answer;
pub(crate) mod app;
pub(crate) mod key_packages;
pub(crate) mod key_server;
pub(crate) mod person;
pub(crate) mod prekeys;
mod serve;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sotto_identity::SignedOp;
use sotto_keys::{AppsConfig, KeysConfig, Stores};
use sotto_kit::{
    clock::{Clock as _, SharedClock, SystemClock, TestClock},
    config::Validate as _,
    grpc,
    lifecycle::Lifecycle,
    limits::{SharedLimiter, Unlimited},
    read_only::{Maintenance, ReadOnly},
    service::Context,
};
use sotto_proto::keys::keys_service_client::KeysServiceClient;
use sotto_store::{places::Places, redis::Redis};
use sqlx::PgPool;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::watch};
use tonic::transport::Channel;

pub(crate) use answer::Answer;
use app::App;
use person::{Device, Person};
use serve::{as_the_service_role, connect_redis, serve};

/// The deployment of these tests.
pub(crate) const DOMAIN: &str = "sotto.test";

/// How long something is waited for that should be there at once. Only a test that fails
/// takes as long, and a machine that does much else needs some of it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Where the clock of a test begins.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// The default configuration, as operators find it.
#[derive(Deserialize)]
pub(crate) struct Defaults {
    pub(crate) apps: AppsConfig,
    pub(crate) keys: KeysConfig,
}

impl Defaults {
    pub(crate) fn read() -> Self {
        let defaults: Self = toml::from_str(include_str!("../../../config.default.toml")).unwrap();
        let mut problems = Vec::new();
        defaults.apps.validate(&mut problems);
        defaults.keys.validate(&mut problems);
        assert_eq!(problems, [""; 0], "the defaults are valid");
        defaults
    }
}

/// Random bytes.
#[expect(clippy::disallowed_methods, reason = "these keys only have to be new")]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    bytes
}

/// A running keys service.
pub(crate) struct TestKeys {
    /// With every right, for a look behind the scenes.
    pub(crate) db: PgPool,
    pub(crate) redis: Redis,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) grpc: KeysServiceClient<Channel>,
    /// Two apps whose users may meet, and one that would like theirs to.
    pub(crate) socialink: App,
    pub(crate) vignette: App,
    pub(crate) island: App,
    pub(crate) lifecycle: Lifecycle,
    /// The read-only switch.
    pub(crate) maintenance: watch::Sender<Option<Arc<Maintenance>>>,
    url: String,
    client: reqwest::Client,
}

impl TestKeys {
    pub(crate) async fn start(db: PgPool) -> Self {
        Self::start_with(db, |_| {}).await
    }

    /// A service with other settings than the default ones.
    pub(crate) async fn start_with(db: PgPool, change: impl FnOnce(&mut KeysConfig)) -> Self {
        let mut config = Defaults::read().keys;
        change(&mut config);
        Self::start_configured(db, config, |_| {}).await
    }

    /// A service with other apps in its configuration than the three.
    pub(crate) async fn start_with_apps(db: PgPool, change: impl FnOnce(&mut AppsConfig)) -> Self {
        Self::start_configured(db, Defaults::read().keys, change).await
    }

    pub(crate) async fn start_configured(
        db: PgPool,
        config: KeysConfig,
        change: impl FnOnce(&mut AppsConfig),
    ) -> Self {
        let apps = [App::ed25519("socialink"), App::es256("vignette"), App::ed25519("island")];
        let clock = Arc::new(TestClock::new(NOW_MS));
        Self::start_replica(db, config, (apps, change), clock, (40, Arc::new(Unlimited))).await
    }

    /// A service whose clock shows what the machine's does: OpenMLS asks that one whether a
    /// KeyPackage is within its lifetime.
    pub(crate) async fn start_today(
        db: PgPool,
        change: impl FnOnce(&mut KeysConfig),
        limits: impl FnOnce(Redis, SharedClock) -> SharedLimiter,
    ) -> Self {
        let now_ms = SystemClock.now_ms();
        let apps = [App::ed25519("socialink"), App::es256("vignette"), App::ed25519("island")];
        let apps = apps.map(|app| app.at(now_ms));
        let clock = Arc::new(TestClock::new(now_ms));
        let limits = limits(connect_redis().await, clock.clone());
        let mut config = Defaults::read().keys;
        change(&mut config);
        let apps = (apps, |_: &mut AppsConfig| {});
        Self::start_replica(db, config, apps, clock, (40, limits)).await
    }

    /// A service that limits what its callers ask for.
    pub(crate) async fn start_limited(
        db: PgPool,
        limits: impl FnOnce(Redis, SharedClock) -> SharedLimiter,
    ) -> Self {
        let apps = [App::ed25519("socialink"), App::es256("vignette"), App::ed25519("island")];
        let clock = Arc::new(TestClock::new(NOW_MS));
        let limits = limits(connect_redis().await, clock.clone());
        let apps = (apps, |_: &mut AppsConfig| {});
        Self::start_replica(db, Defaults::read().keys, apps, clock, (40, limits)).await
    }

    /// Another replica of the same deployment.
    pub(crate) async fn second_replica(&self) -> Self {
        let apps = [self.socialink.clone(), self.vignette.clone(), self.island.clone()];
        let config = Defaults::read().keys;
        let apps = (apps, |_: &mut AppsConfig| {});
        let clock = Arc::clone(&self.clock);
        let few = (5, Arc::new(Unlimited) as SharedLimiter);
        Self::start_replica(self.db.clone(), config, apps, clock, few).await
    }

    async fn start_replica(
        db: PgPool,
        config: KeysConfig,
        (apps, change): ([App; 3], impl FnOnce(&mut AppsConfig)),
        clock: Arc<TestClock>,
        (connections, limits): (u32, SharedLimiter),
    ) -> Self {
        let redis = connect_redis().await;
        let [socialink, vignette, island] = apps;
        let mut registered = AppsConfig(
            [
                socialink.registered(&["vignette"]),
                vignette.registered(&["socialink"]),
                island.registered(&["socialink"]),
            ]
            .into(),
        );
        change(&mut registered);
        let lifecycle = Lifecycle::new();
        let context = Context::unlimited(lifecycle.clone(), clock.clone(), DOMAIN.to_owned());
        let (maintenance, state) = watch::channel(None);
        let read_only = ReadOnly::new(state, clock.clone());
        let context = Context { limits, read_only, ..context };
        let stores = Stores {
            db: as_the_service_role(&db, connections, &lifecycle).await,
            redis: redis.clone(),
            places: Places::new(redis.clone(), Duration::from_mins(1)),
        };
        let parts = sotto_keys::build(context, config, &registered, stores).await.unwrap();
        let (http_address, grpc_address) = serve(parts, &lifecycle);
        let channel = grpc::channel(&format!("http://{grpc_address}")).unwrap();
        Self {
            db,
            redis,
            clock,
            grpc: KeysServiceClient::new(channel),
            socialink,
            vignette,
            island,
            lifecycle,
            maintenance,
            url: format!("http://{http_address}"),
            client: reqwest::Client::new(),
        }
    }

    /// Builds a service with these apps, and nothing more.
    pub(crate) async fn try_build(
        db: PgPool,
        apps: &AppsConfig,
    ) -> Result<(), sotto_keys::BuildError> {
        let redis = connect_redis().await;
        let lifecycle = Lifecycle::new();
        let clock = Arc::new(TestClock::new(NOW_MS));
        let context = Context::unlimited(lifecycle.clone(), clock, DOMAIN.to_owned());
        let stores = Stores {
            db: as_the_service_role(&db, 1, &lifecycle).await,
            redis: redis.clone(),
            places: Places::new(redis, Duration::from_mins(1)),
        };
        sotto_keys::build(context, Defaults::read().keys, apps, stores).await.map(drop)
    }

    /// Sends a request and reads the answer, which is JSON or a chain.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let bytes = response.bytes().await.unwrap().to_vec();
        Answer { status, bytes }
    }

    /// A request of any form, and the whole answer.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        shape: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> reqwest::Response {
        let request = self.client.request(method, format!("{}{path}", self.url));
        shape(request).send().await.unwrap()
    }

    /// The same, from an address of this machine.
    pub(crate) async fn raw_from(
        &self,
        address: Ipv4Addr,
        method: Method,
        path: &str,
        shape: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> reqwest::Response {
        let there = reqwest::Client::builder().local_address(IpAddr::from(address));
        let request = there.build().unwrap().request(method, format!("{}{path}", self.url));
        shape(request).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, None).await
    }

    /// Registers the chain that a person has so far, by the word of an app.
    pub(crate) async fn register(&self, person: &Person, app_token: &str) -> Answer {
        let (genesis, ops) = person.ops.split_first().unwrap();
        let ops: Vec<Value> = ops.iter().map(op_json).collect();
        let body = json!({ "genesis": op_json(genesis), "ops": ops, "app_token": app_token });
        self.call(Method::POST, "/v1/accounts", None, Some(body)).await
    }

    /// A registered user of the app, whose first device has logged in.
    pub(crate) async fn person_of(&self, app: &App) -> Person {
        let mut person = Person::new();
        let user = hex(&random::<8>());
        self.register(&person, &app.token(&user)).await.created();
        person.token = self.log_in(&person, &app.token(&user), 1).await;
        person.user = user;
        person
    }

    /// A registered user of Socialink, whose first device has logged in.
    pub(crate) async fn person(&self) -> Person {
        self.person_of(&self.socialink).await
    }

    /// The same, with the stock of prekeys that a session needs, and `one_time` of
    /// each kind.
    pub(crate) async fn person_with_prekeys(&self, one_time: u32) -> Person {
        let person = self.person().await;
        self.publish(&person, &person.token, 1, one_time).await;
        person
    }

    pub(crate) async fn challenge(&self) -> Vec<u8> {
        let body = self.call(Method::POST, "/v1/auth/challenge", None, None).await.ok();
        person::unbase64(&body["challenge"])
    }

    /// Answers a fresh challenge for one of the person's devices.
    pub(crate) async fn try_log_in(&self, person: &Person, app_token: &str, device: u8) -> Answer {
        let challenge = self.challenge().await;
        let proof = person.proof(DOMAIN, &challenge, app_token, device);
        self.prove(person, app_token, device, &challenge, &proof).await
    }

    pub(crate) async fn prove(
        &self,
        person: &Person,
        app_token: &str,
        device: u8,
        challenge: &[u8],
        proof: &[u8],
    ) -> Answer {
        let body = json!({
            "account_id": person.id(),
            "device_id": device,
            "challenge": person::base64(challenge),
            "app_token": app_token,
            "proof": person::base64(proof),
        });
        self.call(Method::POST, "/v1/auth/token", None, Some(body)).await
    }

    pub(crate) async fn log_in(&self, person: &Person, app_token: &str, device: u8) -> String {
        let body = self.try_log_in(person, app_token, device).await.ok();
        body["token"].as_str().unwrap().to_owned()
    }

    /// Sends ops of a person's own chain, by its first device.
    pub(crate) async fn append(&self, person: &Person, ops: &[SignedOp]) -> Answer {
        let ops: Vec<Value> = ops.iter().map(op_json).collect();
        let path = format!("/v1/accounts/{}/ops", person.id());
        let body = Some(json!({ "ops": ops }));
        self.call(Method::POST, &path, Some(&person.token), body).await
    }

    /// Sends ops of a person's own chain, and resets the connection once `until` holds: the
    /// answer is never heard.
    pub(crate) async fn append_and_hang_up<F: Future<Output = bool>>(
        &self,
        person: &Person,
        ops: &[SignedOp],
        until: impl Fn() -> F,
    ) {
        let ops: Vec<Value> = ops.iter().map(op_json).collect();
        let body = json!({ "ops": ops }).to_string();
        let host = self.url.trim_start_matches("http://");
        let request = format!(
            "POST /v1/accounts/{}/ops HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            person.id(),
            person.token,
            body.len()
        );
        let mut connection = TcpStream::connect(host).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        wait_until(until).await;
        connection.set_zero_linger().unwrap();
    }

    /// Sends ops of a person's own chain without a token.
    pub(crate) async fn append_without_token(&self, person: &Person, ops: &[SignedOp]) -> Answer {
        let ops: Vec<Value> = ops.iter().map(op_json).collect();
        let path = format!("/v1/accounts/{}/ops", person.id());
        self.call(Method::POST, &path, None, Some(json!({ "ops": ops }))).await
    }

    /// Adds a device to the person's account and logs it in.
    pub(crate) async fn link(&self, person: &mut Person, id: u8) -> String {
        let added = person.add_device(id, false);
        self.append(person, &[added]).await.ok();
        self.log_in(person, &self.socialink.token(&person.user), id).await
    }

    pub(crate) async fn put(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(token), Some(body)).await
    }

    /// Publishes all that makes a device ready, and `one_time` keys of each kind with
    /// the ids from 1 on. The last-resort key has the id 1000.
    pub(crate) async fn publish(
        &self,
        person: &Person,
        token: &str,
        device: u8,
        one_time: u32,
    ) -> Value {
        let device: &Device = &person.devices[&device];
        self.put("/v1/keys/signed", token, device.signed_ec(1)).await.ok();
        let keys: Vec<Value> = (1..=one_time).map(prekeys::bare).collect();
        self.put("/v1/keys/one-time", token, json!({ "keys": keys })).await.ok();
        let one_time: Vec<Value> = (1..=one_time).map(|id| device.kyber(id)).collect();
        let body = json!({ "last_resort": device.kyber(1000), "one_time": one_time });
        self.put("/v1/keys/kyber", token, body).await.ok()
    }

    /// How many shelves a device has: one, or none.
    pub(crate) async fn shelves_of(&self, person: &Person, device: u8) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM keys.shelves WHERE account = $1 AND device = $2")
            .bind(person.uuid().as_uuid())
            .bind(i16::from(device))
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    pub(crate) async fn count(&self, token: &str) -> Value {
        self.call(Method::GET, "/v1/keys/count", Some(token), None).await.ok()
    }

    /// Asks for the bundles of an account.
    pub(crate) async fn fetch(&self, caller: &Person, whose: &Person, wanted: Value) -> Answer {
        let path = format!("/v1/accounts/{}/bundles", whose.uuid());
        self.call(Method::POST, &path, Some(&caller.token), Some(wanted)).await
    }

    /// Takes the bundle of a person's only device.
    pub(crate) async fn fetch_one(&self, caller: &Person, whose: &Person) -> Value {
        let mut body = self.fetch(caller, whose, json!({})).await.ok();
        let devices = body["devices"].as_array_mut().unwrap();
        assert_eq!(devices.len(), 1, "one device");
        devices.pop().unwrap()
    }
}

pub(crate) fn op_json(op: &SignedOp) -> Value {
    let sigs: Vec<Value> = op
        .sigs
        .iter()
        .map(|sig| json!({ "key": person::base64(&sig.key), "sig": person::base64(&sig.sig) }))
        .collect();
    json!({ "payload": person::base64(&op.payload), "sigs": sigs })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Waits until a condition holds, for ten seconds at most.
pub(crate) async fn wait_until<F>(condition: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    let holds = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.expect("the condition never held");
}
