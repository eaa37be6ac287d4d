//! Uploads of KeyPackages, and what becomes of them without a claim.

use std::time::Duration;

use openmls::prelude::{Capabilities, Ciphersuite, CredentialType, ProtocolVersion};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::harness::{
    TestKeys,
    key_packages::{HOUR, PACKAGES, Recipe, one_time, unlimited},
    person::{base64, device_id},
    wait_until,
};

fn uploaded(stored: u32, known: u32, spent: u32) -> Value {
    json!({ "stored": stored, "known": known, "spent": spent })
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_upload_is_stored_and_counted_and_changes_nothing_when_it_comes_again(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let alice = keys.person().await;
    let mut body = one_time(&[alice.key_package(1), alice.key_package(1)]);
    body["last_resort"] = json!(base64(&alice.last_resort(1)));

    let first = keys.put(PACKAGES, &alice.token, body.clone()).await.ok();
    let second = keys.put(PACKAGES, &alice.token, body).await.ok();

    assert_eq!((first, second), (uploaded(3, 0, 0), uploaded(0, 3, 0)));
    let count = keys.count(&alice.token).await;
    assert_eq!(
        (&count["key_packages"], &count["last_resort_key_package"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(keys.put(PACKAGES, &alice.token, json!({})).await.ok(), uploaded(0, 0, 0));
}

/// Caught: a claim that does not remember what it took. The late retry then puts a package
/// back that somebody has, and the next one gets it too (I-1).
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_late_retry_never_puts_a_package_back_that_was_handed_out(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);
    let packages = keys.publish_packages(&alice, 2).await;
    let (taken, _) = keys.claim_one(&bob, &alice).await.unwrap();

    let again = keys.put(PACKAGES, &alice.token, one_time(&packages)).await.ok();

    assert_eq!(again, uploaded(0, 1, 1));
    let (other, _) = keys.claim_one(&bob, &alice).await.unwrap();
    assert_ne!(taken, other);
    assert!(keys.claim_one(&bob, &alice).await.is_none());
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_new_last_resort_package_replaces_the_one_before_which_never_comes_back(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);
    let first = keys.publish_last_resort(&alice).await;
    let second = keys.publish_last_resort(&alice).await;

    let late = json!({ "last_resort": base64(&first) });
    assert_eq!(keys.put(PACKAGES, &alice.token, late).await.ok(), uploaded(0, 0, 1));

    assert_eq!(keys.claim_one(&bob, &alice).await, Some((second, true)));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_is_not_certified_or_not_usable_is_refused_and_no_row_changes(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let mut alice = keys.person().await;
    let second = keys.link(&mut alice, 2).await;
    let mallory = keys.person().await;
    keys.publish_packages(&alice, 1).await;
    let before = keys.key_package_rows().await;

    let with = |change: fn(&mut Recipe)| alice.key_package_with(1, change);
    let good = alice.key_package(1);
    let flipped = |place: usize| {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        bytes
    };
    let wrapped = [[0, 1, 0, 5].as_slice(), &good].concat();
    let few = |extensions| {
        Capabilities::new(
            Some(&[ProtocolVersion::Mls10]),
            Some(&[Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519]),
            extensions,
            None,
            Some(&[CredentialType::Basic]),
        )
    };
    let of_another_key = alice.key_package_with(1, |recipe| {
        recipe.seed = mallory.devices[&1].mls.to_bytes();
    });
    let for_another_account = alice.key_package_with(1, |recipe| {
        recipe.leaf.account = mallory.id();
    });
    let for_another_device = alice.key_package_with(1, |recipe| {
        recipe.leaf.device = device_id(2);
    });
    let without_policy = alice.key_package_with(1, |recipe| recipe.capabilities = few(None));
    let table: [(&str, Vec<u8>); 16] = [
        ("key_package_too_large", vec![0; 2049]),
        ("key_package_malformed", vec![]),
        ("key_package_malformed", good[..good.len() - 1].to_vec()),
        ("key_package_malformed", [good.as_slice(), &[0]].concat()),
        ("key_package_malformed", wrapped),
        // A byte of the init key, which the outer signature covers, and one of that itself.
        ("key_package_invalid", flipped(10)),
        ("key_package_invalid", flipped(good.len() - 1)),
        (
            "key_package_unusable",
            with(|recipe| {
                recipe.suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
            }),
        ),
        ("key_package_unusable", without_policy),
        ("key_package_uncertified", of_another_key),
        ("key_package_uncertified", for_another_account),
        ("key_package_uncertified", for_another_device),
        ("key_package_expired", with(|recipe| recipe.ends_in(Duration::ZERO))),
        ("key_package_expired", with(|recipe| recipe.ends_in(24 * HOUR))),
        ("key_package_lives_too_long", with(|recipe| recipe.ends_in(85 * 24 * HOUR))),
        ("key_package_last_resort", with(|recipe| recipe.last_resort = true)),
    ];
    for (reason, bytes) in table {
        let body = one_time(&[good.clone(), bytes]);
        let problem = keys.put(PACKAGES, &alice.token, body).await.refused(422, reason);
        assert_eq!((&problem["one_time"], &problem["last_resort"]), (&json!([1]), &json!(false)));
    }
    let body = json!({ "last_resort": base64(&good) });
    let problem = keys.put(PACKAGES, &alice.token, body).await;
    let problem = problem.refused(422, "key_package_last_resort");
    assert_eq!((&problem["one_time"], &problem["last_resort"]), (&json!([]), &json!(true)));
    let problem = keys.put(PACKAGES, &second, one_time(std::slice::from_ref(&good))).await;
    problem.refused(422, "key_package_uncertified");
    let twice = keys.put(PACKAGES, &alice.token, one_time(&[good.clone(), good])).await;
    assert_eq!(twice.refused(422, "key_package_duplicate")["one_time"], json!([1]));
    let many = keys.put(PACKAGES, &alice.token, one_time(&vec![vec![]; 101])).await;
    many.refused(422, "too_many_key_packages");
    for malformed in [json!({ "one_time": ["*"] }), json!({ "keys": [] }), json!(1)] {
        keys.put(PACKAGES, &alice.token, malformed).await.refused(422, "malformed_json");
    }

    assert_eq!(keys.key_package_rows().await, before);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_shelf_has_a_bound_and_what_is_over_makes_room(db: PgPool) {
    let stock = |config: &mut sotto_keys::KeysConfig| config.key_packages.stock = 3;
    let keys = TestKeys::start_today(db, stock, unlimited).await;
    let alice = keys.person().await;
    let short = alice.key_package_with(1, |recipe| recipe.ends_in(25 * HOUR));
    keys.put(PACKAGES, &alice.token, one_time(&[short])).await.ok();
    let packages: Vec<_> = (0..3).map(|_| alice.key_package(1)).collect();

    let full = keys.put(PACKAGES, &alice.token, one_time(&packages)).await;
    full.refused(409, "shelf_full");
    assert_eq!(keys.key_package_rows().await, [1, 0, 0]);

    keys.clock.advance(HOUR);
    let token = keys.log_in(&alice, &keys.socialink.token(&alice.user), 1).await;
    keys.put(PACKAGES, &token, one_time(&packages)).await.ok();
    assert_eq!(keys.count(&token).await["key_packages"], 3);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_is_over_is_not_handed_out_and_is_swept_away(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (alice, mut bob) = (keys.person().await, keys.person().await);
    let short = |last_resort| {
        alice.key_package_with(1, |recipe| {
            recipe.last_resort = last_resort;
            recipe.ends_in(25 * HOUR);
        })
    };
    let mut body = one_time(&[short(false), short(false), alice.key_package(1)]);
    body["last_resort"] = json!(base64(&short(true)));
    keys.put(PACKAGES, &alice.token, body).await.ok();
    // The one that ends first comes first.
    keys.claim_one(&bob, &alice).await.unwrap();

    keys.clock.advance(HOUR);
    bob.token = keys.log_in(&bob, &keys.socialink.token(&bob.user), 1).await;
    let count = keys.count(&keys.log_in(&alice, &keys.socialink.token(&alice.user), 1).await).await;

    assert_eq!(
        (&count["key_packages"], &count["last_resort_key_package"]),
        (&json!(1), &json!(false))
    );
    let (_, is_last_resort) = keys.claim_one(&bob, &alice).await.unwrap();
    assert!(!is_last_resort);
    assert_eq!(keys.claim_one(&bob, &alice).await, None, "neither of the others");

    // Another replica begins with a look over them.
    assert_eq!(keys.key_package_rows().await, [1, 1, 2]);
    let _replica = keys.second_replica().await;
    wait_until(|| async { keys.key_package_rows().await == [0, 0, 2] }).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_was_spent_is_forgotten_once_nobody_can_publish_it_again(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (alice, bob) = (keys.person().await, keys.person().await);
    let short = alice.key_package_with(1, |recipe| recipe.ends_in(25 * HOUR));
    keys.put(PACKAGES, &alice.token, one_time(&[short])).await.ok();
    keys.claim_one(&bob, &alice).await.unwrap();

    keys.clock.advance(50 * HOUR);

    assert_eq!(keys.key_package_rows().await, [0, 0, 1]);
    let _replica = keys.second_replica().await;
    wait_until(|| async { keys.key_package_rows().await == [0, 0, 0] }).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn rows_of_devices_from_before_the_column_are_completed(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let mut alice = keys.person().await;
    let added = alice.add_device(2, false);
    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[added, revoked]).await.ok();
    let bob = keys.person().await;
    keys.forget_mls_keys().await;

    // A device can publish meanwhile.
    keys.publish_packages(&bob, 1).await;
    assert_eq!(keys.without_mls_key().await, 3);
    let _replica = keys.second_replica().await;
    wait_until(|| async { keys.without_mls_key().await == 0 }).await;

    let key: Vec<u8> =
        sqlx::query_scalar("SELECT mls_key FROM keys.devices WHERE account = $1 AND device = 2")
            .bind(alice.uuid().as_uuid())
            .fetch_one(&keys.db)
            .await
            .unwrap();
    assert_eq!(key, alice.devices[&2].mls_key());
    keys.publish_packages(&alice, 1).await;
}

/// I-7. Caught: a revocation that leaves the packages where they are.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn i_7_a_revoked_device_loses_its_packages_and_publishes_no_more(db: PgPool) {
    let keys = TestKeys::today(db).await;
    let (mut alice, bob) = (keys.person().await, keys.person().await);
    let second = keys.link(&mut alice, 2).await;
    let packages = [alice.key_package(2), alice.key_package(2)];
    let mut body = one_time(&packages);
    body["last_resort"] = json!(base64(&alice.last_resort(2)));
    keys.put(PACKAGES, &second, body.clone()).await.ok();
    keys.claim(&bob, &[&alice]).await.ok();
    assert_eq!(keys.key_package_rows().await, [1, 1, 1]);

    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();

    assert_eq!(keys.key_package_rows().await, [0, 0, 0]);
    keys.put(PACKAGES, &second, body).await.refused(403, "device_revoked");
    let claimed = keys.claim(&bob, &[&alice]).await.ok();
    assert_eq!(claimed["accounts"][0]["devices"], json!([]));
    assert_eq!(claimed["accounts"][0]["without"], json!([1]));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nobody_publishes_without_a_token(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let answer = keys.call(Method::PUT, PACKAGES, None, Some(json!({}))).await;
    answer.refused(401, "token_missing");
}
