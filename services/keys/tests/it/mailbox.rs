//! Mailboxes through which a device is linked.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode, header::CONTENT_TYPE};
use sotto_keys::KeysConfig;
use sqlx::PgPool;

use crate::harness::{Answer, TestKeys, random, wait_until};

/// Longer than any test takes, on whatever machine.
const LONG: Duration = Duration::from_mins(10);

impl TestKeys {
    async fn open_mailbox(&self) -> String {
        let body = self.call(Method::POST, "/v1/link", None, Some(serde_json::json!({}))).await;
        body.created()["link_id"].as_str().unwrap().to_owned()
    }

    async fn leave(&self, link: &str, slot: &str, message: &[u8]) -> Answer {
        let path = format!("/v1/link/{link}/{slot}");
        let response = self
            .raw(Method::PUT, &path, |request| {
                request.header(CONTENT_TYPE, "application/octet-stream").body(message.to_vec())
            })
            .await;
        let status = response.status();
        Answer { status, bytes: response.bytes().await.unwrap().to_vec() }
    }

    async fn look(&self, link: &str, slot: &str, wait_ms: u64) -> Answer {
        self.get(&format!("/v1/link/{link}/{slot}?wait_ms={wait_ms}")).await
    }

    /// Waits for a message. Whoever finds all seats taken comes again: while a test looks
    /// whether they are, it sits on one of them itself.
    async fn wait_for(&self, link: &str, slot: &str) -> Answer {
        loop {
            let answer = self.look(link, slot, 600_000).await;
            if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
        }
    }

    /// Waits until as many requests wait in the process as may.
    async fn all_seats_are_taken(&self) {
        let elsewhere = self.open_mailbox().await;
        wait_until(|| async {
            self.look(&elsewhere, "answer", 1).await.status == StatusCode::SERVICE_UNAVAILABLE
        })
        .await;
    }
}

/// Looking by oneself is too seldom for a test to profit from it.
fn by_word_only(config: &mut KeysConfig) {
    config.mailbox.look_every = LONG;
    config.mailbox.longest_wait = LONG;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn two_devices_find_each_other(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let link = keys.open_mailbox().await;
    assert_eq!(keys.look(&link, "request", 0).await.status, StatusCode::NO_CONTENT);

    let left = keys.leave(&link, "request", b"\0sealed").await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    assert_eq!(keys.look(&link, "request", 0).await.bytes, b"\0sealed");
    assert_eq!(keys.look(&link, "answer", 0).await.status, StatusCode::NO_CONTENT);

    keys.leave(&link, "answer", b"yes").await;
    for _ in 0..2 {
        assert_eq!(keys.look(&link, "answer", 0).await.bytes, b"yes", "it can be read again");
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_mailbox_has_a_name_that_nobody_guesses_and_two_minutes(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let opened = keys.call(Method::POST, "/v1/link", None, Some(serde_json::json!({}))).await;
    let opened = opened.created();

    let link = opened["link_id"].as_str().unwrap();
    let random = data_encoding::BASE64URL_NOPAD.decode(link.as_bytes()).unwrap();
    assert_eq!(random.len(), 24);
    assert_ne!(link, keys.open_mailbox().await);
    assert_eq!(opened["expires_at_ms"], crate::harness::NOW_MS + 120_000);
    keys.leave(link, "request", b"a").await;
    let ttl: i64 = redis::cmd("PTTL")
        .arg(format!("keys:{{{link}}}:mailbox"))
        .query_async(&mut keys.redis.commands())
        .await
        .unwrap();
    assert!((1..=120_000).contains(&ttl), "a message does not prolong it: {ttl}");
}

/// Caught: a slot that the last writer has.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn of_forty_messages_at_once_one_is_there_and_stays(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let link = keys.open_mailbox().await;
    let messages: Vec<_> = (0..40_u8).map(|number| [number; 100]).collect();

    let answers = join_all(messages.iter().map(|m| keys.leave(&link, "request", m))).await;

    let won: Vec<_> =
        answers.iter().zip(&messages).filter(|(a, _)| a.status == StatusCode::NO_CONTENT).collect();
    assert_eq!(won.len(), 1);
    let winner = won[0].1;
    assert_eq!(keys.look(&link, "request", 0).await.bytes, winner);
    for (answer, message) in answers.into_iter().zip(&messages) {
        if message != winner {
            answer.refused(409, "link_slot_taken");
        }
    }
    let again = keys.leave(&link, "request", winner).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT, "who never heard the answer asks again");
}

/// Caught: a reader that hears only of what its own process stored, and one that goes to
/// sleep between its look and its wait.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn all_who_wait_are_woken_by_a_message_that_another_process_took(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| {
        by_word_only(config);
        config.mailbox.most_waiting = 100;
    })
    .await;
    let other = keys.second_replica().await;
    let link = keys.open_mailbox().await;

    let readers = join_all((0..100).map(|_| keys.wait_for(&link, "answer")));
    let writer = async {
        keys.all_seats_are_taken().await;
        other.leave(&link, "answer", b"now").await
    };
    // Much sooner than they would look by themselves for the last time.
    let both = async { futures_util::join!(readers, writer) };
    let (heard, left) = tokio::time::timeout(LONG / 10, both).await.unwrap();

    assert_eq!(left.status, StatusCode::NO_CONTENT);
    assert!(heard.iter().all(|answer| answer.bytes == b"now"));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_message_of_which_word_was_lost_is_found_by_looking(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| {
        config.mailbox.look_every = Duration::from_millis(100);
        config.mailbox.longest_wait = LONG;
        config.mailbox.most_waiting = 1;
    })
    .await;
    let link = keys.open_mailbox().await;

    let write_in_silence = async {
        keys.all_seats_are_taken().await;
        redis::cmd("HSET")
            .arg(format!("keys:{{{link}}}:mailbox"))
            .arg("answer")
            .arg("quiet")
            .query_async::<i64>(&mut keys.redis.commands())
            .await
            .unwrap()
    };
    let (heard, _) = futures_util::join!(keys.wait_for(&link, "answer"), write_in_silence);

    assert_eq!(heard.bytes, b"quiet");
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn waiting_ends_with_nothing_when_its_time_is_over(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| {
        by_word_only(config);
        config.mailbox.longest_wait = Duration::from_millis(300);
    })
    .await;
    let link = keys.open_mailbox().await;

    for wait_ms in [50, 600_000] {
        let answer = keys.look(&link, "answer", wait_ms).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn whoever_waits_is_let_go_when_the_process_drains(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| {
        by_word_only(config);
        config.mailbox.most_waiting = 1;
    })
    .await;
    let link = keys.open_mailbox().await;

    let drain = async {
        keys.all_seats_are_taken().await;
        keys.lifecycle.drain();
    };
    // Much sooner than its time is over.
    let both = async { futures_util::join!(keys.wait_for(&link, "answer"), drain) };
    let (heard, ()) = tokio::time::timeout(LONG / 10, both).await.unwrap();

    assert_eq!(heard.status, StatusCode::NO_CONTENT);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn no_more_wait_than_may(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| {
        by_word_only(config);
        config.mailbox.most_waiting = 2;
    })
    .await;
    let link = keys.open_mailbox().await;

    let one_too_many = async {
        keys.all_seats_are_taken().await;
        let problem = keys.look(&link, "answer", 600_000).await.refused(503, "too_many_waiting");
        assert!(problem["retry_after_ms"].as_u64().is_some());
        let looked = keys.look(&link, "answer", 0).await;
        assert_eq!(looked.status, StatusCode::NO_CONTENT, "a look takes no seat");
        keys.leave(&link, "answer", b"a").await;
    };
    let waiting = join_all((0..2).map(|_| keys.wait_for(&link, "answer")));
    let (heard, ()) = futures_util::join!(waiting, one_too_many);

    assert!(heard.iter().all(|answer| answer.bytes == b"a"));
}

/// Caught: a message that makes its mailbox anew, and without an end.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_mailbox_is_gone_when_its_time_is_over(db: PgPool) {
    let keys = TestKeys::start_with(db, |config| {
        config.mailbox.ttl = Duration::from_millis(700);
        config.mailbox.look_every = Duration::from_millis(100);
    })
    .await;
    let link = keys.open_mailbox().await;
    keys.leave(&link, "request", b"a").await;

    let waited = keys.look(&link, "answer", 25_000).await;

    waited.refused(404, "no_such_link");
    keys.look(&link, "request", 0).await.refused(404, "no_such_link");
    keys.leave(&link, "answer", b"late").await.refused(404, "no_such_link");
    let is_there: bool = redis::cmd("EXISTS")
        .arg(format!("keys:{{{link}}}:mailbox"))
        .query_async(&mut keys.redis.commands())
        .await
        .unwrap();
    assert!(!is_there);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn each_wrong_request_has_its_name_and_leaves_nothing(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let link = keys.open_mailbox().await;
    let nobody_opened_it = data_encoding::BASE64URL_NOPAD.encode(&random::<24>());

    keys.leave(&link, "request", b"").await.refused(422, "link_message_empty");
    keys.leave(&link, "request", &vec![7; 16 * 1024 + 1]).await.refused(422, "body_too_large");
    keys.leave(&link, "requests", b"a").await.refused(422, "malformed_path");
    keys.leave("short", "request", b"a").await.refused(422, "malformed_path");
    keys.leave(&nobody_opened_it, "request", b"a").await.refused(404, "no_such_link");
    keys.look(&nobody_opened_it, "request", 0).await.refused(404, "no_such_link");
    keys.look(&nobody_opened_it, "request", 25_000).await.refused(404, "no_such_link");
    keys.get(&format!("/v1/link/{link}/request?wait_ms=-1")).await.refused(422, "malformed_query");
    let path = format!("/v1/link/{link}/request");
    let json = keys.call(Method::PUT, &path, None, Some(serde_json::json!({}))).await;
    json.refused(422, "unsupported_media_type");

    assert_eq!(keys.look(&link, "request", 0).await.status, StatusCode::NO_CONTENT);
    let largest = keys.leave(&link, "request", &vec![7; 16 * 1024]).await;
    assert_eq!(largest.status, StatusCode::NO_CONTENT);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn nothing_on_the_way_keeps_a_message(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let link = keys.open_mailbox().await;
    keys.leave(&link, "request", b"a").await;

    for slot in ["request", "answer"] {
        let path = format!("/v1/link/{link}/{slot}");
        let response = keys.raw(Method::GET, &path, |request| request).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}
