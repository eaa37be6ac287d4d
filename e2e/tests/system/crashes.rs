//! Processes that die in the middle.

use std::time::Duration;

use sotto_e2e::Person;
use sotto_testkit::{Cluster, Role, wait_for};

const MESSAGES: usize = 2_000;

/// I-2 and I-3: a gateway and a messages replica are killed with SIGKILL in the middle
/// of a run, first those of the receiver, then those of the sender. Every message is
/// accepted in the end, nothing accepted is missing, nothing is shown twice, and the
/// order stands.
///
/// Caught: acknowledging a page before it is stored, answering `Accepted` before the
/// commit, and a sender that encrypts anew instead of sending the same bytes again.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_shown_twice_when_processes_are_killed() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
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
