//! Apps that publish their keys under a URL.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use sotto_keys::{AppConfig, Jwk};
use sotto_kit::{config::ByteSize, lifecycle::Lifecycle};
use sqlx::PgPool;

use crate::harness::{
    Answer, Defaults, PATIENCE, TestKeys,
    app::{App, changed},
    hex,
    key_server::KeyServer,
    person::Person,
    random, wait_until,
};

/// A service with one app more, which publishes its keys.
struct Scene {
    keys: TestKeys,
    app: App,
    server: KeyServer,
    life: Lifecycle,
}

impl Scene {
    async fn start(db: PgPool) -> Self {
        Self::start_patient(db, PATIENCE).await
    }

    /// The server of the app is given so long to answer.
    async fn start_patient(db: PgPool, timeout: Duration) -> Self {
        let (app, life) = (App::ed25519("publisher"), Lifecycle::new());
        let server = KeyServer::start(&[app.jwk()], &life);
        let mut config = Defaults::read().keys;
        config.jwks.timeout = timeout;
        config.jwks.max_body = ByteSize(4096);
        let keys = TestKeys::start_configured(db, config, |apps| {
            let jwks_url = Some(server.url.clone());
            apps.0.insert(app.id.to_owned(), AppConfig { jwks_url, ..AppConfig::default() });
        })
        .await;
        Self { keys, app, server, life }
    }

    async fn register_by(&self, token: &str) -> Answer {
        self.keys.register(&Person::new(), token).await
    }

    async fn register(&self) -> Answer {
        self.register_by(&self.app.token(&hex(&random::<8>()))).await
    }

    /// A token by a key that was published later, under its own kid.
    fn next_key(&self) -> (Jwk, String) {
        let next = App::ed25519(self.app.id);
        let jwk = Jwk { kid: "key-2".to_owned(), ..next.jwk() };
        let header = changed(next.header(), "kid", json!("key-2"));
        (jwk, next.sign(&header, &next.claims("somebody")))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.life.stop();
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_key_set_is_fetched_once_for_a_crowd(db: PgPool) {
    let scene = Scene::start(db).await;

    let answers = join_all((0..30).map(|_| scene.register())).await;

    assert!(answers.iter().all(|answer| answer.status == StatusCode::CREATED));
    assert_eq!(scene.server.asked(), 1);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_new_key_is_found_and_an_old_one_forgotten(db: PgPool) {
    let scene = Scene::start(db).await;
    scene.register().await.created();
    let (jwk, token) = scene.next_key();
    scene.server.publish(&[jwk]);

    scene.register_by(&token).await.refused(401, "app_token_unknown_key");
    scene.keys.clock.advance(Duration::from_secs(30));
    scene.register_by(&token).await.created();

    scene.register().await.refused(401, "app_token_unknown_key");
}

/// Caught: a set that is used for as long as nobody asks for another key.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_key_that_its_app_took_back_is_refused_once_the_set_is_old(db: PgPool) {
    let scene = Scene::start(db).await;
    scene.register().await.created();
    scene.server.publish(&[scene.next_key().0]);

    scene.keys.clock.advance(Duration::from_mins(9));
    scene.register().await.created();

    scene.keys.clock.advance(Duration::from_mins(1));
    scene.register().await.refused(401, "app_token_unknown_key");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_last_good_set_is_used_while_its_server_fails(db: PgPool) {
    let scene = Scene::start(db).await;
    scene.register().await.created();
    let elsewhere = KeyServer::start(&[scene.app.jwk()], &scene.life);

    let other = json!({ "keys": [scene.next_key().0] }).to_string();
    let failures: [&dyn Fn(); 6] = [
        &|| scene.server.say(500, "{}"),
        &|| scene.server.say(200, "<html>"),
        &|| scene.server.say(200, "{\"keys\": []}"),
        // Sets of another key: had they been taken, the first one would count no more.
        &|| scene.server.say(200, &format!("{other}{}", " ".repeat(5000))),
        &|| scene.server.say(203, &other),
        &|| scene.server.redirect_to(&elsewhere.url),
    ];
    for (number, fail) in failures.into_iter().enumerate() {
        fail();
        scene.keys.clock.advance(Duration::from_mins(10));
        scene.register().await.created();
        assert_eq!(scene.server.asked(), 2 + number, "it was asked, and once");
    }
    assert_eq!(elsewhere.asked(), 0, "no redirect is followed");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_last_good_set_is_used_while_its_server_hangs(db: PgPool) {
    let scene = Scene::start_patient(db, Duration::from_millis(300)).await;
    // On a busy machine the server may be late at first.
    wait_until(async || {
        scene.keys.clock.advance(Duration::from_secs(30));
        scene.register().await.status == StatusCode::CREATED
    })
    .await;
    let asked = scene.server.asked();

    scene.server.hang();
    scene.keys.clock.advance(Duration::from_mins(10));

    scene.register().await.created();
    wait_until(async || scene.server.asked() == asked + 1).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn before_the_first_set_the_answer_is_to_come_again(db: PgPool) {
    let scene = Scene::start(db).await;
    scene.server.say(500, "");

    for _ in 0..20 {
        scene.register().await.refused(503, "app_keys_unavailable");
    }
    assert_eq!(scene.server.asked(), 1);
    let other_apps = &scene.keys.socialink.token("alice");
    scene.register_by(other_apps).await.created();

    scene.server.publish(&[scene.app.jwk()]);
    scene.keys.clock.advance(Duration::from_secs(30));
    scene.register().await.created();
}

/// Caught with the old set asked all the same: it knows no new key, and said so for good.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_new_key_of_an_app_that_cannot_be_asked_is_to_come_again(db: PgPool) {
    let scene = Scene::start(db).await;
    scene.register().await.created();
    let (jwk, token) = scene.next_key();
    scene.server.say(500, "");
    scene.keys.clock.advance(Duration::from_secs(30));

    for _ in 0..3 {
        scene.register_by(&token).await.refused(503, "app_keys_unavailable");
    }

    scene.server.publish(&[jwk]);
    scene.keys.clock.advance(Duration::from_secs(30));
    scene.register_by(&token).await.created();
}
