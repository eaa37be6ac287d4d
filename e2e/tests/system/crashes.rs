//! Processes that die in the middle.

use std::time::Duration;

use sotto_e2e::{PATIENCE, Person};
use sotto_testkit::{Cluster, Role, wait_for};
use sqlx::{Connection as _, Executor as _, PgConnection};

const MESSAGES: usize = 2_000;

/// In a queue when its device comes back.
const WAITING: usize = 600;

/// I-2 and I-3: a gateway and a messages replica are killed with SIGKILL in the middle
/// of a run, first those of the receiver, then those of the sender. Every message is
/// accepted in the end, nothing accepted is missing, nothing is shown twice, and the
/// order stands.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_shown_twice_when_processes_are_killed() {
    let builder = Cluster::builder().gateways(2).messages(2).writing_without_limit();
    let cluster = builder.start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 1).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    bob.go_online().await;
    let written: Vec<String> = (0..MESSAGES).map(|n| format!("message {n:04}")).collect();

    let writing = async {
        for text in &written {
            alice.write(bob_id, text).await;
        }
    };
    let killing = async {
        for (round, victim) in [1, 0, 1, 0].into_iter().enumerate() {
            bob.receives(MESSAGES / 6 * (round + 1)).await;
            cluster.kill9(Role::Gateway, victim).await;
            cluster.kill9(Role::Messages, victim).await;
            cluster.restart(Role::Messages, victim).await.unwrap();
            cluster.restart(Role::Gateway, victim).await.unwrap();
        }
    };
    tokio::join!(writing, killing);
    alice.client.flush(Duration::from_secs(180)).await.unwrap();

    wait_for(Duration::from_secs(180), "all that was accepted", || async {
        let received = bob.received().await;
        if received.len() >= MESSAGES { Ok(()) } else { Err(received.len()) }
    })
    .await;
    let received = bob.received().await;
    assert_eq!(received.len(), MESSAGES, "nothing is shown twice");
    let misplaced = received.iter().zip(&written).find(|(got, sent)| got != sent);
    assert_eq!(misplaced, None, "in the order sent");
    cluster.stop().await.unwrap();
}

/// C26, with I-2 and I-3: a device comes back to a queue of some hundreds, and its gateway
/// is killed with SIGKILL in the middle of it, and then the one that it turned to. What was
/// delivered and not acknowledged comes once more through the other one, and is shown once.
///
/// Caught: a client that takes an envelope which comes again for a new one, and shows that
/// it cannot be decrypted twice. And a queue whose rows are deleted as they are read: 480 of
/// 600 came.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_survives_the_gateway_that_is_killed_while_it_is_drained() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let mut bob = Person::register(&cluster, "vignette", "bob", 0).await;
    // A slow device, so that there is a middle.
    bob.retune(|tuning| tuning.receive_batch = 2).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    let written: Vec<String> = (0..WAITING).map(|n| format!("waiting {n:03}")).collect();
    for text in &written {
        alice.write(bob_id, text).await;
    }
    alice.flush().await;

    bob.client.go_online().await.unwrap();
    for (round, victim) in [0, 1].into_iter().enumerate() {
        bob.receives(WAITING / 4 * round + 1).await;
        cluster.kill9(Role::Gateway, victim).await;
        let shown = bob.received().await.len();
        assert!(shown < WAITING, "killed in the middle: {shown} were shown");
        cluster.restart(Role::Gateway, victim).await.unwrap();
    }

    bob.receives(WAITING).await;
    bob.client.wait_drained(PATIENCE).await.unwrap();
    alice.send(bob_id, "after all").await;
    let received = bob.receives(WAITING + 1).await;
    assert_eq!(received.split_last().unwrap().1, written, "each once, in the order sent");
    cluster.stop().await.unwrap();
}

/// I-2, at its narrowest: the queue is locked, so that nothing can become durable, and
/// the replica that holds the sends is killed. None of them may count as accepted, so
/// all of them are sent again.
///
/// Caught: answering `Accepted` before the commit.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_durable_when_its_replica_was_killed_is_sent_again() {
    let cluster = Cluster::builder().start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    alice.send(bob_id, "first").await;

    let mut lock = PgConnection::connect(cluster.database_url()).await.unwrap();
    lock.execute("BEGIN; LOCK TABLE messages.queue IN EXCLUSIVE MODE").await.unwrap();
    let written: Vec<String> = (0..40).map(|n| format!("undurable {n:02}")).collect();
    for text in &written {
        alice.write(bob_id, text).await;
    }
    let mut watch = PgConnection::connect(cluster.database_url()).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO messages.queue%'";
    let mut inserts: i64 = 0;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while inserts == 0 && tokio::time::Instant::now() < deadline {
        inserts = sqlx::query_scalar(waiting).fetch_one(&mut watch).await.unwrap();
    }
    assert!(inserts > 0, "an insert waits for the lock");
    cluster.kill9(Role::Messages, 0).await;
    // What the killed replica had begun must not be committed after all.
    lock.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO messages.queue%'",
    )
    .await
    .unwrap();
    lock.execute("ROLLBACK").await.unwrap();
    cluster.restart(Role::Messages, 0).await.unwrap();

    alice.flush().await;
    bob.go_online().await;
    let received = bob.receives(written.len() + 1).await;
    assert_eq!(received.get(1..).unwrap(), written);
    cluster.stop().await.unwrap();
}
