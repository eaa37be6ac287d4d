//! What a device can find out about its own shelf, and the operator about all of them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sotto_identity::prekeys::Prekeys;
use sotto_kit::telemetry::{self, TelemetryConfig};
use sqlx::PgPool;

use crate::harness::{
    NOW_MS, TestKeys,
    person::{base64, unbase64},
    prekeys::bare,
    wait_until,
};

impl TestKeys {
    async fn digest(&self, token: &str) -> Value {
        self.call(Method::GET, "/v1/keys/digest", Some(token), None).await.ok()
    }
}

fn id_and_key(key: &Value) -> (u32, Vec<u8>) {
    let key_id = u32::try_from(key["key_id"].as_u64().unwrap()).unwrap();
    (key_id, unbase64(&key["public_key"]))
}

fn borrowed(key: &(u32, Vec<u8>)) -> (u32, &[u8]) {
    (key.0, &key.1)
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_recomputes_what_the_server_says_of_its_shelf(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);
    let empty = keys.digest(&alice.token).await;
    assert_eq!(empty["digest"], base64(&Prekeys::default().digest()));
    assert_eq!((&empty["signed_ec"], &empty["one_time_ec"]), (&Value::Null, &json!([])));

    let device = &alice.devices[&1];
    let (signed, last) = (device.signed_ec(4), device.kyber(300));
    let ec: Vec<Value> = [3, 1, 2].map(bare).to_vec();
    let kyber: Vec<Value> = [12, 11].map(|id| device.kyber(id)).to_vec();
    keys.put("/v1/keys/signed", &alice.token, signed.clone()).await.ok();
    keys.put("/v1/keys/one-time", &alice.token, json!({ "keys": ec })).await.ok();
    let body = json!({ "last_resort": last, "one_time": kyber });
    keys.put("/v1/keys/kyber", &alice.token, body).await.ok();
    // The keys with the lowest ids are handed out.
    keys.fetch_one(&bob, &alice).await;

    let told = keys.digest(&alice.token).await;

    assert_eq!((&told["signed_ec"], &told["last_resort_kyber"]), (&json!(4), &json!(300)));
    assert_eq!((&told["one_time_ec"], &told["one_time_kyber"]), (&json!([2, 3]), &json!([12])));
    let (signed, last) = (id_and_key(&signed), id_and_key(&last));
    let ec: Vec<_> = ec.iter().map(id_and_key).filter(|key| key.0 != 1).collect();
    let kyber: Vec<_> = kyber.iter().map(id_and_key).filter(|key| key.0 != 11).collect();
    let own = Prekeys {
        signed_ec: Some(borrowed(&signed)),
        last_resort_kyber: Some(borrowed(&last)),
        one_time_ec: ec.iter().map(borrowed).collect(),
        one_time_kyber: kyber.iter().map(borrowed).collect(),
    };
    assert_eq!(told["digest"], base64(&own.digest()));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_server_that_swapped_or_lost_a_key_is_found_out(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person_with_prekeys(3).await;
    let mut seen = vec![keys.digest(&alice.token).await["digest"].clone()];
    assert_eq!(keys.digest(&alice.token).await["digest"], seen[0]);

    for sabotage in [
        "UPDATE keys.one_time_ec_prekeys
         SET public_key = set_byte(public_key, 5, get_byte(public_key, 5) # 1) WHERE key_id = 2",
        "UPDATE keys.signed_ec_prekeys SET key_id = key_id + 1",
        "DELETE FROM keys.one_time_kyber_prekeys WHERE key_id = 3",
        "DELETE FROM keys.last_resort_kyber_prekeys",
    ] {
        sqlx::query(sabotage).execute(&keys.db).await.unwrap();
        let digest = keys.digest(&alice.token).await["digest"].clone();
        assert!(!seen.contains(&digest), "{sabotage}");
        seen.push(digest);
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_learns_how_old_its_signed_prekey_is(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    let published_at = async || keys.count(&alice.token).await["signed_ec_published_at_ms"].clone();
    assert_eq!(published_at().await, Value::Null);

    keys.publish(&alice, &alice.token, 1, 0).await;
    assert_eq!(published_at().await, NOW_MS);

    keys.clock.advance(Duration::from_mins(1));
    let device = &alice.devices[&1];
    keys.put("/v1/keys/signed", &alice.token, device.signed_ec(2)).await.ok();
    assert_eq!(published_at().await, NOW_MS + 60_000);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn prekeys_that_nobody_changes_are_counted(db: PgPool) {
    let config = TelemetryConfig {
        log_level: "off".to_owned(),
        otlp_endpoint: String::new(),
        trace_sample: 0.0,
    };
    let metrics = telemetry::init(&config, "keys").unwrap().metrics;
    let often = Duration::from_millis(20);
    let keys = TestKeys::start_with(db, |config| config.prekeys.stale_count_every = often).await;
    let is_at = async |count: u32| {
        metrics.render().contains(&format!("sotto_keys_stale_signed_prekeys {count}\n"))
    };
    keys.person_with_prekeys(0).await;
    keys.person_with_prekeys(0).await;
    wait_until(async || is_at(0).await).await;

    keys.clock.advance(Duration::from_hours(30 * 24 + 1));
    wait_until(async || is_at(2).await).await;

    // Who changes theirs is not counted any more.
    let token = "UPDATE keys.signed_ec_prekeys SET published_at_ms = published_at_ms + 7200000
                 WHERE account = (SELECT max(account::text)::uuid FROM keys.accounts)";
    sqlx::query(token).execute(&keys.db).await.unwrap();
    wait_until(async || is_at(1).await).await;
}
