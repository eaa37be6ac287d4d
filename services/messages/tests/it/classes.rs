//! Normal, urgent and ephemeral.

use std::time::Duration;

use prost::Message as _;
use sotto_proto::socket::{Envelope, MessageClass};
use sqlx::PgPool;

use crate::harness::{
    Answer, Congestion, Letter, Link, Stage, Wire, gateway, id_of, redis_server, wait_for,
};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_urgent_send_waits_for_no_others_and_takes_along_those_that_wait(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let unhurried = stage
        .replica_with(|config| {
            config.commit.collect = Duration::from_hours(1);
            config.commit.writers = 1;
        })
        .await;
    let mut link = Link::attach(&unhurried, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let normal = Letter::new(alice[0], &bob, stage.now_ms());
    let urgent = Letter::new(alice[0], &bob, stage.now_ms() + 1).class(MessageClass::Urgent);

    let frames = link.submit(&[normal.clone(), urgent.clone()]).await;

    for frame in frames {
        assert_eq!(link.answer(frame).await, Answer::Accepted);
    }
    let page = link.pull(bob[0], &[], 10).await;
    let ids: Vec<_> = page.envelopes.iter().map(id_of).collect();
    assert_eq!(ids, [&normal, &urgent].map(|letter| letter.envelope_id(bob[0])));
    let classes: Vec<_> = page
        .envelopes
        .iter()
        .map(|stored| Envelope::decode(stored.encoded.clone()).unwrap().class())
        .collect();
    assert_eq!(classes, [MessageClass::Unspecified, MessageClass::Urgent]);
    stage.end().await;
}

/// It fails where an ephemeral send goes to the writer like the others.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_ephemeral_send_goes_to_sockets_and_into_no_row(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let (here, there) = (stage.replica().await, stage.replica().await);
    let name = gateway();
    let mut link = Link::attach(&here, &gateway()).await;
    let mut other_link = Link::attach(&here, &name).await;
    let elsewhere = Link::attach(&there, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    stage.online(bob[0], &name, 0xB0B1).await;
    let before = stage.dump().await;
    let typing = |n| {
        Letter::new(alice[0], &bob, stage.now_ms() + n)
            .class(MessageClass::Ephemeral)
            .body("typing")
    };

    for n in 0..40 {
        assert_eq!(link.send(&typing(n)).await, Answer::Accepted);
    }

    for _ in 0..40 {
        let (connection, envelope) = other_link.ephemeral().await;
        assert_eq!((connection, envelope.class()), (0xB0B1, MessageClass::Ephemeral));
        assert_eq!(envelope.ciphertext, "typing");
        assert_eq!(envelope.sender, alice[0].address.account.as_bytes().as_slice());
    }
    // What a writer had been given before this would be durable with it.
    let carol = stage.account(1);
    let letter = Letter::new(alice[0], &carol, stage.now_ms());
    assert_eq!(link.send(&letter).await, Answer::Accepted);
    link.acknowledge(carol[0], &[letter.envelope_id(carol[0])]).await;
    wait_for("the letter goes", async || stage.queue(carol[0]).await.is_empty()).await;
    drop(elsewhere);
    assert!(link.pull(bob[1], &[], 10).await.envelopes.is_empty());
    assert_eq!(stage.dump().await, before, "no row, of whichever device");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_ephemeral_send_is_judged_like_any_other(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    let stranger = stage.account_of("lonely", 1);
    let revoked = stage.account(2);
    stage.keys.set("socialink", &revoked[..1]);
    let ephemeral =
        |from, to: &[_]| Letter::new(from, to, stage.now_ms()).class(MessageClass::Ephemeral);

    let too_few = link.send(&ephemeral(alice[0], &bob[..1])).await;
    let to_stranger = link.send(&ephemeral(alice[0], &stranger)).await;
    let from_revoked = link.send(&ephemeral(revoked[1], &bob)).await;
    let with_ttl = link.send(&ephemeral(alice[0], &bob).ttl(5)).await;
    let large = link.send(&ephemeral(alice[0], &bob).body(vec![1; 4097])).await;

    assert!(matches!(too_few, Answer::Mismatch(mismatch) if mismatch.missing == [2]));
    assert_eq!(to_stranger.reason(), "not_interoperable");
    assert_eq!(from_revoked.reason(), "unknown_sender");
    assert_eq!(with_ttl.reason(), "ephemeral_ttl");
    assert_eq!(large.reason(), "ephemeral_too_large");
    stage.end().await;
}

/// The slow gateway does not read. Announcements that are lost would end its stream;
/// what is not stored never does. It fails where that may take all of the room.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn what_is_not_stored_takes_no_room_from_what_is(db: PgPool) {
    let mut scene = Congestion::set(db, |config| {
        config.downlink.renew_every = Duration::ZERO;
        config.ephemeral.max_bytes.0 = 64 * 1024;
    })
    .await;
    scene.fill_up(MessageClass::Ephemeral).await;

    let letter = scene.letter(0);
    assert_eq!(scene.link.send(&letter).await, Answer::Accepted);

    assert_eq!(id_of(&scene.slow.delivery().await.1), letter.envelope_id(scene.bob));
    scene.stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn without_redis_what_is_not_stored_is_dropped_and_passes_when_it_is_back(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let wire = Wire::to(redis_server()).await;
    let replica = stage.replica_over_redis(&wire, Duration::from_hours(1)).await;
    let name = gateway();
    let mut link = Link::attach(&replica, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;
    let typing = |n| Letter::new(alice[0], &bob, stage.now_ms() + n).class(MessageClass::Ephemeral);

    wire.cut();
    assert_eq!(link.send(&typing(0)).await, Answer::Accepted);
    wire.mend();

    let mut n = 0;
    wait_for("it passes again", async || {
        n += 1;
        assert_eq!(link.send(&typing(n)).await, Answer::Accepted);
        link.take_deliveries() > 0
    })
    .await;
    stage.end().await;
}
