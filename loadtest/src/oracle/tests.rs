use std::convert::Infallible;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::*;

const BOUND: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_secs(1);

/// A run in which `count` messages go from each of three devices to each of two.
fn letters(count: u64) -> Vec<Letter> {
    let pairs = [(0, 10), (1, 10), (2, 10), (0, 11), (1, 11), (2, 11)];
    (0..count).flat_map(|number| pairs.map(|(from, to)| Letter { from, to, number })).collect()
}

fn accepted(letters: &[Letter]) -> Oracle {
    let oracle = Oracle::new();
    for letter in letters {
        oracle.offered(*letter, Instant::now());
        oracle.accepted(*letter, None);
    }
    oracle
}

async fn drained(oracle: &Oracle, queued: Queued) -> Drain {
    Drain::wait(oracle, BOUND, QUIET, async || Ok::<_, Infallible>(queued.clone())).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_run_without_faults_is_conserved_and_ordered() {
    let letters = letters(50);
    let oracle = accepted(&letters);
    for letter in &letters {
        oracle.shown(*letter);
    }

    let verdict = oracle.conclude(&drained(&oracle, Queued::new()).await);

    assert!(verdict.is_conserved() && verdict.is_ordered() && verdict.is_settled(), "{verdict:?}");
    assert_eq!((verdict.offered, verdict.accepted, verdict.shown), (300, 300, 300));
}

#[tokio::test(start_paused = true)]
async fn what_was_injected_is_found_whatever_it_was() {
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..40 {
        let letters = letters(20);
        let oracle = accepted(&letters);
        let mut arriving = letters.clone();
        let lost = arriving.remove(rng.random_range(0..arriving.len()));
        let twice = arriving[rng.random_range(0..arriving.len())];
        arriving.push(twice);
        // One whose predecessor of the same pair arrives after it.
        let late = *arriving
            .iter()
            .filter(|letter| letter.number < 19 && !same_pair(letter, &lost) && **letter != twice)
            .collect::<Vec<_>>()
            .choose(&mut rng)
            .copied()
            .unwrap();
        arriving.retain(|letter| *letter != late);
        arriving.push(late);

        for letter in &arriving {
            oracle.shown(*letter);
        }

        let verdict = oracle.conclude(&drained(&oracle, Queued::new()).await);
        assert_eq!(verdict.lost, Finding { count: 1, which: vec![lost] });
        assert_eq!(verdict.twice, Finding { count: 1, which: vec![twice] });
        assert_eq!(verdict.disordered, Finding { count: 1, which: vec![late] });
        assert!(!verdict.is_conserved() && !verdict.is_ordered());
    }
}

#[tokio::test(start_paused = true)]
async fn what_still_waits_in_a_queue_is_not_lost_and_not_settled() {
    let letters = letters(3);
    let oracle = accepted(&letters);
    for letter in letters.iter().filter(|letter| letter.to == 11) {
        oracle.shown(*letter);
    }

    let verdict = oracle.conclude(&drained(&oracle, Queued::from([(10, 8)])).await);

    assert_eq!((verdict.queued, verdict.lost.count), (8, 1), "nine are missing, eight wait");
    assert!(!verdict.is_settled());
}

#[tokio::test(start_paused = true)]
async fn what_expired_is_not_lost() {
    let oracle = Oracle::new();
    let letter = Letter { from: 0, to: 1, number: 0 };
    oracle.offered(letter, Instant::now());
    oracle.accepted(letter, Some(Instant::now() + BOUND / 2));

    let verdict = oracle.conclude(&drained(&oracle, Queued::new()).await);

    assert_eq!((verdict.expired, verdict.lost.count), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_and_still_waits_is_left_over() {
    let letters = letters(1);
    let oracle = accepted(&letters);
    for letter in &letters {
        oracle.shown(*letter);
    }

    let drain = drained(&oracle, Queued::from([(10, 2)])).await;

    let verdict = oracle.conclude(&drain);
    assert!(!drain.is_complete(), "it waits for the queues to be empty");
    assert_eq!((verdict.left_over, verdict.queued, verdict.lost.count), (2, 0, 0));
    assert!(verdict.is_settled());
}

/// Nothing can be called lost without a drain, and a drain waits for what is open until
/// its bound.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_before_the_drain_is_over() {
    let letters = letters(1);
    let oracle = accepted(&letters);
    let (last, others) = letters.split_last().unwrap();
    for letter in others {
        oracle.shown(*letter);
    }
    assert_eq!(oracle.interim().open, 1);

    let late = async {
        tokio::time::sleep(BOUND / 2).await;
        oracle.shown(*last);
    };
    let (drain, ()) = tokio::join!(drained(&oracle, Queued::new()), late);

    assert!(drain.is_complete() && drain.took() >= BOUND / 2);
    assert!(oracle.conclude(&drain).is_conserved());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_bound() {
    let oracle = accepted(&letters(1));

    let drain = drained(&oracle, Queued::new()).await;

    assert!(!drain.is_complete());
    assert!((BOUND..BOUND + QUIET).contains(&drain.took()));
    assert_eq!(oracle.conclude(&drain).lost.count, 6);
}

/// A second showing that comes a moment later is still seen.
#[tokio::test(start_paused = true)]
async fn a_drain_listens_for_a_while_after_the_last_message() {
    let letters = letters(1);
    let oracle = accepted(&letters);
    for letter in &letters {
        oracle.shown(*letter);
    }

    let again = async {
        tokio::time::sleep(QUIET / 2).await;
        oracle.shown(letters[0])
    };
    let (drain, shown) = tokio::join!(drained(&oracle, Queued::new()), again);

    assert_eq!(shown, Shown::Again);
    assert_eq!(oracle.conclude(&drain).twice.count, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_need_not_arrive_and_an_unanswered_one_is_not_lost() {
    let oracle = Oracle::new();
    for letter in letters(1) {
        oracle.offered(letter, Instant::now());
    }
    let [refused, unsent, unconfirmed, ..] = letters(1)[..] else { unreachable!() };
    oracle.refused(refused);
    oracle.shown(unconfirmed);

    let verdict = oracle.conclude(&drained(&oracle, Queued::new()).await);

    assert_eq!((verdict.refused, verdict.unconfirmed, verdict.lost.count), (1, 1, 0));
    assert_eq!(verdict.unsent.count, 4);
    assert!(verdict.unsent.which.contains(&unsent));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wrote_is_unknown() {
    let oracle = accepted(&letters(1));

    assert_eq!(oracle.shown(Letter { from: 0, to: 10, number: 9 }), Shown::Unknown);
    assert_eq!(oracle.shown(Letter { from: 9, to: 10, number: 0 }), Shown::Unknown);

    assert_eq!(oracle.conclude(&drained(&oracle, Queued::new()).await).unknown, 2);
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_when_a_message_was_meant_to_be_written() {
    let oracle = Oracle::new();
    let letter = Letter { from: 0, to: 1, number: 0 };
    let intended = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;

    oracle.offered(letter, intended);

    assert_eq!(oracle.interim().oldest_open, Some(Duration::from_secs(3)));
    assert_eq!(oracle.shown(letter), Shown::First(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_settled_once_all_before_it_is() {
    let [first, second, third, ..] = letters(1)[..] else { unreachable!() };
    let oracle = accepted(&[first, second]);
    let mark = oracle.mark();
    oracle.offered(third, Instant::now());

    oracle.shown(second);
    assert!(!oracle.is_settled(mark));
    oracle.shown(first);
    assert!(oracle.is_settled(mark), "what came after it does not matter");
}

fn same_pair(one: &Letter, other: &Letter) -> bool {
    (one.from, one.to) == (other.from, other.to)
}
