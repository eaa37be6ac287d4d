//! People who send more than they may.

use std::time::Duration;

use sotto_client::Transport;
use sotto_e2e::Person;
use sotto_testkit::{Cluster, Role};

/// So many at once, from one device.
const BURST: usize = 150;

/// How many sends the limits have refused.
async fn refused(cluster: &Cluster) -> f64 {
    let metrics = cluster.metrics(Role::Gateway, 0).await.unwrap();
    let of_sends = |line: &&str| {
        line.starts_with("sotto_limits_decisions_total")
            && line.contains("class=\"send\"")
            && line.contains("result=\"refused\"")
    };
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    metrics.lines().filter(of_sends).filter_map(value).sum()
}

/// I-3: a device that writes far more than its socket and its bucket take is refused again
/// and again, and nothing that it sent behind what was refused gets before it. The receiver
/// does not put it in order: it waits for none that is missing longer than a moment.
///
/// Caught with the gateway's `put_off` always `None`: out of order in each of three runs, as 083
/// before 072 and 139 before 107.
#[tokio::test(flavor = "multi_thread")]
async fn i_3_a_burst_beyond_every_limit_arrives_in_order_and_once() {
    let cluster = Cluster::builder()
        .setting("gateway.session.sends_per_second", 200)
        .setting("gateway.session.sends_burst", 40)
        .setting("limits.send.burst", 60)
        .setting("limits.send.per", "4s")
        .start()
        .await
        .unwrap();
    let mut alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let mut bob = Person::register(&cluster, "vignette", "bob", 0).await;
    bob.retune(|tuning| tuning.hold = Duration::from_millis(50)).await;
    let bob_id = alice.meet("bob").await;
    bob.go_online().await;
    let written: Vec<String> = (0..BURST + BURST / 5).map(|n| format!("burst {n:03}")).collect();
    let (by_socket, by_request) = written.split_at(BURST);

    for text in by_socket {
        alice.write(bob_id, text).await;
    }
    alice.go_online().await;
    alice.flush().await;
    let refused_by_socket = refused(&cluster).await;
    assert!(refused_by_socket > 0.0, "the bucket refused some");

    alice.go_by(Transport::Rest).await;
    for text in by_request {
        alice.write(bob_id, text).await;
    }
    alice.go_online().await;
    alice.flush().await;
    assert!(refused(&cluster).await > refused_by_socket, "and of the requests");

    assert_eq!(bob.receives(written.len()).await, written);
    bob.client.wait_drained(sotto_e2e::PATIENCE).await.unwrap();
    assert_eq!(bob.received().await.len(), written.len(), "nothing is shown twice");
    cluster.stop().await.unwrap();
}
