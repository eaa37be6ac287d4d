//! Two people who write to each other.

use sotto_client::{Event, SafetyNumber};
use sotto_e2e::{PATIENCE, Person};
use sotto_testkit::{Cluster, Role, wait_for};

/// Everything that the server does for a first conversation, across two apps, two
/// gateways and two messages replicas.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_waits_for_somebody_offline_and_the_answer_comes_live() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 1).await;
    let bob_id = alice.meet("bob").await;

    alice.go_online().await;
    alice.send(bob_id, "Are you there?").await;
    assert_eq!(bob.received().await, [""; 0], "bob is offline");
    bob.go_online().await;
    assert_eq!(bob.receives(1).await, ["Are you there?"]);
    bob.client.wait_drained(PATIENCE).await.unwrap();
    bob.send(alice.account, "I am now.").await;

    assert_eq!(alice.receives(1).await, ["I am now."]);
    for gateway in 0..2 {
        let delivered =
            cluster.metric(Role::Gateway, gateway, "sotto_gateway_delivered_total").await.unwrap();
        assert!(delivered >= 1.0, "both gateways had a part in it");
    }
    cluster.stop().await.unwrap();
}

/// C15: both compute the same number, and nobody else's is the same.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_see_the_same_safety_number() {
    let cluster = Cluster::builder().start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let carol = Person::register(&cluster, "vignette", "carol", 0).await;
    let (bob_id, carol_id) = (alice.meet("bob").await, alice.meet("carol").await);
    bob.meet("alice").await;

    let of_alice: SafetyNumber = alice.client.safety_number(bob_id).await.unwrap();

    let of_bob = bob.client.safety_number(alice.account).await.unwrap();
    assert_eq!(of_alice.to_string(), of_bob.to_string());
    let other = alice.client.safety_number(carol.account).await.unwrap();
    assert_eq!(carol_id, carol.account);
    assert_ne!(of_alice.to_string(), other.to_string());
    cluster.stop().await.unwrap();
}

/// C35: what was written offline goes out in its order, once, after a restart too.
#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_was_filled_offline_survives_a_restart_and_keeps_its_order() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let bob_id = alice.meet("bob").await;
    let written: Vec<String> = (0..50).map(|n| format!("offline thought {n}")).collect();

    for text in &written {
        alice.write(bob_id, text).await;
    }
    alice.restart().await;
    bob.go_online().await;
    alice.go_online().await;
    alice.flush().await;

    assert_eq!(bob.receives(written.len()).await, written);
    cluster.stop().await.unwrap();
}

/// A gateway that ends says goodbye; its devices go to another one, and messages find
/// them there.
#[tokio::test(flavor = "multi_thread")]
async fn messages_follow_a_device_from_a_gateway_that_ends_to_another() {
    let cluster =
        Cluster::builder().gateways(2).setting("gateway.drain.window", "1s").start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let mut bob = Person::register(&cluster, "vignette", "bob", 1).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    bob.go_online().await;
    alice.send(bob_id, "before").await;
    bob.receives(1).await;

    cluster.stop_one(Role::Gateway, 1).await.unwrap();
    bob.events.wait_for(PATIENCE, |event| matches!(event, Event::Connected)).await.unwrap();
    alice.send(bob_id, "after").await;

    assert_eq!(bob.receives(2).await, ["before", "after"]);
    wait_for(PATIENCE, "both sockets at the gateway that is left", || async {
        let name = "sotto_gateway_connections";
        let sockets = cluster.metric(Role::Gateway, 0, name).await.map_err(|e| e.to_string())?;
        if sockets >= 2.0 { Ok(()) } else { Err(sockets.to_string()) }
    })
    .await;
    cluster.stop().await.unwrap();
}

/// Each has opened a session with the other before either hears of it; they settle on
/// one, and what was said in the other is read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_may_write_first_at_the_same_time() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 1).await;
    let (bob_id, alice_id) = (alice.meet("bob").await, bob.meet("alice").await);

    alice.write(bob_id, "alice begins").await;
    bob.write(alice_id, "bob begins").await;
    alice.go_online().await;
    bob.go_online().await;
    alice.receives(1).await;
    bob.receives(1).await;
    for round in 0..5 {
        alice.send(bob_id, &format!("ping {round}")).await;
        bob.send(alice_id, &format!("pong {round}")).await;
    }

    let pings = ["alice begins", "ping 0", "ping 1", "ping 2", "ping 3", "ping 4"];
    let pongs = ["bob begins", "pong 0", "pong 1", "pong 2", "pong 3", "pong 4"];
    assert_eq!(bob.receives(6).await, pings);
    assert_eq!(alice.receives(6).await, pongs);
    cluster.stop().await.unwrap();
}
