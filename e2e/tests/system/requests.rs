//! People whom no socket reaches.

use sotto_client::Transport;
use sotto_e2e::Person;
use sotto_testkit::Cluster;

/// C26: by requests the same messages come and go, in order and once, between people of
/// whom one has a socket and one has not.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_socket_the_same_messages_come_and_go() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let mut alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 1).await;
    alice.go_by(Transport::Rest).await;
    let bob_id = alice.meet("bob").await;
    bob.go_online().await;
    alice.go_online().await;

    for number in 0..20 {
        alice.write(bob_id, &format!("a{number:02}")).await;
    }
    alice.flush().await;
    let received = bob.receives(20).await;
    assert!(received.is_sorted() && received.len() == 20, "{received:?}");
    for number in 0..20 {
        bob.write(alice.account, &format!("b{number:02}")).await;
    }
    bob.flush().await;
    let received = alice.receives(20).await;
    assert!(received.is_sorted() && received.len() == 20, "{received:?}");

    // Back on a socket, nothing of it comes again.
    alice.go_by(Transport::Socket).await;
    alice.go_online().await;
    bob.send(alice.account, "b20").await;
    assert_eq!(alice.receives(21).await.len(), 21);
    cluster.stop().await.unwrap();
}
