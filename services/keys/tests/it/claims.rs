//! Claims at the same time.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Executor as _, PgPool};

use crate::harness::TestKeys;

fn distinct(keys: &[&Value]) -> BTreeSet<String> {
    keys.iter().map(|key| key["public_key"].to_string()).collect()
}

/// Makes each claim take a few milliseconds in the middle, so that a crowd of them
/// really stands at one shelf.
async fn slow_down_claims(db: &PgPool) {
    db.execute(
        "CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(0.003); RETURN OLD; END';
         CREATE TRIGGER dawdle BEFORE DELETE ON keys.one_time_ec_prekeys
             FOR EACH ROW EXECUTE FUNCTION public.dawdle();
         CREATE TRIGGER dawdle BEFORE DELETE ON keys.one_time_kyber_prekeys
             FOR EACH ROW EXECUTE FUNCTION public.dawdle();",
    )
    .await
    .unwrap();
}

/// Invariant I-1: a one-time prekey is handed out at most once, and nobody goes
/// without while there is one.
///
/// Sabotaged, it fails in 10 runs of 10: with `FOR UPDATE SKIP LOCKED` removed, keys
/// are left over and callers go without; with the `DELETE` turned into a `SELECT`, one
/// key goes to several.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_1_of_two_hundred_claimers_a_hundred_get_a_key_of_their_own(db: PgPool) {
    slow_down_claims(&db).await;
    let keys = TestKeys::start(db).await;
    let (alice, bob) = (keys.person_with_prekeys(100).await, keys.person().await);

    let bundles = join_all((0..200).map(|_| keys.fetch_one(&bob, &alice))).await;

    let ec: Vec<_> = bundles.iter().map(|b| &b["one_time_ec"]).filter(|k| !k.is_null()).collect();
    assert_eq!((ec.len(), distinct(&ec).len()), (100, 100), "EC keys, and distinct ones");
    let is_last = |bundle: &&Value| bundle["kyber"]["last_resort"] == true;
    let (last, one_time): (Vec<_>, Vec<_>) = bundles.iter().partition(is_last);
    let kyber: Vec<_> = one_time.iter().map(|bundle| &bundle["kyber"]).collect();
    assert_eq!((kyber.len(), distinct(&kyber).len()), (100, 100), "Kyber keys, and distinct ones");
    let last: Vec<_> = last.iter().map(|bundle| &bundle["kyber"]).collect();
    assert_eq!((last.len(), distinct(&last).len()), (100, 1), "the others share the last resort");
    assert!(last.iter().all(|key| key["key_id"] == 1000));

    let count = keys.count(&alice.token).await;
    assert_eq!((&count["one_time_ec"], &count["one_time_kyber"]), (&json!(0), &json!(0)));
}

/// The same over several devices at once, while the owner keeps uploading.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn claims_and_uploads_at_once_give_each_key_once(db: PgPool) {
    slow_down_claims(&db).await;
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(30).await;
    let bob = keys.person().await;
    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    let second = keys.log_in(&alice, &keys.socialink.token(&alice.user), 2).await;
    keys.publish(&alice, &second, 2, 30).await;
    let upload = |id: u32| json!({ "keys": [crate::harness::prekeys::bare(id)] });

    let claims = join_all((0..60).map(|_| keys.fetch(&bob, &alice, json!({}))));
    let uploads = join_all((31..61).map(|id| keys.put("/v1/keys/one-time", &second, upload(id))));
    let (answers, uploads) = futures_util::future::join(claims, uploads).await;

    // Uploads overtake one another, so some ids came after a higher one.
    let stored: u64 =
        uploads.into_iter().map(|answer| answer.ok()["stored"].as_u64().unwrap()).sum();
    let mut taken = BTreeSet::new();
    for answer in answers {
        for device in answer.ok()["devices"].as_array().unwrap() {
            if let Some(key_id) = device["one_time_ec"]["key_id"].as_u64() {
                let device_id = device["device_id"].as_u64().unwrap();
                assert!(taken.insert((device_id, key_id)), "handed out once");
            }
        }
    }
    assert_eq!(taken.iter().filter(|(device, _)| *device == 1).count(), 30);
    let left = keys.count(&second).await["one_time_ec"].as_u64().unwrap();
    let of_second = taken.iter().filter(|(device, _)| *device == 2).count() as u64;
    assert_eq!(of_second + left, 30 + stored, "none is lost");
}
