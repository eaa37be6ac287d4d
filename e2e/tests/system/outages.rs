//! Stores that go away, and come back.

use sotto_e2e::Person;
use sotto_testkit::Cluster;

/// Redis says who is where; what waits for whom is in Postgres. So losing Redis, and all
/// that was in it, costs time and no message.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_while_redis_is_away_arrives() {
    let mut cluster =
        Cluster::builder().gateways(2).messages(2).on_private_servers().start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 1).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    bob.go_online().await;
    alice.send(bob_id, "before").await;
    bob.receives(1).await;

    let redis = cluster.servers_mut().private_redis().unwrap();
    redis.kill9().await;
    alice.send(bob_id, "while it is away").await;
    redis.restart().await.unwrap();
    alice.send(bob_id, "after").await;

    assert_eq!(bob.receives(3).await, ["before", "while it is away", "after"]);
    cluster.stop().await.unwrap();
}

/// I-2: what Postgres has confirmed outlives `kill -9`; what it has not was never
/// accepted, and is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_around_the_death_of_postgres_arrives_once() {
    let mut cluster =
        Cluster::builder().gateways(2).messages(2).on_private_servers().start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 1).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    let written: Vec<String> = (0..200).map(|n| format!("message {n:03}")).collect();
    let (before, after) = written.split_at(100);

    for text in before {
        alice.write(bob_id, text).await;
    }
    let postgres = cluster.servers_mut().private_postgres().unwrap();
    postgres.kill9().await;
    for text in after {
        alice.write(bob_id, text).await;
    }
    postgres.restart().await.unwrap();
    alice.flush().await;
    bob.go_online().await;

    assert_eq!(bob.receives(written.len()).await, written);
    bob.client.wait_drained(sotto_e2e::PATIENCE).await.unwrap();
    assert_eq!(bob.received().await.len(), written.len(), "nothing is shown twice");
    cluster.stop().await.unwrap();
}
