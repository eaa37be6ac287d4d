//! The recovery set, and the ops that came with it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sotto_identity::{Endpoint, EndpointKind, build};
use sqlx::PgPool;

use crate::harness::{
    TestKeys,
    person::{Person, base64},
};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn who_has_lost_every_device_comes_back_with_words_and_no_token(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person_with_prekeys(3).await, keys.person().await);
    let lost = alice.token.clone();

    let ops = [alice.recover(&[]), alice.add_device(2, true)];
    let body = keys.append_without_token(&alice, &ops).await.ok();

    assert_eq!(body["head"], json!({ "seq": 2, "hash": base64(alice.state.head.as_bytes()) }));
    let again = keys.append_without_token(&alice, &ops).await.ok();
    assert_eq!(again, body, "an answer that was lost is given again");
    let answer = keys.call(Method::GET, "/v1/keys/count", Some(&lost), None).await;
    answer.refused(403, "device_revoked");
    assert_eq!(keys.shelves_of(&alice, 1).await, 0);
    assert_eq!(keys.fetch(&bob, &alice, json!({})).await.ok()["devices"], json!([]));

    alice.token = keys.log_in(&alice, &keys.socialink.token(&alice.user), 2).await;
    keys.publish(&alice, &alice.token, 2, 1).await;
    assert_eq!(keys.fetch_one(&bob, &alice).await["device_id"], 2);
    let op = alice.set_handle("alice");
    keys.append(&alice, &[op]).await.ok();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_recovery_that_leaves_nobody_with_the_key_is_not_taken(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(1).await;

    let recover = alice.recover(&[]);
    keys.append_without_token(&alice, &[recover]).await.refused(422, "admin_due");

    assert_eq!(keys.count(&alice.token).await["one_time_ec"], 1, "nothing has changed");
    let head = keys.get(&format!("/v1/accounts/{}/head", alice.id())).await.ok();
    assert_eq!(head["seq"], 0);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_a_recovery_keeps_goes_on_with_its_prekeys(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person_with_prekeys(3).await, keys.person().await);
    let second = keys.link(&mut alice, 2).await;
    keys.publish(&alice, &second, 2, 3).await;

    let recover = alice.recover(&[(2, true)]);
    keys.append_without_token(&alice, &[recover]).await.ok();

    assert_eq!(keys.fetch_one(&bob, &alice).await["device_id"], 2);
    assert_eq!(keys.count(&second).await["one_time_ec"], 2);
    let answer = keys.call(Method::GET, "/v1/keys/count", Some(&alice.token), None).await;
    answer.refused(403, "device_revoked");
}

/// Caught: an append that takes a recovery which the chain holds already for a word of
/// the recovery set. Everybody can read that one and put it before an op of their own.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn without_a_token_nobody_is_heard_but_the_recovery_set(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let by_account_key = alice.draft(build::set_handle(&"alice".parse().unwrap()));
    let by_others = alice.draft_recover_by(&Person::new().words(), &[(1, true)]);
    let recover = alice.recover(&[(1, true)]);
    let mut forged = recover.clone();
    forged.sigs[0].sig[0] ^= 1;

    for (ops, status, reason) in [
        (vec![], 401, "token_missing"),
        (vec![by_account_key], 401, "token_missing"),
        (vec![by_others], 422, "missing_signature"),
        (vec![forged], 422, "bad_signature"),
    ] {
        keys.append_without_token(&alice, &ops).await.refused(status, reason);
    }

    keys.append_without_token(&alice, std::slice::from_ref(&recover)).await.ok();
    let later = alice.draft(build::set_handle(&"alice".parse().unwrap()));
    keys.append_without_token(&alice, &[recover, later]).await.refused(401, "token_missing");
    keys.get("/v1/u/alice").await.refused(404, "unknown_handle");
}

/// Caught: recovery ops that count against the rate of the chain.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_thief_cannot_hold_a_recovery_up_by_using_the_rate_up(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| config.handles.per_account = 100).await;
    let mut alice = keys.person().await;
    let name = |n: u8| format!("thief.{}", char::from(b'a' + n));
    let burst: Vec<_> = (0..19).map(|n| alice.set_handle(&name(n))).collect();
    keys.append(&alice, &burst).await.ok();
    let one_more = alice.draft(build::set_handle(&name(19).parse().unwrap()));
    keys.append(&alice, &[one_more]).await.refused(429, "op_rate");

    let ops = [alice.recover(&[]), alice.add_device(2, true), alice.set_recovery()];
    keys.append_without_token(&alice, &ops).await.ok();

    // What the recovery set does is free, and gives nobody else anything.
    alice.token = keys.log_in(&alice, &keys.socialink.token(&alice.user), 2).await;
    let op = alice.op(build::drop_handle());
    let problem = keys.append(&alice, std::slice::from_ref(&op)).await.refused(429, "op_rate");
    assert_eq!(problem["retry_after_ms"], 6 * 60 * 1000);
    keys.clock.advance(Duration::from_mins(6));
    keys.append(&alice, &[op]).await.ok();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn old_words_are_worth_nothing_once_there_are_new_ones(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let old_words = alice.words();
    let stolen = alice.draft_recover_by(&old_words, &[(1, true)]);
    let new_words = alice.set_recovery();

    keys.append_without_token(&alice, &[new_words]).await.ok();

    keys.append_without_token(&alice, &[stolen]).await.refused(409, "head_moved");
    let by_old = alice.draft_recover_by(&old_words, &[(1, true)]);
    keys.append_without_token(&alice, &[by_old]).await.refused(422, "missing_signature");
    let by_new = alice.recover(&[(1, true)]);
    keys.append_without_token(&alice, &[by_new]).await.ok();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_token_that_comes_with_a_recovery_is_not_asked_for_anything(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let ops = [alice.recover(&[]), alice.add_device(2, true)];
    // The client still has a token that is worth nothing any more.
    alice.token = "no.longer.good".to_owned();

    keys.append(&alice, &ops).await.ok();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_handle_that_was_dropped_finds_nobody_and_stays_the_account_s_own(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person().await, keys.person().await);
    let ops = [alice.set_handle("alice"), alice.op(build::drop_handle())];
    keys.append(&alice, &ops).await.ok();

    keys.get("/v1/u/alice").await.refused(404, "unknown_handle");
    let grab = bob.draft(build::set_handle(&"alice".parse().unwrap()));
    keys.append(&bob, &[grab]).await.refused(409, "handle_taken");
    let twice = alice.draft(build::drop_handle());
    keys.append(&alice, &[twice]).await.refused(422, "no_handle");

    let back = alice.set_handle("alice");
    keys.append(&alice, &[back]).await.ok();
    assert_eq!(keys.get("/v1/u/alice").await.ok()["account_id"], alice.id().to_string());
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn endpoints_are_in_the_chain_that_is_served(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let relay = Endpoint { kind: EndpointKind::Relay, url: "https://relay.example".to_owned() };

    let added = alice.op(build::add_endpoint(&relay));
    keys.append(&alice, &[added]).await.ok();

    let head = keys.get(&format!("/v1/accounts/{}/head", alice.id())).await.ok();
    assert_eq!(head["hash"], base64(alice.state.head.as_bytes()));
    let again = alice.draft(build::add_endpoint(&relay));
    keys.append(&alice, &[again]).await.refused(422, "endpoint_exists");
}
