//! Announcements to gateways.

use std::time::Duration;

use sotto_messages::MessagesConfig;
use sotto_proto::socket::MessageClass;
use sqlx::PgPool;

use crate::harness::{Answer, Congestion, Letter, Link, Stage, gateway, id_of, wait_for};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_envelope_goes_to_the_gateway_that_holds_its_device(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let (name, other) = (gateway(), gateway());
    let mut link = Link::attach(&replica, &name).await;
    let mut other_link = Link::attach(&replica, &other).await;
    let (alice, bob) = (stage.account(1), stage.account(2));
    stage.online(bob[0], &other, 0xB0B1).await;
    let letter = Letter::new(alice[0], &bob, stage.now_ms());

    assert_eq!(link.send(&letter).await, Answer::Accepted);

    let (connection, envelope) = other_link.delivery().await;
    assert_eq!(connection, 0xB0B1);
    assert_eq!(id_of(&envelope), letter.envelope_id(bob[0]));
    let page = link.pull(bob[1], &[], 10).await;
    assert_eq!(page.envelopes.len(), 1, "the device that is away finds its own later");
    assert!(!link.has_delivery(), "nothing went to the gateway of the sender");
    stage.end().await;
}

/// What is stored at one replica is announced by it, to a gateway that others know
/// too: every gateway is attached to every replica.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_envelope_crosses_from_the_replica_that_stored_it(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let (here, there) = (stage.replica().await, stage.replica().await);
    let name = gateway();
    let mut link_here = Link::attach(&here, &name).await;
    let mut link_there = Link::attach(&there, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;
    let first = Letter::new(alice[0], &bob, stage.now_ms());
    let second = Letter::new(alice[0], &bob, stage.now_ms() + 1);

    assert_eq!(link_here.send(&first).await, Answer::Accepted);
    assert_eq!(link_there.send(&second).await, Answer::Accepted);

    assert_eq!(id_of(&link_here.delivery().await.1), first.envelope_id(bob[0]));
    assert_eq!(id_of(&link_there.delivery().await.1), second.envelope_id(bob[0]));
    let page = link_there.pull(bob[0], &[], 10).await;
    assert_eq!(page.envelopes.len(), 2, "one queue, whichever replica is asked");
    stage.end().await;
}

/// I-3. It fails where a device has another writer each time.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn announcements_of_one_sender_keep_their_order(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let name = gateway();
    let mut link = Link::attach(&stage.replica().await, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;
    let letters: Vec<Letter> =
        (0..300).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();

    for part in letters.chunks(7) {
        link.submit(part).await;
    }

    for letter in &letters {
        assert_eq!(id_of(&link.delivery().await.1), letter.envelope_id(bob[0]));
    }
    stage.end().await;
}

/// Announcements to it are dropped. The rows are all there when it reads again.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_that_does_not_read_harms_nobody_and_loses_nothing(db: PgPool) {
    let never = |config: &mut MessagesConfig| config.downlink.renew_every = Duration::from_hours(1);
    let mut scene = Congestion::set(db, never).await;

    scene.fill_up(MessageClass::Unspecified).await;

    let mut found = Vec::new();
    while found.len() < 150 {
        let page = scene.slow.pull(scene.bob, &found, 100).await;
        assert!(!page.envelopes.is_empty());
        found.extend(page.envelopes.iter().map(id_of));
    }
    assert_eq!(found, scene.stage.queue(scene.bob).await);
    scene.stage.end().await;
}

/// The gateway cannot know which of its sockets should have been told. When it
/// attaches anew, it has all of them read their queues.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_whose_announcements_were_dropped_is_made_to_attach_anew(db: PgPool) {
    let at_once = |config: &mut MessagesConfig| config.downlink.renew_every = Duration::ZERO;
    let mut scene = Congestion::set(db, at_once).await;
    scene.fill_up(MessageClass::Unspecified).await;

    assert!(scene.slow.ending().await.is_ok(), "it gets what was ready, then the end");

    assert!(scene.slow.has_delivery());
    let mut slow = Link::attach(&scene.replica, &scene.slow_name).await;
    let letter = scene.letter(150);
    assert_eq!(scene.link.send(&letter).await, Answer::Accepted, "the others keep their streams");
    // An announcement of before may only come now: it follows the answer to the sender.
    while id_of(&slow.delivery().await.1) != letter.envelope_id(scene.bob) {}
    scene.stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_that_is_attached_nowhere_near_costs_nothing(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &gateway(), 5).await;
    let letter = Letter::new(alice[0], &bob, stage.now_ms());

    assert_eq!(link.send(&letter).await, Answer::Accepted);

    wait_for("the row", async || stage.queue(bob[0]).await.len() == 1).await;
    stage.end().await;
}
