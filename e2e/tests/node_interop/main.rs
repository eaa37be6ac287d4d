//! A client that nobody here wrote: Signal's own library for Node, on nothing but the
//! REST interface, the socket with JSON frames, and the `.proto` files.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod node_client;

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::StdRng};
use sotto_client::{
    Body, Client, ClientConfig, Event, EventStream, FixedToken, PeerName, RecoveryPhrase, StoreKey,
};
use sotto_ids::AccountId;
use sotto_testkit::Cluster;
use tempfile::TempDir;

use self::node_client::NodeClient;

const PATIENCE: Duration = Duration::from_secs(30);

/// A device of somebody with our own client.
struct Person {
    client: Client,
    account: AccountId,
    events: EventStream,
    _store: TempDir,
}

impl Person {
    async fn register(cluster: &Cluster, app: &str, user: &str, seed: u64) -> Self {
        let (client, store) = open(cluster, app, user).await;
        let phrase = RecoveryPhrase::generate(&mut StdRng::seed_from_u64(seed));
        let me = client.register(&phrase, None).await.unwrap();
        Self { events: client.events(), client, account: me.account, _store: store }
    }

    /// Another device of the same user.
    async fn second_device(&self, cluster: &Cluster, app: &str, user: &str) -> Self {
        let (client, store) = open(cluster, app, user).await;
        let request = client.request_device(self.account).await.unwrap();
        self.client.approve_device(&request).await.unwrap();
        client.finish_device().await.unwrap();
        Self { events: client.events(), client, account: self.account, _store: store }
    }

    async fn meet(&self, account: &str) -> AccountId {
        self.client.add_contact(&account.parse::<PeerName>().unwrap()).await.unwrap().account
    }

    async fn go_online(&self) {
        self.client.go_online().await.unwrap();
        self.client.wait_connected(PATIENCE).await.unwrap();
    }

    async fn send(&self, to: AccountId, text: &str) {
        self.client.send_text(to, text).await.unwrap();
        self.client.flush(PATIENCE).await.unwrap();
    }

    async fn receive(&mut self) -> (AccountId, String) {
        let is_message = |event: &Event| matches!(event, Event::Message(_));
        let Event::Message(message) = self.events.wait_for(PATIENCE, is_message).await.unwrap()
        else {
            unreachable!("the event was asked for by its kind");
        };
        match message.body {
            Body::Text(text) => (message.peer, text),
            other => panic!("not a text: {other:?}"),
        }
    }
}

async fn open(cluster: &Cluster, app: &str, user: &str) -> (Client, TempDir) {
    let store = TempDir::new().unwrap();
    let config = ClientConfig::new(
        cluster.domain(),
        cluster.rest_url().parse().unwrap(),
        vec![cluster.socket_url(0).parse().unwrap()],
        store.path().join("store"),
        StoreKey::new([7; 32]),
    );
    let token = FixedToken(cluster.app_token(app, user));
    (Client::open(config, Arc::new(token)).await.unwrap(), store)
}

/// Our client opens the session, with a first message to somebody who is not there.
#[tokio::test(flavor = "multi_thread")]
async fn signals_own_library_reads_our_first_message_and_answers() {
    let Some(mut node) = NodeClient::start().await else { return };
    let cluster = Cluster::builder().start().await.unwrap();
    let mut alice = Person::register(&cluster, "socialink", "alice", 1).await;
    let bob = node.register(&cluster, "vignette", "bob").await;
    let bob_id = alice.meet(&bob).await;

    alice.go_online().await;
    let waiting = ["Hello, whoever you are.", "Zweite Zeile:\nmit Umlauten äöü", "\u{1f4ec}"];
    for text in waiting {
        alice.send(bob_id, text).await;
    }
    node.connect().await;

    for text in waiting {
        assert_eq!(node.receive().await, (alice.account.to_string(), text.to_owned()));
    }
    node.drained().await;
    assert_eq!(node.one_time_keys().await, (19, 19), "the session took one key of each kind");

    for round in 0..5 {
        let (question, answer) = (format!("question {round}"), format!("answer {round}"));
        node.send(&alice.account.to_string(), &answer).await;
        assert_eq!(alice.receive().await, (bob_id, answer));
        alice.send(bob_id, &question).await;
        assert_eq!(node.receive().await.1, question);
    }
    cluster.stop().await.unwrap();
}

/// The other library opens the session, with a first message to ours while it is not
/// there.
#[tokio::test(flavor = "multi_thread")]
async fn our_client_reads_the_first_message_of_signals_own_library_and_answers() {
    let Some(mut node) = NodeClient::start().await else { return };
    let cluster = Cluster::builder().start().await.unwrap();
    let mut carol = Person::register(&cluster, "vignette", "carol", 2).await;
    let dave = node.register(&cluster, "socialink", "dave").await;

    node.connect().await;
    node.drained().await;
    let long = "x".repeat(10_000);
    let waiting = ["Is anybody there?", &long, "Even so, good night."];
    for text in waiting {
        node.send(&carol.account.to_string(), text).await;
    }
    carol.go_online().await;

    let mut dave_id = None;
    for text in waiting {
        let (from, received) = carol.receive().await;
        assert_eq!((from.to_string(), received.as_str()), (dave.clone(), text));
        dave_id = Some(from);
    }

    for round in 0..5 {
        let answer = format!("answer {round}");
        carol.send(dave_id.unwrap(), &answer).await;
        assert_eq!(node.receive().await, (carol.account.to_string(), answer));
        let question = format!("question {round}");
        node.send(&carol.account.to_string(), &question).await;
        assert_eq!(carol.receive().await.1, question);
    }
    cluster.stop().await.unwrap();
}

/// The set of devices changes under a sender that wrote to one of them before.
#[tokio::test(flavor = "multi_thread")]
async fn signals_own_library_reaches_a_device_that_was_added_in_between() {
    let Some(mut node) = NodeClient::start().await else { return };
    let cluster = Cluster::builder().start().await.unwrap();
    let mut phone = Person::register(&cluster, "vignette", "erin", 3).await;
    let frank = node.register(&cluster, "socialink", "frank").await;
    phone.go_online().await;
    node.connect().await;
    node.send(&phone.account.to_string(), "to the one").await;
    assert_eq!(phone.receive().await.1, "to the one");

    let mut laptop = phone.second_device(&cluster, "vignette", "erin").await;
    laptop.go_online().await;
    node.send(&phone.account.to_string(), "to both").await;

    for device in [&mut phone, &mut laptop] {
        let (from, text) = device.receive().await;
        assert_eq!((from.to_string(), text.as_str()), (frank.clone(), "to both"));
    }
    cluster.stop().await.unwrap();
}
