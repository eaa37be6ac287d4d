//! Many at once.

use std::{cell::Cell, collections::HashSet};

use futures_util::future::join_all;
use sqlx::PgPool;

use crate::stage::{Answer, Device, Group, Letter, Link, MINUTE, Replica, Row, Stage};

const SENDERS: usize = 40;
const LETTERS: usize = 15;
/// Messages for which an epoch lasts at least.
const EPOCH: u64 = 6;

/// I-2 and I-4. Two replicas, two groups; every message is sent twice at the same time, by
/// both replicas, while epochs end as fast as they can. Senders whose epoch has ended send
/// again in the next.
///
/// Sabotages it caught: to look at the epoch before the transaction (messages stand after the
/// commit that ended their epoch); not to hold the rows (`FOR NO KEY UPDATE` away: two
/// messages want one number, and messages of ended epochs); not to ask for repeated ids.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_crowd_of_senders_and_commits_leaves_a_log_without_gaps_or_late_messages(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let replicas = [stage.replica().await, stage.replica().await];
    let members = stage.crowd(SENDERS);
    let groups = [stage.group(&members).await, stage.group(&members).await];

    let done = Cell::new(false);
    let sending = async {
        let sending = members.iter().map(|member| send_all(*member, &groups, &replicas));
        let sent = join_all(sending).await;
        done.set(true);
        sent
    };
    let committing = groups.iter().map(|group| commit_until(&done, *group, &stage));
    let everything = async { tokio::join!(sending, join_all(committing)).0 };
    let sent = tokio::time::timeout(2 * MINUTE, everything).await.expect("all are accepted");

    for (number, group) in groups.into_iter().enumerate() {
        let log = stage.log(group).await;
        assert_no_gaps(&log);
        assert_nothing_late(&log);
        let (epoch, seq) = stage.head(group).await;
        assert_eq!(seq, log.last().unwrap().seq);
        assert!(epoch > 5, "epochs ended while messages came: {epoch}");

        let ids: Vec<_> = log.iter().filter_map(|row| row.id).collect();
        let distinct: HashSet<_> = ids.iter().copied().collect();
        let letters = sent.iter().flatten().filter(|(to, ..)| *to == number);
        let expected: HashSet<_> = letters.clone().map(|(_, id, _)| *id).collect();
        assert_eq!((ids.len(), distinct), (SENDERS * LETTERS, expected), "each once");
        for (_, id, seq) in letters {
            let row = log.iter().find(|row| row.id == Some(*id)).unwrap();
            assert_eq!(row.seq, *seq, "it stands where its sender was told");
        }
    }
    stage.end().await;
}

/// Ends epoch after epoch, each once a few messages have come in it.
async fn commit_until(done: &Cell<bool>, group: Group, stage: &Stage) {
    while !done.get() {
        stage.commit(group, &[], &[]).await;
        let (_, from) = stage.head(group).await;
        while !done.get() && stage.head(group).await.1 < from + EPOCH {}
    }
}

/// What became of the messages of one member: to which group, its id, and its number.
async fn send_all(
    member: Device,
    groups: &[Group; 2],
    replicas: &[Replica; 2],
) -> Vec<(usize, uuid::Uuid, u64)> {
    let mut links = [Link::attach(&replicas[0]).await, Link::attach(&replicas[1]).await];
    let mut epochs = [0, 0];
    let mut sent = Vec::new();
    for number in 0..LETTERS * 2 {
        let to = number % 2;
        let mut letter = Letter::new(member, groups[to], epochs[to]);
        let seq = loop {
            let [here, there] = &mut links;
            let answers = tokio::join!(here.send(&letter), there.send(&letter));
            let mut seqs = HashSet::new();
            for answer in [answers.0, answers.1] {
                match answer {
                    Answer::Accepted { seq, .. } => drop(seqs.insert(seq)),
                    Answer::Stale(stale) => epochs[to] = epochs[to].max(stale.epoch),
                    Answer::Refused(error) => panic!("refused: {error:?}"),
                }
            }
            assert!(seqs.len() <= 1, "one number for one message");
            if let Some(seq) = seqs.into_iter().next() {
                break seq;
            }
            letter = letter.in_epoch(epochs[to]);
        };
        sent.push((to, letter.id.as_uuid(), seq));
    }
    sent
}

fn assert_no_gaps(log: &[Row]) {
    let seqs: Vec<u64> = log.iter().map(|row| row.seq).collect();
    let expected: Vec<u64> = (1..=u64::try_from(log.len()).unwrap()).collect();
    assert_eq!(seqs, expected);
}

/// Each message stands between the commits that began and ended its epoch.
fn assert_nothing_late(log: &[Row]) {
    let mut epoch = 0;
    for row in log {
        assert_eq!(row.epoch, epoch, "at {}", row.seq);
        epoch += u64::from(row.kind == 2);
    }
}

/// Two replicas store batches of the same groups in opposite orders, again and again. Where
/// groups are held in no order, Postgres finds the two waiting for each other, and fails one.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn replicas_that_hold_the_same_groups_do_not_wait_for_each_other_in_a_circle(db: PgPool) {
    let mut stage = Stage::set(db).await;
    let one_writer = |config: &mut sotto_groups::GroupsConfig| config.sends.writers = 1;
    let (here, there) =
        (stage.replica_with(one_writer).await, stage.replica_with(one_writer).await);
    let (mut forth, mut back) = (Link::attach(&here).await, Link::attach(&there).await);
    let member = stage.account(1)[0];
    let mut groups = Vec::new();
    for _ in 0..40 {
        groups.push(stage.group(&[member]).await);
    }

    for _ in 0..20 {
        let letters: Vec<Letter> =
            groups.iter().map(|group| Letter::new(member, *group, 0)).collect();
        let backwards: Vec<Letter> =
            groups.iter().rev().map(|group| Letter::new(member, *group, 0)).collect();
        let (forth_frames, back_frames) =
            tokio::join!(forth.submit(&letters), back.submit(&backwards));
        for (forth_frame, back_frame) in forth_frames.into_iter().zip(back_frames) {
            forth.answer(forth_frame).await.seq();
            back.answer(back_frame).await.seq();
        }
    }
    for group in groups {
        assert_eq!(stage.head(group).await, (0, 41));
    }
    stage.end().await;
}
