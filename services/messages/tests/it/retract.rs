//! What its sender takes back.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use sotto_proto::messages::uplink::Item;
use sqlx::PgPool;
use uuid::Uuid;

use crate::harness::{Answer, Letter, Link, Stage, gateway, id_of, wait_for};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_retracted_message_waits_no_longer_for_the_devices_that_are_named(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(3));
    let [kept, retracted] = [0, 1].map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n));
    link.send(&kept).await;
    link.send(&retracted).await;

    let answer = link.retract(&retracted, alice[0], &bob[..2]).await;

    assert_eq!(answer, Answer::Retracted);
    for device in &bob[..2] {
        assert_eq!(stage.queue(*device).await, [kept.envelope_id(*device)]);
    }
    assert_eq!(stage.queue(bob[2]).await.len(), 2, "it was not named");
    assert_eq!(link.retract(&retracted, alice[0], &bob[..2]).await, Answer::Retracted, "again");
    stage.end().await;
}

/// It fails where the ids are derived from anybody but who asks.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn only_the_device_that_sent_a_message_takes_it_back(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob, mallory) = (stage.account(2), stage.account(1), stage.account(1));
    let letter = Letter::new(alice[0], &bob, stage.now_ms());
    link.send(&letter).await;
    let before = stage.dump().await;

    for other in [alice[1], bob[0], mallory[0]] {
        assert_eq!(link.retract(&letter, other, &bob).await, Answer::Retracted);
    }

    assert_eq!(stage.dump().await, before, "and nobody learns whether there was anything");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_was_revoked_takes_nothing_back(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(2), stage.account(1));
    let letter = Letter::new(alice[1], &bob, stage.now_ms());
    link.send(&letter).await;
    stage.keys.set("socialink", &alice[..1]);
    stage.clock.advance(Duration::from_secs(10));

    let answer = link.retract(&letter, alice[1], &bob).await;

    assert_eq!(answer.reason(), "unknown_sender");
    assert_eq!(stage.queue(bob[0]).await.len(), 1);
    stage.end().await;
}

/// Of each pair of letters the first is sent and retracted in one breath, by way of two
/// replicas and many senders at once. It fails where a writer deletes before it stores,
/// and where retractions take another way than sends.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_crowd_that_retracts_what_it_has_just_sent_leaves_exactly_the_rest(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replicas = [stage.replica().await, stage.replica().await];
    let bob = stage.account(2);
    let now_ms = stage.now_ms();
    let senders: Vec<_> = (0..40).map(|_| stage.account(1)[0]).collect();

    let sending = senders.iter().enumerate().map(|(index, sender)| {
        let (replica, bob) = (&replicas[index % 2], &bob);
        async move {
            let mut link = Link::attach(replica, &gateway()).await;
            let mut kept = Vec::new();
            let mut items = Vec::new();
            for n in 0..15 {
                let [gone, stays] = [0, 1].map(|m| Letter::new(*sender, bob, now_ms + 2 * n + m));
                items.push(Item::Submit(gone.submit(1, 10 * n + 1001)));
                items.push(Item::Retract(gone.retraction(*sender, bob, 1, 10 * n + 1002)));
                items.push(Item::Submit(stays.submit(1, 10 * n + 1003)));
                kept.push(stays);
            }
            link.push_items(items).await;
            for n in 0..15 {
                assert_eq!(link.answer(10 * n + 1001).await, Answer::Accepted);
                assert_eq!(link.answer(10 * n + 1002).await, Answer::Retracted);
                assert_eq!(link.answer(10 * n + 1003).await, Answer::Accepted);
            }
            kept
        }
    });
    let kept: Vec<Letter> = join_all(sending).await.into_iter().flatten().collect();

    for device in bob {
        let queue: HashSet<Uuid> = stage.queue(device).await.into_iter().collect();
        let expected: HashSet<Uuid> =
            kept.iter().map(|letter| letter.envelope_id(device)).collect();
        assert_eq!(queue.symmetric_difference(&expected).count(), 0);
    }
    stage.end().await;
}

/// I-2. What is accepted after its retraction is durable like anything else. It fails where a
/// batch takes a send behind a retraction of the same.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_send_that_comes_again_after_its_retraction_is_stored(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let gathering =
        stage.replica_with(|config| config.commit.collect = Duration::from_millis(100)).await;
    let mut link = Link::attach(&gathering, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letters: Vec<Letter> =
        (0..40).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();

    let items = letters.iter().zip(0..).flat_map(|(letter, n)| {
        [
            Item::Submit(letter.submit(1, 10 * n + 1001)),
            Item::Retract(letter.retraction(alice[0], &bob, 1, 10 * n + 1002)),
            Item::Submit(letter.submit(1, 10 * n + 1003)),
        ]
    });
    link.push_items(items.collect()).await;
    for n in 0..40 {
        assert_eq!(link.answer(10 * n + 1001).await, Answer::Accepted);
        assert_eq!(link.answer(10 * n + 1002).await, Answer::Retracted);
        assert_eq!(link.answer(10 * n + 1003).await, Answer::Accepted);
    }

    assert_eq!(stage.queue(bob[0]).await.len(), 40);
    stage.end().await;
}

/// I-2. What stands in the queue is announced, though its sender wanted it gone. It fails
/// where what is to be deleted counts as gone before it is.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_could_not_be_taken_back_is_announced(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let gathering =
        stage.replica_with(|config| config.commit.collect = Duration::from_millis(100)).await;
    let name = gateway();
    let mut link = Link::attach(&gathering, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;
    let nothing_is_deleted = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
        CREATE TRIGGER refuse BEFORE DELETE ON messages.queue
            FOR EACH ROW EXECUTE FUNCTION refuse();";
    sqlx::raw_sql(nothing_is_deleted).execute(&stage.db).await.unwrap();
    let letter = Letter::new(alice[0], &bob, stage.now_ms());

    let (sent, retracted) = (letter.submit(1, 1001), letter.retraction(alice[0], &bob, 1, 1002));
    link.push_items(vec![Item::Submit(sent), Item::Retract(retracted)]).await;

    assert_eq!(link.answer(1001).await, Answer::Accepted);
    assert_eq!(link.answer(1002).await.reason(), "unavailable");
    assert_eq!(id_of(&link.delivery().await.1), letter.envelope_id(bob[0]));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn retractions_count_against_the_credit(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(|config| config.credit = 3).await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letter = Letter::new(alice[0], &bob, stage.now_ms());

    for _ in 0..20 {
        assert_eq!(link.retract(&letter, alice[0], &bob).await, Answer::Retracted);
    }
    let many = (0..4).map(|n| Item::Retract(letter.retraction(alice[0], &bob, 1, 1000 + n)));
    link.push_items(many.collect()).await;

    assert!(link.ending().await.is_err());
    wait_for("nothing was there", async || stage.queue(bob[0]).await.is_empty()).await;
    stage.end().await;
}
