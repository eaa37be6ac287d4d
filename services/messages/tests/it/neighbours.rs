//! What happens while a neighbour is away, and what is remembered of keys.

use std::time::Duration;

use sqlx::PgPool;

use crate::harness::{
    Answer, Device, Letter, Link, Stage, Wire, connect_redis, gateway, id_of, redis_server,
    redis_url, wait_for,
};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn without_keys_a_send_is_refused_for_now_unless_its_devices_are_remembered(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob, carol) = (stage.account(1), stage.account(2), stage.account(1));
    link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;

    stage.keys.kill().await;
    let to_bob = link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;
    let to_some_of_bob = link.send(&Letter::new(alice[0], &bob[..1], stage.now_ms())).await;
    let to_carol = link.send(&Letter::new(alice[0], &carol, stage.now_ms())).await;

    assert_eq!(to_bob, Answer::Accepted, "what is remembered admits");
    for refused in [to_some_of_bob, to_carol] {
        assert_eq!(refused.reason(), "unavailable");
        let Answer::Refused(error) = refused else { unreachable!() };
        assert_ne!(error.retry_after_ms, 0);
    }
    assert!(stage.queue(carol[0]).await.is_empty());
    stage.end().await;
}

/// What is remembered turns one of them away, and the other passes all the same.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn without_keys_a_wrong_send_does_not_harm_a_right_one_in_the_same_batch(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;
    stage.keys.kill().await;

    let letters = [&bob[..], &bob[..1]].map(|to| Letter::new(alice[0], to, stage.now_ms()));
    let frames = link.submit(&letters).await;

    assert_eq!(link.answer(frames[0]).await, Answer::Accepted);
    assert_eq!(link.answer(frames[1]).await.reason(), "unavailable");
    stage.end().await;
}

/// Its token lives on for minutes.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_was_revoked_sends_nothing_more(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(2), stage.account(1));
    let mut n = 0;
    let mut send = async |link: &mut Link, to: &[Device]| {
        n += 1;
        link.send(&Letter::new(alice[1], to, stage.now_ms() + n)).await
    };
    assert_eq!(send(&mut link, &bob).await, Answer::Accepted);

    stage.keys.set("socialink", &alice[..1]);
    stage.device_changes.publish(alice[0].address.account).await.unwrap();

    wait_for("the change", async || {
        matches!(send(&mut link, &bob).await, Answer::Refused(error)
            if error.reason == "unknown_sender" && error.retry_after_ms == 0)
    })
    .await;
    let before = stage.queue(bob[0]).await.len();
    assert_eq!(send(&mut link, &bob).await.reason(), "unknown_sender");
    assert_eq!(send(&mut link, &alice[..1]).await.reason(), "unknown_sender");
    assert_eq!(stage.queue(bob[0]).await.len(), before);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_was_added_a_moment_ago_may_send(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(2), stage.account(1));
    stage.keys.set("socialink", &alice[..1]);
    link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;

    stage.keys.set("socialink", &alice);
    let answer = link.send(&Letter::new(alice[1], &bob, stage.now_ms())).await;

    assert_eq!(answer, Answer::Accepted, "keys is asked again before it is refused");
    assert_eq!(stage.asked(), 2);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn keys_is_asked_once_for_a_batch_and_not_again_while_it_is_remembered(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let alice = stage.account(1);
    let letters: Vec<Letter> =
        (0..100).map(|_| Letter::new(alice[0], &stage.account(1), stage.now_ms())).collect();

    for frame in link.submit(&letters).await {
        assert_eq!(link.answer(frame).await, Answer::Accepted);
    }
    assert_eq!(stage.asked(), 1);
    link.send(&letters[0]).await;
    assert_eq!(stage.asked(), 1);

    stage.clock.advance(Duration::from_secs(10));
    link.send(&letters[0]).await;
    assert_eq!(stage.asked(), 2, "it has grown too old");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_was_added_a_moment_ago_is_not_called_extra(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    stage.keys.set("socialink", &bob[..1]);
    link.send(&Letter::new(alice[0], &bob[..1], stage.now_ms())).await;

    stage.keys.set("socialink", &bob);
    let answer = link.send(&Letter::new(alice[0], &bob, stage.now_ms())).await;

    assert_eq!(answer, Answer::Accepted);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_change_that_is_told_counts_at_once(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    let renewed = Device { registration_id: 7, ..bob[1] };
    let mut n = 0;
    let mut to_bob = async |link: &mut Link| {
        n += 1;
        link.send(&Letter::new(alice[0], &bob, stage.now_ms() + n)).await
    };
    assert_eq!(to_bob(&mut link).await, Answer::Accepted);

    stage.keys.set("socialink", &[bob[0], renewed]);
    stage.device_changes.publish(bob[0].address.account).await.unwrap();

    wait_for("the change", async || {
        matches!(to_bob(&mut link).await, Answer::Mismatch(mismatch) if mismatch.stale == [2])
    })
    .await;
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn without_redis_a_send_is_accepted_and_its_gateway_attaches_anew_afterwards(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let wire = Wire::to(redis_server()).await;
    let replica = stage.replica_over_redis(&wire, Duration::ZERO).await;
    let name = gateway();
    let mut link = Link::attach(&replica, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;

    wire.cut();
    let unheard = Letter::new(alice[0], &bob, stage.now_ms());
    assert_eq!(link.send(&unheard).await, Answer::Accepted);
    let page = link.pull(bob[0], &[], 10).await;
    assert_eq!(page.envelopes.len(), 1);
    assert!(!link.has_delivery());

    // Nobody sends anything more: the replica finds out by itself.
    wire.mend();
    assert!(link.ending().await.is_ok());

    let mut link = Link::attach(&replica, &name).await;
    let heard = Letter::new(alice[0], &bob, stage.now_ms() + 1);
    assert_eq!(link.send(&heard).await, Answer::Accepted);
    assert_eq!(id_of(&link.delivery().await.1), heard.envelope_id(bob[0]));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_outage_of_redis_renews_no_stream_that_is_too_young(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let wire = Wire::to(redis_server()).await;
    let replica = stage.replica_over_redis(&wire, Duration::from_hours(1)).await;
    let name = gateway();
    let mut link = Link::attach(&replica, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;

    for round in 0..2 {
        wire.cut();
        let unheard = Letter::new(alice[0], &bob, stage.now_ms() + 1000 * round);
        assert_eq!(link.send(&unheard).await, Answer::Accepted);
        wire.mend();
        let mut n = 0;
        wait_for("announcements go on, on the same stream", async || {
            n += 1;
            let at_ms = stage.now_ms() + 1000 * round + n;
            link.send(&Letter::new(alice[0], &bob, at_ms)).await;
            link.take_deliveries() > 0
        })
        .await;
    }
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn without_postgres_a_send_is_refused_for_now_and_passes_when_it_is_back(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let postgres = stage.db.connect_options().as_ref().clone();
    let wire = Wire::to(format!("{}:{}", postgres.get_host(), postgres.get_port())).await;
    let over_the_wire = postgres.host("127.0.0.1").port(wire.address.port());
    let redis = connect_redis(&redis_url()).await;
    let replica = stage
        .replica_over(over_the_wire, redis, |config| {
            config.store_timeout = Duration::from_secs(1);
        })
        .await;
    let name = gateway();
    let mut link = Link::attach(&replica, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;
    let letter = Letter::new(alice[0], &bob, stage.now_ms());

    wire.cut();
    let refused = link.send(&letter).await;
    assert_eq!(refused.reason(), "unavailable");
    assert!(link.pull(bob[0], &[], 10).await.failed);
    assert!(stage.queue(bob[0]).await.is_empty());

    wire.mend();
    wait_for("it is back", async || link.send(&letter).await == Answer::Accepted).await;
    assert_eq!(stage.queue(bob[0]).await, [letter.envelope_id(bob[0])]);
    assert_eq!(id_of(&link.delivery().await.1), letter.envelope_id(bob[0]));
    stage.end().await;
}
