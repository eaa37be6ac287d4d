//! Many at once.

use std::collections::HashSet;

use futures_util::future::join_all;
use sotto_messages::MessagesConfig;
use sqlx::PgPool;
use uuid::Uuid;

use crate::harness::{Answer, Letter, Link, MINUTE, Stage, gateway, id_of};

const SENDERS: u64 = 50;
const LETTERS: u64 = 40;

/// Two replicas; every letter is sent twice, the second time by the way of the other
/// replica and backwards, while the first is still on its way.
/// It fails where `ON CONFLICT DO NOTHING` is taken away.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_crowd_finds_each_of_its_letters_exactly_once(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replicas = [stage.replica().await, stage.replica().await];
    let bob = stage.account(2);
    let senders: Vec<_> = (0..SENDERS).map(|_| stage.account(1)[0]).collect();
    let letters: Vec<Vec<Letter>> = senders
        .iter()
        .map(|sender| {
            (0..LETTERS).map(|n| Letter::new(*sender, &bob, stage.now_ms() + n)).collect()
        })
        .collect();

    let sending = letters.iter().enumerate().flat_map(|(index, letters)| {
        let replicas = &replicas;
        let backwards: Vec<Letter> = letters.iter().rev().cloned().collect();
        [(index % 2, letters.clone()), ((index + 1) % 2, backwards)].map(
            |(way, letters)| async move {
                let mut link = Link::attach(&replicas[way], &gateway()).await;
                let frames = link.submit(&letters).await;
                let mut accepted = 0;
                for frame in frames {
                    accepted += u64::from(link.answer(frame).await == Answer::Accepted);
                }
                accepted
            },
        )
    });
    let accepted: u64 = join_all(sending).await.into_iter().sum();

    assert_eq!(accepted, SENDERS * LETTERS * 2);
    for device in bob {
        let queue = stage.queue(device).await;
        let expected: HashSet<Uuid> =
            letters.iter().flatten().map(|letter| letter.envelope_id(device)).collect();
        assert_eq!(queue.len(), expected.len());
        assert_eq!(queue.into_iter().collect::<HashSet<_>>(), expected);
    }
    stage.end().await;
}

/// Two replicas store the same sends at the same time in opposite orders, again and
/// again. Where rows are inserted unsorted, Postgres finds the two waiting for each
/// other, and fails one of them.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn replicas_that_store_the_same_sends_do_not_wait_for_each_other_in_a_circle(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let one_writer = |config: &mut MessagesConfig| config.commit.writers = 1;
    let (here, there) =
        (stage.replica_with(one_writer).await, stage.replica_with(one_writer).await);
    let (mut forth, mut back) =
        (Link::attach(&here, &gateway()).await, Link::attach(&there, &gateway()).await);
    let (alice, bob) = (stage.account(1)[0], stage.account(1));

    for round in 0..40 {
        let letters: Vec<Letter> =
            (0..200).map(|n| Letter::new(alice, &bob, stage.now_ms() + 1000 * round + n)).collect();
        let backwards: Vec<Letter> = letters.iter().rev().cloned().collect();
        let (forth_frames, back_frames) =
            tokio::join!(forth.submit(&letters), back.submit(&backwards));
        for (forth_frame, back_frame) in forth_frames.into_iter().zip(back_frames) {
            assert_eq!(forth.answer(forth_frame).await, Answer::Accepted);
            assert_eq!(back.answer(back_frame).await, Answer::Accepted);
        }
    }

    assert_eq!(stage.queue(bob[0]).await.len(), 40 * 200);
    stage.end().await;
}

/// I-2. A device reads its queue page by page while others write to it, acknowledging as
/// it goes, as a gateway would: it finds everything, and nothing twice.
/// It fails where a page does not leave out what is acknowledged and not deleted yet.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_reader_among_writers_misses_nothing_and_sees_nothing_twice(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replica = stage.replica().await;
    let bob = stage.account(1)[0];
    let senders: Vec<_> = (0..20).map(|_| stage.account(1)[0]).collect();
    let now_ms = stage.now_ms();

    let writing = join_all(senders.iter().map(|sender| async {
        let mut link = Link::attach(&replica, &gateway()).await;
        for n in 0..LETTERS {
            let letter = Letter::new(*sender, &[bob], now_ms + n);
            assert_eq!(link.send(&letter).await, Answer::Accepted);
        }
    }));
    let reading = async {
        let mut link = Link::attach(&replica, &gateway()).await;
        let mut seen = Vec::new();
        while seen.len() < 20 * usize::try_from(LETTERS).unwrap() {
            let page = link.pull(bob, &[], 7).await;
            let ids: Vec<Uuid> = page.envelopes.iter().map(id_of).collect();
            link.acknowledge(bob, &ids).await;
            seen.extend(ids);
        }
        seen
    };
    let both = async { tokio::join!(writing, reading) };
    let (_, seen) = tokio::time::timeout(MINUTE, both).await.expect("it finds everything");

    let distinct: HashSet<&Uuid> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "nothing twice");
    stage.end().await;
}
