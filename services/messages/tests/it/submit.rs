//! What is accepted is durable, and stored once.

use prost::Message as _;
use sotto_ids::DeviceId;
use sotto_proto::socket::Envelope;
use sqlx::PgPool;

use crate::harness::{Answer, Letter, Link, Stage, gateway};

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_accepted_send_waits_for_every_device_of_its_recipient(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(3));
    let letter = Letter::new(alice[0], &bob, stage.now_ms());

    let answer = link.send(&letter).await;

    assert_eq!(answer, Answer::Accepted);
    for device in bob {
        assert_eq!(stage.queue(device).await, [letter.envelope_id(device)]);
    }
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn an_envelope_says_who_sent_it_and_carries_the_ciphertext_untouched(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(2), stage.account(1));
    let body: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();

    link.send(&Letter::new(alice[1], &bob, stage.now_ms()).body(body.clone())).await;

    let page = link.pull(bob[0], &[], 10).await;
    let envelope = Envelope::decode(page.envelopes[0].encoded.clone()).unwrap();
    assert_eq!(envelope.id, page.envelopes[0].id);
    assert_eq!(envelope.sender, alice[1].address.account.as_bytes().as_slice());
    assert_eq!(envelope.sender_device, 2);
    assert_eq!(envelope.server_time_ms, stage.now_ms());
    assert_eq!(envelope.ciphertext, body);
    stage.end().await;
}

/// I-3. It fails where `ON CONFLICT DO NOTHING` is taken away.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_send_that_comes_again_is_accepted_and_stored_once(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let (here, there) = (stage.replica().await, stage.replica().await);
    let mut link = Link::attach(&here, &gateway()).await;
    let mut other_link = Link::attach(&there, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letter = Letter::new(alice[0], &bob, stage.now_ms());

    let frames = link.submit(&[letter.clone(), letter.clone()]).await;
    let answers = [
        link.answer(frames[0]).await,
        link.answer(frames[1]).await,
        other_link.send(&letter).await,
    ];

    assert_eq!(answers, [Answer::Accepted, Answer::Accepted, Answer::Accepted]);
    assert_eq!(stage.queue(bob[0]).await, [letter.envelope_id(bob[0])]);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_writes_to_the_others_of_its_account_and_not_to_itself(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let alice = stage.account(3);

    let to_the_others = link.send(&Letter::new(alice[0], &alice[1..], stage.now_ms())).await;
    let to_all = link.send(&Letter::new(alice[0], &alice, stage.now_ms())).await;

    assert_eq!(to_the_others, Answer::Accepted);
    let Answer::Mismatch(mismatch) = to_all else { panic!("{to_all:?}") };
    assert_eq!(mismatch.extra, [u32::from(DeviceId::FIRST)]);
    assert!(stage.queue(alice[0]).await.is_empty());
    assert_eq!(stage.queue(alice[1]).await.len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn the_sends_of_one_device_wait_in_the_order_in_which_they_were_made(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let mut link = Link::attach(&stage.replica().await, &gateway()).await;
    let (alice, bob) = (stage.account(1), stage.account(1));
    let letters: Vec<Letter> =
        (0..200).map(|n| Letter::new(alice[0], &bob, stage.now_ms() + n)).collect();

    for frame in link.submit(&letters).await {
        assert_eq!(link.answer(frame).await, Answer::Accepted);
    }

    let expected: Vec<_> = letters.iter().map(|letter| letter.envelope_id(bob[0])).collect();
    assert_eq!(stage.queue(bob[0]).await, expected);
    stage.end().await;
}
