//! Names: first come, first served.

use futures_util::future::join_all;
use reqwest::StatusCode;
use sotto_identity::build;
use sqlx::PgPool;

use crate::harness::{TestKeys, person::Person};

/// Caught: a claim that takes over the row of another account.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn of_fifty_claims_at_once_one_succeeds(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let crowd: Vec<Person> = (0..50)
        .map(|_| {
            let mut person = Person::new();
            person.set_handle("alice");
            person
        })
        .collect();

    let answers = join_all(crowd.iter().enumerate().map(async |(n, person)| {
        keys.register(person, &keys.socialink.token(&format!("user {n}"))).await
    }))
    .await;

    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!((won.len(), lost.len()), (1, 49));
    for answer in lost {
        answer.refused(409, "handle_taken");
    }
    let accounts: i64 =
        sqlx::query_scalar("SELECT count(*) FROM keys.accounts").fetch_one(&keys.db).await.unwrap();
    assert_eq!(accounts, 1, "op and handle are one transaction");
    let found = keys.get("/v1/u/alice").await.ok();
    assert_eq!(found["account_id"], won[0].json()["account_id"]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_handle_that_looks_like_another_is_taken(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person().await, keys.person().await);
    let op = alice.set_handle("morning");
    keys.append(&alice, &[op]).await.ok();

    for lookalike in ["rnorning", "m0rning", "morn_ing", "morning"] {
        let op = bob.draft(build::set_handle(&lookalike.parse().unwrap()));
        keys.append(&bob, &[op]).await.refused(409, "handle_taken");
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nobody_is_the_administration(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mallory = keys.person().await;
    for handle in ["admin", "adrnin", "supp0rt", "s.o.t.t.o"] {
        let op = mallory.draft(build::set_handle(&handle.parse().unwrap()));
        keys.append(&mallory, &[op]).await.refused(422, "handle_reserved");
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_is_no_handle_is_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let alice = keys.person().await;
    for handle in ["al", "Alice", "al ice", "älice", ".alice"] {
        let body = sotto_identity::Body::SetHandle(sotto_proto::identity::SetHandle {
            handle: handle.to_owned(),
        });
        keys.append(&alice, &[alice.draft(body)]).await.refused(422, "malformed_handle");
    }
    keys.get("/v1/u/Alice").await.refused(422, "malformed_path");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_former_handle_leads_nowhere_and_stays_the_account_s_own(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (mut alice, bob) = (keys.person().await, keys.person().await);
    let ops = [alice.set_handle("alice"), alice.set_handle("liddell")];
    keys.append(&alice, &ops).await.ok();

    keys.get("/v1/u/alice").await.refused(404, "unknown_handle");
    let op = bob.draft(build::set_handle(&"alice".parse().unwrap()));
    keys.append(&bob, &[op]).await.refused(409, "handle_taken");

    let back = alice.set_handle("al.ice");
    keys.append(&alice, &[back]).await.ok();
    assert_eq!(keys.get("/v1/u/al.ice").await.ok()["account_id"], alice.id().to_string());
    keys.get("/v1/u/liddell").await.refused(404, "unknown_handle");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_account_holds_only_so_many_handles(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| config.handles.per_account = 2).await;
    let mut alice = keys.person().await;
    let ops = [alice.set_handle("alice"), alice.set_handle("liddell")];
    keys.append(&alice, &ops).await.ok();

    let third = alice.draft(build::set_handle(&"wonder".parse().unwrap()));

    keys.append(&alice, &[third]).await.refused(403, "too_many_handles");
}
