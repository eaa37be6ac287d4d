//! Claims of KeyPackages.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sotto_store::notices::Notice;
use sqlx::{Executor as _, PgPool};

use crate::{
    harness::{
        TestKeys,
        key_packages::{PACKAGES, one_time},
        person::{Person, base64, unbase64},
    },
    hints,
};

const CLAIM: &str = "/v1/key-packages";

/// Makes each claim take a few milliseconds in the middle, so that a crowd of them really
/// stands at one shelf.
async fn slow_down_claims(db: &PgPool) {
    db.execute(
        "CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(0.003); RETURN OLD; END';
         CREATE TRIGGER dawdle BEFORE DELETE ON keys.one_time_key_packages
             FOR EACH ROW EXECUTE FUNCTION public.dawdle();",
    )
    .await
    .unwrap();
}

/// Invariant I-1: a one-time KeyPackage is handed out at most once, and nobody goes without
/// while there is one.
///
/// Sabotaged, it fails: with `FOR UPDATE SKIP LOCKED` removed callers get the last resort
/// while there are others; with the `DELETE` turned into a `SELECT` one package goes to
/// several.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_1_of_two_hundred_claimers_a_hundred_get_a_package_of_their_own(db: PgPool) {
    slow_down_claims(&db).await;
    let keys = TestKeys::today(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);
    let packages: BTreeSet<_> = keys.publish_packages(&alice, 100).await.into_iter().collect();
    let last_resort = keys.publish_last_resort(&alice).await;

    let claims = join_all((0..200).map(|_| keys.claim_one(&bob, &alice))).await;

    let (last, one_time): (Vec<_>, Vec<_>) =
        claims.into_iter().flatten().partition(|(_, is_last_resort)| *is_last_resort);
    let distinct: BTreeSet<_> = one_time.iter().map(|(bytes, _)| bytes.clone()).collect();
    assert_eq!((one_time.len(), distinct.len()), (100, 100), "one-time ones, distinct ones");
    assert_eq!(distinct, packages);
    assert_eq!(last.len(), 100, "the others share the last resort");
    assert!(last.iter().all(|(bytes, _)| *bytes == last_resort));
    assert_eq!(keys.key_package_rows().await, [0, 1, 100]);
}

/// The same for claims of many accounts at once, while their owners keep uploading.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_1_batches_and_uploads_at_once_give_each_package_once(db: PgPool) {
    slow_down_claims(&db).await;
    let keys = TestKeys::today(db).await;
    let bob = keys.person().await;
    let people = join_all((0..4).map(|_| keys.person())).await;
    let uploads: Vec<Vec<Vec<u8>>> =
        people.iter().map(|person| (0..20).map(|_| person.key_package(1)).collect()).collect();
    let mut whose: Vec<&Person> = people.iter().collect();

    let uploading = uploads.iter().zip(&people).flat_map(|(packages, person)| {
        packages.iter().map(|package| {
            keys.put(PACKAGES, &person.token, one_time(std::slice::from_ref(package)))
        })
    });
    let claiming = join_all((0..40).map(|_| {
        whose.rotate_left(1);
        let whose = whose.clone();
        let (keys, bob) = (&keys, &bob);
        async move { keys.claim(bob, &whose).await }
    }));
    let (uploaded, claimed) = futures_util::future::join(join_all(uploading), claiming).await;

    assert!(uploaded.into_iter().all(|answer| answer.ok()["stored"] == 1));
    let mut taken = BTreeSet::new();
    for answer in claimed {
        for account in answer.ok()["accounts"].as_array().unwrap() {
            for device in account["devices"].as_array().unwrap() {
                assert!(taken.insert(unbase64(&device["key_package"])), "handed out once");
            }
        }
    }
    let [left, _, spent] = keys.key_package_rows().await;
    assert_eq!((usize::try_from(spent), left + spent), (Ok(taken.len()), 80), "none is lost");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn there_is_one_of_each_live_device_in_the_order_of_the_request(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (mut alice, bob, nobody) = (keys.person().await, keys.person().await, Person::new());
    let second = keys.link(&mut alice, 2).await;
    let _third = keys.link(&mut alice, 3).await;
    let first = keys.publish_packages(&alice, 1).await.remove(0);
    let last_resort = alice.last_resort(2);
    let body = json!({ "last_resort": base64(&last_resort) });
    keys.put(PACKAGES, &second, body).await.ok();
    let of_bob = keys.publish_packages(&bob, 1).await.remove(0);
    let by_id = json!({ "accounts": [
        nobody.id().to_string(), alice.id().to_string(), bob.uuid().to_string(),
    ] });

    let claimed = keys.call(Method::POST, CLAIM, Some(&bob.token), Some(by_id)).await.ok();

    let package = |device: u8, bytes: &[u8], last_resort: bool| json!({ "device_id": device, "key_package": base64(bytes), "last_resort": last_resort });
    let account = |person: &Person, known: bool, devices: Value, without: Value| {
        json!({
            "account_id": known.then(|| person.id().to_string()),
            "uuid": person.uuid().to_string(),
            "known": known,
            "devices": devices,
            "without": without,
        })
    };
    let of_alice = json!([package(1, &first, false), package(2, &last_resort, true)]);
    let expected = json!({ "accounts": [
        account(&nobody, false, json!([]), json!([])),
        account(&alice, true, of_alice, json!([3])),
        account(&bob, true, json!([]), json!([])),
    ] });
    assert_eq!(claimed, expected, "and none of the device that asks");

    // Of the others of her own account there is one for a device as for anybody.
    let of_own = keys.claim(&alice, &[&alice, &bob]).await.ok();
    assert_eq!(of_own["accounts"][0]["devices"], json!([package(2, &last_resort, true)]));
    assert_eq!(of_own["accounts"][1]["devices"], json!([package(1, &of_bob, false)]));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_account_that_the_caller_may_not_meet_is_refused_and_nothing_is_used_up(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (alice, bob) = (keys.person().await, keys.person_of(&keys.vignette).await);
    let islander = keys.person_of(&keys.island).await;
    keys.publish_packages(&alice, 2).await;
    keys.publish_packages(&islander, 1).await;

    keys.claim(&bob, &[&alice]).await.ok();
    let refused = keys.claim(&bob, &[&alice, &islander]).await.refused(403, "not_interoperable");
    assert_eq!(refused["accounts"], json!([islander.uuid().to_string()]));
    keys.claim(&islander, &[&alice]).await.refused(403, "not_interoperable");

    assert_eq!(keys.key_package_rows().await, [2, 0, 1]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn claims_of_another_form_are_refused_and_nothing_is_used_up(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);
    keys.publish_packages(&alice, 1).await;
    let claim = |body: Value| keys.call(Method::POST, CLAIM, Some(&bob.token), Some(body));
    let (id, uuid) = (alice.id().to_string(), alice.uuid().to_string());
    let many: Vec<_> = (0..101).map(|_| Person::new().uuid().to_string()).collect();

    claim(json!({ "accounts": [id, uuid] })).await.refused(422, "duplicate_accounts");
    claim(json!({ "accounts": many })).await.refused(422, "too_many_accounts");
    for body in [json!({}), json!({ "accounts": ["alice"] }), json!({ "accounts": [], "have": 1 })]
    {
        claim(body).await.refused(422, "malformed_json");
    }
    let body = json!({ "accounts": [uuid] });
    let answer = keys.call(Method::POST, CLAIM, None, Some(body.clone())).await;
    answer.refused(401, "token_missing");
    let answer = keys.call(Method::GET, CLAIM, Some(&bob.token), None).await;
    answer.refused(405, "method_not_allowed");

    assert_eq!(claim(json!({ "accounts": [] })).await.ok(), json!({ "accounts": [] }));
    assert_eq!(keys.key_package_rows().await, [1, 0, 0]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_device_claims_nothing(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (mut alice, bob) = (keys.person().await, keys.person().await);
    let second = keys.link(&mut alice, 2).await;
    keys.publish_packages(&bob, 1).await;
    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();

    let body = json!({ "accounts": [bob.uuid().to_string()] });
    let answer = keys.call(Method::POST, CLAIM, Some(&second), Some(body)).await;

    answer.refused(403, "device_revoked");
    assert_eq!(keys.key_package_rows().await, [1, 0, 0]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_runs_low_of_packages_is_told(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);
    keys.publish_packages(&alice, 21).await;
    let mut notices = keys.connect(&alice, 1).await;

    // Twenty are left, which is not low yet; then nineteen.
    keys.claim_one(&bob, &alice).await.unwrap();
    keys.claim_one(&bob, &alice).await.unwrap();

    let low = Notice::KeyPackagesLow { connection: 7, key_packages: 19 };
    assert_eq!(hints::next(&mut notices).await, low);
}
