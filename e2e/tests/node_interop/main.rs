//! A client that nobody here wrote: Signal's own library for Node and `ts-mls`, on nothing
//! but the REST interface, the socket with JSON frames, and the `.proto` files.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod groups;
mod node_client;

use sotto_e2e::Person;
use sotto_testkit::Cluster;

use self::node_client::NodeClient;

/// The rules of the sigchain, written a second time from the `.proto` files, lead to the
/// same accounts.
#[tokio::test]
async fn the_chain_of_the_test_vectors_is_followed_in_javascript_too() {
    let Some(_node) = NodeClient::start().await else { return };
    node_client::run_tests("sigchain.test.mjs").await;
}

/// The rules of groups, written a second time from docs/protocol.md, give the same verdicts.
#[tokio::test]
async fn what_a_group_allows_and_refuses_is_the_same_in_javascript() {
    let Some(_node) = NodeClient::start().await else { return };
    node_client::run_tests("group_rules.test.mjs").await;
}

/// What is done around `ts-mls`, where it does less than RFC 9420 says.
#[tokio::test]
async fn two_members_by_the_other_implementation_of_mls_agree() {
    let Some(_node) = NodeClient::start().await else { return };
    node_client::run_tests("mls.test.mjs").await;
}

/// Our client opens the session, with a first message to somebody who is not there.
#[tokio::test(flavor = "multi_thread")]
async fn signals_own_library_reads_our_first_message_and_answers() {
    let Some(mut node) = NodeClient::start().await else { return };
    let cluster = Cluster::builder().start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let alice_id = alice.account.to_string();
    let bob = node.register(&cluster, "vignette", "bob").await;
    let bob_id = alice.meet(&bob).await;

    alice.go_online().await;
    let waiting = ["Hello, whoever you are.", "Zweite Zeile:\nmit Umlauten äöü", "\u{1f4ec}"];
    for text in waiting {
        alice.send(bob_id, text).await;
    }
    node.connect().await;

    for text in waiting {
        assert_eq!(node.receive().await, (alice_id.clone(), text.to_owned()));
    }
    node.drained().await;
    assert_eq!(node.one_time_keys().await, (19, 19), "the session took one key of each kind");

    for round in 1..=5 {
        let (answer, question) = (format!("answer {round}"), format!("question {round}"));
        node.send(&alice_id, &answer).await;
        assert_eq!(alice.receives(round).await.last(), Some(&answer));
        alice.send(bob_id, &question).await;
        assert_eq!(node.receive().await, (alice_id.clone(), question));
    }
    cluster.stop().await.unwrap();
}

/// The other library opens the session, with a first message to ours while it is not
/// there.
#[tokio::test(flavor = "multi_thread")]
async fn our_client_reads_the_first_message_of_signals_own_library_and_answers() {
    let Some(mut node) = NodeClient::start().await else { return };
    let cluster = Cluster::builder().start().await.unwrap();
    let carol = Person::register(&cluster, "vignette", "carol", 0).await;
    let carol_id = carol.account.to_string();
    let dave = node.register(&cluster, "socialink", "dave").await;

    node.connect().await;
    node.drained().await;
    let long = "x".repeat(10_000);
    let waiting = ["Is anybody there?", &long, "Even so, good night."];
    for text in waiting {
        node.send(&carol_id, text).await;
    }
    carol.go_online().await;

    assert_eq!(carol.receives(waiting.len()).await, waiting);
    let conversations = carol.client.conversations().await.unwrap();
    assert_eq!(conversations.len(), 1);
    assert_eq!(conversations[0].peer.to_string(), dave);

    for round in 1..=5 {
        let (answer, question) = (format!("answer {round}"), format!("question {round}"));
        carol.send(conversations[0].peer, &answer).await;
        assert_eq!(node.receive().await, (carol_id.clone(), answer));
        node.send(&carol_id, &question).await;
        let received = carol.receives(waiting.len() + round).await;
        assert_eq!(received.last(), Some(&question));
    }
    cluster.stop().await.unwrap();
}

/// The set of devices changes under a sender that wrote to one of them before.
#[tokio::test(flavor = "multi_thread")]
async fn signals_own_library_reaches_a_device_that_was_added_in_between() {
    let Some(mut node) = NodeClient::start().await else { return };
    let cluster = Cluster::builder().start().await.unwrap();
    let phone = Person::register(&cluster, "vignette", "erin", 0).await;
    let erin_id = phone.account.to_string();
    node.register(&cluster, "socialink", "frank").await;
    phone.go_online().await;
    node.connect().await;
    node.send(&erin_id, "to the one").await;

    let laptop = phone.add_device(&cluster, 0).await;
    laptop.go_online().await;
    node.send(&erin_id, "to both").await;

    assert_eq!(phone.receives(2).await, ["to the one", "to both"]);
    assert_eq!(laptop.receives(1).await, ["to both"]);
    cluster.stop().await.unwrap();
}
