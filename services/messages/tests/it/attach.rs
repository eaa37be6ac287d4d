//! The stream between a gateway and a replica.

use sotto_proto::messages::GatewayBatch;
use sqlx::PgPool;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Answer, Letter, Link, Stage, attaching, gateway, id_of};

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_says_first_who_it_is(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;

    for (first, expected) in [
        (GatewayBatch::default(), "attach_first"),
        (attaching(""), "malformed_gateway"),
        (attaching("a/b"), "malformed_gateway"),
        (attaching(&"g".repeat(65)), "malformed_gateway"),
    ] {
        let status = Link::open(&replica, first).await.err().unwrap();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, expected));
    }
    assert_eq!(Link::attach(&replica, &gateway()).await.credit, 1024);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_that_attaches_anew_takes_over_from_its_old_stream(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let name = gateway();
    let mut old = Link::attach(&replica, &name).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    stage.online(bob[0], &name, 5).await;

    let mut new = Link::attach(&replica, &name).await;

    let ending = old.ending().await.unwrap_err();
    assert_eq!((ending.code(), reason(&ending).as_str()), (Code::Aborted, "replaced"));
    let letter = Letter::new(alice[0], &bob, stage.now_ms());
    assert_eq!(new.send(&letter).await, Answer::Accepted);
    assert_eq!(id_of(&new.delivery().await.1), letter.envelope_id(bob[0]));
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_that_sends_past_its_credit_is_cut_off(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica_with(|config| config.credit = 3).await;
    let mut link = Link::attach(&replica, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letter = |n| Letter::new(alice[0], &bob, stage.now_ms() + n);
    assert_eq!(link.credit, 3);

    for frame in link.submit(&[letter(1), letter(2), letter(3)]).await {
        assert_eq!(link.answer(frame).await, Answer::Accepted);
    }
    link.submit(&[letter(4), letter(5), letter(6), letter(7)]).await;

    let ending = link.ending().await.unwrap_err();
    assert_eq!(reason(&ending), "credit_exceeded");
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_gateway_that_leaves_is_forgotten_and_its_sends_are_kept(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letters: Vec<Letter> =
        (0..20).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();
    let mut leaving = Link::attach(&replica, &gateway()).await;

    leaving.submit(&letters).await;
    leaving.leave();

    assert!(leaving.ending().await.is_ok(), "it hears the outcomes, then the end");
    assert_eq!(leaving.answers(), 20);
    assert_eq!(stage.queue(bob[0]).await.len(), 20);
    stage.end().await;
}
