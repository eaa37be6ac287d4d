//! Who may open an account: everybody, those with an invite, or those who worked for it.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sotto_identity::pow;
use sotto_keys::{NewInvites, RegistrationMode};
use sqlx::PgPool;

use crate::harness::{
    Answer, NOW_MS, TestKeys, hex, op_json,
    person::{Person, base64, unbase64},
    random, wait_until,
};

/// Little work, so that tests have it done at once.
const BITS: u8 = 8;

impl TestKeys {
    async fn start_guarded(db: PgPool, mode: RegistrationMode) -> Self {
        Self::start_with(db, |config| {
            config.registration.mode = mode;
            config.registration.work_bits = BITS;
        })
        .await
    }

    async fn required(&self) -> Value {
        self.call(Method::POST, "/v1/accounts/challenge", None, Some(json!({}))).await.ok()
    }

    /// A registration that brings something beside the token of the app.
    async fn register_with(&self, person: &Person, user: &str, bring: Value) -> Answer {
        let (genesis, ops) = person.ops.split_first().unwrap();
        let ops: Vec<Value> = ops.iter().map(op_json).collect();
        let app_token = self.socialink.token(user);
        let mut body = json!({ "genesis": op_json(genesis), "ops": ops, "app_token": app_token });
        for (name, value) in bring.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.call(Method::POST, "/v1/accounts", None, Some(body)).await
    }

    async fn newcomer(&self, bring: &Value) -> Answer {
        self.register_with(&Person::new(), &hex(&random::<8>()), bring.clone()).await
    }

    async fn invites(&self, count: u16, uses: u32) -> Vec<String> {
        let valid_for = Duration::from_hours(24);
        let wanted = NewInvites { count, uses, valid_for };
        sotto_keys::make_invites(wanted, NOW_MS, &self.db).await.unwrap()
    }

    /// Asks for a challenge, and does the work.
    async fn work(&self) -> Value {
        let required = self.required().await;
        assert_eq!(required["required"], "proof_of_work");
        let challenge = unbase64(&required["challenge"]);
        let bits = u8::try_from(required["bits"].as_u64().unwrap()).unwrap();
        proof(&challenge, &pow::solve(&challenge, bits).unwrap())
    }

    async fn accounts(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM keys.accounts").fetch_one(&self.db).await.unwrap()
    }
}

fn proof(challenge: &[u8], nonce: &[u8]) -> Value {
    json!({ "proof_of_work": { "challenge": base64(challenge), "nonce": base64(nonce) } })
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_open_deployment_asks_for_the_token_of_an_app_only(db: PgPool) {
    let keys = TestKeys::start(db).await;
    assert_eq!(keys.required().await, json!({ "required": "none" }));
    keys.newcomer(&json!({})).await.created();
    keys.newcomer(&json!({ "app_token": "none" })).await.refused(401, "app_token_malformed");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_invite_lets_as_many_in_as_it_says(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::Invite).await;
    assert_eq!(keys.required().await, json!({ "required": "invite" }));
    keys.newcomer(&json!({})).await.refused(403, "invite_required");
    let invites = keys.invites(2, 1).await;
    assert_ne!(invites[0], invites[1]);

    for text in [invites[0].clone(), invites[1].to_uppercase().replace('-', " ")] {
        let invite = json!({ "invite": text });
        keys.newcomer(&invite).await.created();
        keys.newcomer(&invite).await.refused(403, "invite_spent");
    }
    for text in ["", "aaaaaa-aaaaaa-aaaaaa-aaaaaa", "what"] {
        keys.newcomer(&json!({ "invite": text })).await.refused(403, "invite_spent");
    }
    assert_eq!(keys.accounts().await, 2);
}

/// Caught: an invite that is counted before it is locked.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn of_fifty_with_an_invite_for_seven_seven_get_in(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::Invite).await;
    let invite = json!({ "invite": keys.invites(1, 7).await[0] });

    let answers = join_all((0..50).map(|_| keys.newcomer(&invite))).await;

    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!((won.len(), lost.len()), (7, 43));
    for answer in lost {
        answer.refused(403, "invite_spent");
    }
    assert_eq!(keys.accounts().await, 7);
}

/// Caught: an invite that is taken when it is looked at.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_registration_that_comes_to_nothing_costs_no_invite(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::Invite).await;
    let invite = json!({ "invite": keys.invites(1, 1).await[0] });
    let mut reserved = Person::new();
    reserved.set_handle("admin");
    keys.register_with(&reserved, "a", invite.clone()).await.refused(422, "handle_reserved");

    keys.newcomer(&invite).await.created();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_registration_that_comes_again_needs_no_second_pass(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::Invite).await;
    let invite = json!({ "invite": keys.invites(1, 1).await[0] });
    let alice = Person::new();

    let first = keys.register_with(&alice, "a", invite.clone()).await.created();

    assert_eq!(keys.register_with(&alice, "a", invite).await.ok(), first);
    assert_eq!(keys.register_with(&alice, "a", json!({})).await.ok(), first);
    keys.register_with(&alice, "mallory", json!({})).await.refused(409, "account_exists");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_invite_ends_and_is_deleted(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::Invite).await;
    let invite = json!({ "invite": keys.invites(1, 9).await[0] });
    keys.clock.advance(Duration::from_hours(24));

    let alice = Person::new();
    let app_token = keys.socialink.token_with("exp", json!(NOW_MS / 1000 + 86_400));
    let mut body = json!({ "genesis": op_json(&alice.ops[0]), "app_token": app_token });
    body["invite"] = invite["invite"].clone();
    let answer = keys.call(Method::POST, "/v1/accounts", None, Some(body)).await;
    answer.refused(403, "invite_spent");

    // The looking over happens at each start.
    let _other = keys.second_replica().await;
    wait_until(|| async {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM keys.invites")
            .fetch_one(&keys.db)
            .await
            .unwrap();
        count == 0
    })
    .await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn whoever_reads_the_database_has_no_invite(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::Invite).await;
    let invites = keys.invites(3, 1).await;

    let rows: Vec<String> = sqlx::query_scalar("SELECT invites::text FROM keys.invites")
        .fetch_all(&keys.db)
        .await
        .unwrap();

    assert_eq!(rows.len(), 3);
    for invite in invites {
        let bytes = data_encoding::BASE32_NOPAD
            .decode(invite.replace('-', "").to_uppercase().as_bytes())
            .unwrap();
        assert!(rows.iter().all(|row| !row.contains(&hex(&bytes)) && !row.contains(&invite)));
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn work_lets_in_and_counts_once(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::ProofOfWork).await;
    keys.newcomer(&json!({})).await.refused(402, "proof_of_work_required");
    let required = keys.required().await;
    assert_eq!((&required["bits"], &required["expires_in_ms"]), (&json!(BITS), &json!(300_000)));

    let work = keys.work().await;
    keys.newcomer(&work).await.created();

    keys.newcomer(&work).await.refused(402, "proof_of_work_invalid");
    assert_eq!(keys.accounts().await, 1);
}

/// Caught: a challenge that is looked at and deleted in two steps.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn of_forty_with_the_same_proof_one_gets_in(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::ProofOfWork).await;
    let work = keys.work().await;

    let answers = join_all((0..40).map(|_| keys.newcomer(&work))).await;

    let won = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let lost = answers.iter().filter(|a| a.status == StatusCode::PAYMENT_REQUIRED).count();
    assert_eq!((won, lost), (1, 39));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_proves_no_work_is_refused_and_uses_the_challenge_up(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::ProofOfWork).await;
    let made_up = random::<32>();
    let nonce = pow::solve(&made_up, BITS).unwrap();
    keys.newcomer(&proof(&made_up, &nonce)).await.refused(402, "proof_of_work_invalid");
    for (challenge, nonce) in [(&[][..], &nonce[..]), (&made_up[..], &[][..])] {
        keys.newcomer(&proof(challenge, nonce)).await.refused(402, "proof_of_work_invalid");
    }

    let challenge = unbase64(&keys.required().await["challenge"]);
    let good = pow::solve(&challenge, BITS).unwrap();
    let bad = (0..=u64::MAX).map(u64::to_be_bytes).find(|n| !pow::is_proof(&challenge, n, BITS));
    keys.newcomer(&proof(&challenge, &bad.unwrap())).await.refused(402, "proof_of_work_invalid");
    keys.newcomer(&proof(&challenge, &good)).await.refused(402, "proof_of_work_invalid");
    assert_eq!(keys.accounts().await, 0);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_registration_that_comes_again_costs_no_more_work(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::ProofOfWork).await;
    let (alice, work) = (Person::new(), keys.work().await);

    let first = keys.register_with(&alice, "a", work.clone()).await.created();

    assert_eq!(keys.register_with(&alice, "a", work).await.ok(), first);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_challenge_for_work_waits_for_its_time_only(db: PgPool) {
    let keys = TestKeys::start_guarded(db, RegistrationMode::ProofOfWork).await;
    let challenge = unbase64(&keys.required().await["challenge"]);

    let ttl: i64 = redis::cmd("PTTL")
        .arg(format!("keys:{{{}}}:work", hex(&challenge)))
        .query_async(&mut keys.redis.commands())
        .await
        .unwrap();

    assert!((1..=300_000).contains(&ttl), "{ttl}");
}
