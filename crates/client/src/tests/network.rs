//! What goes over the socket, with the gateway's part played by hand.

use std::{sync::Arc, time::Duration};

use sotto_ids::{ClientMsgId, EnvelopeId};
use sotto_proto::socket::{
    Accepted, ClientFrame, Error, Send, ServerFrame, client_frame, server_frame,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{Party, server::Server, two};
use crate::{
    Client, ClientConfig, Event, EventStream, FixedToken, StoreKey,
    net::{
        inbox::{Delivered, Inbox},
        sender::{self, Bounds},
    },
};

pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A client that is never connected: its REST server does not exist, and what it
/// would say on a socket is looked at here.
pub(super) async fn client(party: &Party) -> Client {
    client_with(party, |_| {}).await
}

/// The same, where something else is set.
pub(super) async fn client_with(party: &Party, change: impl FnOnce(&mut ClientConfig)) -> Client {
    party.vault.close().await;
    let nowhere = "http://127.0.0.1:9/".parse().unwrap();
    let socket = "ws://127.0.0.1:9/v1/socket".parse().unwrap();
    let mut config = ClientConfig::new(
        "lumen.chat",
        nowhere,
        vec![socket],
        party.path(),
        StoreKey::new([7; 32]),
    );
    config.clock = Arc::clone(&party.clock) as Arc<dyn crate::Clock>;
    config.tuning.send_window = 4;
    config.tuning.retry_min = Duration::from_millis(1);
    config.tuning.receipt_delay_min = Duration::ZERO;
    config.tuning.receipt_delay_max = Duration::ZERO;
    change(&mut config);
    Client::open(config, Arc::new(FixedToken(String::new()))).await.unwrap()
}

/// The sending side of a connection.
pub(super) struct Sending {
    pub(super) frames: mpsc::Receiver<ClientFrame>,
    answers: mpsc::Sender<ServerFrame>,
    task: JoinHandle<()>,
}

impl Sending {
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    pub(super) fn start(client: &Client) -> Self {
        let (out, frames) = mpsc::channel(64);
        let (answers, answered) = mpsc::channel(64);
        let inner = Arc::clone(&client.inner);
        let window = client.inner.config.tuning.send_window;
        let bounds = Bounds { window, max_frame: 128 * 1024 };
        let task = tokio::spawn(async move {
            sender::run(&inner, &out, answered, bounds).await;
        });
        Self { frames, answers, task }
    }

    /// The next send, and the number of its frame.
    pub(super) async fn next(&mut self) -> (u64, Send) {
        let frame = timeout(PATIENCE, self.frames.recv()).await.unwrap().unwrap();
        match frame.body {
            Some(client_frame::Body::Send(send)) => (frame.id, send),
            other => panic!("no send: {other:?}"),
        }
    }

    pub(super) async fn answer(&self, in_reply_to: u64, body: server_frame::Body) {
        self.answers.send(ServerFrame { in_reply_to, body: Some(body) }).await.unwrap();
    }

    pub(super) async fn accept(&self, frame: u64) {
        let accepted = Accepted { server_time_ms: super::START_MS, full: vec![] };
        self.answer(frame, server_frame::Body::Accepted(accepted)).await;
    }

    pub(super) async fn refuse(
        &self,
        frame: u64,
        reason: &str,
        retry_after_ms: u32,
        server_time_ms: u64,
    ) {
        let error = Error {
            reason: reason.to_owned(),
            detail: String::new(),
            retry_after_ms,
            server_time_ms,
        };
        self.answer(frame, server_frame::Body::Error(error)).await;
    }
}

/// Alice as a client, with a session with Bob.
async fn alice() -> (Client, Party, Party) {
    let (alice, bob) = two().await;
    (client(&alice).await, alice, bob)
}

async fn accepted(events: &mut EventStream) {
    let is_it = |event: &Event| matches!(event, Event::MessageAccepted { .. });
    events.wait_for(PATIENCE, is_it).await.unwrap();
}

#[tokio::test]
async fn no_more_than_the_window_goes_out_unanswered_and_the_rest_follows_in_order() {
    let (client, _alice, bob) = alice().await;
    for number in 0..10 {
        client.send_text(bob.account, number.to_string()).await.unwrap();
    }

    let mut sending = Sending::start(&client);
    let mut sends = Vec::new();
    let mut frames = Vec::new();
    for _ in 0..4 {
        let (frame, send) = sending.next().await;
        frames.push(frame);
        sends.push(send);
    }
    assert!(sending.frames.try_recv().is_err(), "four are unanswered");
    for _ in 0..6 {
        sending.accept(frames.remove(0)).await;
        let (frame, send) = sending.next().await;
        frames.push(frame);
        sends.push(send);
    }
    for frame in frames {
        sending.accept(frame).await;
    }
    client.flush(PATIENCE).await.unwrap();

    let ids: Vec<_> = sends.iter().map(|send| send.client_msg_id.clone()).collect();
    assert!(ids.is_sorted());
    client.close().await;
}

#[tokio::test]
async fn later_means_the_same_bytes_again() {
    let (client, _alice, bob) = alice().await;
    client.send_text(bob.account, "hello").await.unwrap();
    let mut sending = Sending::start(&client);

    let (frame, first) = sending.next().await;
    sending.refuse(frame, "unavailable", 1, 0).await;
    let (again, second) = sending.next().await;

    assert_eq!(first, second);
    assert_ne!(frame, again, "in another frame");
    client.close().await;
}

#[tokio::test]
async fn a_server_that_is_read_only_or_has_had_enough_is_asked_again() {
    let (client, _alice, bob) = alice().await;
    client.send_text(bob.account, "hello").await.unwrap();
    let mut sending = Sending::start(&client);

    let (frame, first) = sending.next().await;
    sending.refuse(frame, "rate_limited", 0, 0).await;
    let (frame, second) = sending.next().await;
    sending.refuse(frame, "read_only", 0, 0).await;
    let (_, third) = sending.next().await;

    assert!(first == second && second == third);
    client.close().await;
}

/// I-3. Caught with a `room` that knows no refusal: once the first is accepted there is some,
/// and the fifth goes out before the third and the fourth have come back.
#[tokio::test]
async fn what_was_refused_for_its_rate_goes_before_what_was_never_sent() {
    let (client, _alice, bob) = alice().await;
    for number in 0..6 {
        client.send_text(bob.account, number.to_string()).await.unwrap();
    }
    let mut events = client.events();
    let mut sending = Sending::start(&client);
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(sending.next().await);
    }

    sending.refuse(first[1].0, "rate_limited", 1, 0).await;
    sending.accept(first[0].0).await;
    accepted(&mut events).await;
    sending.refuse(first[2].0, "rate_limited", 1, 0).await;
    sending.refuse(first[3].0, "rate_limited", 1, 0).await;

    for (_, refused) in &first[1..] {
        assert_eq!(sending.next().await.1, *refused);
    }
    let (_, new) = sending.next().await;
    assert!(first.iter().all(|(_, sent)| sent.client_msg_id < new.client_msg_id));
    client.close().await;
}

/// I-3. Another gateway knows nothing of the time for which this one refuses.
#[tokio::test]
async fn what_was_put_off_goes_first_on_the_next_socket() {
    let (client, _alice, bob) = alice().await;
    client.send_text(bob.account, "one").await.unwrap();
    client.send_text(bob.account, "two").await.unwrap();
    let mut sending = Sending::start(&client);
    let (frame, one) = sending.next().await;
    let (_, two) = sending.next().await;
    sending.refuse(frame, "rate_limited", 60_000, 0).await;
    client.send_text(bob.account, "three").await.unwrap();

    sending.task.abort();
    let mut sending = Sending::start(&client);

    assert_eq!(sending.next().await.1, one);
    assert_eq!(sending.next().await.1, two);
    assert!(sending.next().await.1.client_msg_id > two.client_msg_id);
    client.close().await;
}

/// It fails where a full queue pauses all sending, as a server that has had enough does:
/// one contact who never comes back would then hold up the messages to everybody.
#[tokio::test]
async fn a_peer_whose_queue_is_full_holds_up_nobody_else() {
    let (alice, bob) = two().await;
    let carol = Party::new().await;
    alice.meet(&carol).await;
    alice.open_session(&carol).await;
    let client = client(&alice).await;
    client.send_text(bob.account, "are you there?").await.unwrap();
    let mut sending = Sending::start(&client);

    let (frame, first) = sending.next().await;
    sending.refuse(frame, "queue_full", 60_000, 0).await;
    client.send_text(bob.account, "hello?").await.unwrap();
    client.send_text(carol.account, "hello").await.unwrap();
    let (_, next) = sending.next().await;

    assert_eq!(first.recipient, bob.account.uuid().as_bytes().as_slice());
    assert_eq!(next.recipient, carol.account.uuid().as_bytes().as_slice());
    client.close().await;
}

#[tokio::test]
async fn a_peer_whose_queue_was_full_is_tried_again() {
    let (client, _alice, bob) = alice().await;
    client.send_text(bob.account, "hello").await.unwrap();
    let mut sending = Sending::start(&client);

    let (frame, first) = sending.next().await;
    sending.refuse(frame, "queue_full", 1, 0).await;
    let (_, second) = sending.next().await;

    assert_eq!(first, second);
    client.close().await;
}

#[tokio::test]
async fn a_lost_connection_means_the_same_bytes_again() {
    let (client, _alice, bob) = alice().await;
    client.send_text(bob.account, "one").await.unwrap();
    client.send_text(bob.account, "two").await.unwrap();
    let mut sending = Sending::start(&client);
    let (_, one) = sending.next().await;
    let (_, two) = sending.next().await;

    sending.task.abort();
    let mut sending = Sending::start(&client);

    assert_eq!(sending.next().await.1, one);
    assert_eq!(sending.next().await.1, two);
    client.close().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_set_right() {
    let (client, _alice, bob) = alice().await;
    client.send_text(bob.account, "hello").await.unwrap();
    let mut sending = Sending::start(&client);
    let server_ms = super::START_MS - 3_600_000;

    let (frame, first) = sending.next().await;
    sending.refuse(frame, "clock_skew", 0, server_ms).await;
    let (frame, second) = sending.next().await;

    assert_eq!(first.messages, second.messages);
    let id = |send: &Send| ClientMsgId::try_from(send.client_msg_id.as_ref()).unwrap();
    assert_eq!(id(&second).unix_ms(), server_ms);
    // What is written from now on has the server's time at once.
    sending.accept(frame).await;
    client.send_text(bob.account, "again").await.unwrap();
    let (_, third) = sending.next().await;
    assert!(id(&third).unix_ms() - server_ms < 10);
    client.close().await;
}

#[tokio::test]
async fn a_refusal_for_good_holds_nothing_else_up() {
    let (client, _alice, bob) = alice().await;
    let mut events = client.events();
    let refused = client.send_text(bob.account, "one").await.unwrap();
    client.send_text(bob.account, "two").await.unwrap();
    let mut sending = Sending::start(&client);

    let (one, _) = sending.next().await;
    let (two, _) = sending.next().await;
    sending.refuse(one, "not_interoperable", 0, 0).await;
    let told = events
        .wait_for(PATIENCE, |event| matches!(event, Event::MessageFailed { .. }))
        .await
        .unwrap();
    sending.accept(two).await;
    accepted(&mut events).await;

    assert!(matches!(told, Event::MessageFailed { id, reason, .. }
        if id == refused && reason == "not_interoperable"));
    client.flush(PATIENCE).await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn an_answer_to_nothing_is_passed_over() {
    let (client, _alice, bob) = alice().await;
    client.send_text(bob.account, "hello").await.unwrap();
    let mut sending = Sending::start(&client);
    let (frame, _) = sending.next().await;

    for wrong in [0, 1, 9_999] {
        sending.accept(wrong).await;
    }
    sending.accept(frame).await;
    sending.accept(frame).await;

    client.flush(PATIENCE).await.unwrap();
    assert!(!sending.task.is_finished());
    client.close().await;
}

/// The receiving side of a connection.
struct Receiving {
    delivered: mpsc::Sender<Delivered>,
    acks: mpsc::Receiver<EnvelopeId>,
}

impl Receiving {
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    fn start(client: &Client) -> Self {
        let (delivered, inbox) = mpsc::channel(64);
        let (ids, acks) = mpsc::channel(64);
        drop(tokio::spawn(Inbox::new(Arc::clone(&client.inner), ids).run(inbox)));
        Self { delivered, acks }
    }

    async fn deliver(&self, what: Delivered) {
        self.delivered.send(what).await.ok().unwrap();
    }
}

#[tokio::test]
async fn what_waited_is_stored_before_its_end_is_told() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["one", "two", "three"]).await;
    let client = client(&bob).await;
    let mut events = client.events();

    let mut receiving = Receiving::start(&client);
    for envelope in bob.envelopes(&alice, &sends) {
        receiving.deliver(Delivered::Envelope(envelope)).await;
    }
    receiving.deliver(Delivered::QueueEmpty).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(timeout(PATIENCE, events.next()).await.unwrap().unwrap());
    }

    assert!(matches!(told.pop(), Some(Event::QueueEmpty)));
    assert!(told.iter().all(|event| matches!(event, Event::Message(_))));
    client.wait_drained(PATIENCE).await.unwrap();
    for _ in 0..3 {
        timeout(PATIENCE, receiving.acks.recv()).await.unwrap().unwrap();
    }
    client.close().await;
}

#[tokio::test]
async fn a_sender_who_cannot_be_looked_up_yet_holds_up_nobody_else() {
    let (alice, bob) = two().await;
    let stranger = Party::new().await;
    stranger.meet(&bob).await;
    stranger.open_session(&bob).await;
    let strange = stranger.say(&bob, &["who am I?", "and again"]).await;
    let known = alice.say(&bob, &["hello"]).await;
    let strange = bob.envelopes(&stranger, &strange);
    let known = bob.envelopes(&alice, &known);
    let client = client(&bob).await;
    let mut events = client.events();

    let mut receiving = Receiving::start(&client);
    for envelope in strange.into_iter().chain(known) {
        receiving.deliver(Delivered::Envelope(envelope)).await;
    }
    receiving.deliver(Delivered::QueueEmpty).await;
    let told = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    timeout(PATIENCE, receiving.acks.recv()).await.unwrap().unwrap();

    let Event::Message(message) = told else { panic!("no message: {told:?}") };
    assert_eq!(message.body.text(), Some("hello"));
    assert!(receiving.acks.try_recv().is_err(), "the stranger's stay at the server");
    client.close().await;
}

/// I-2. It fails where a store that has failed counts against the sender: all that waits
/// for the chain would be acknowledged, and be gone.
#[tokio::test]
async fn what_comes_while_the_store_fails_stays_at_the_server() {
    let (stranger, bob, server) = (Party::new().await, Party::new().await, Server::start().await);
    stranger.meet(&bob).await;
    stranger.open_session(&bob).await;
    let sends = stranger.say(&bob, &["who am I?", "and again"]).await;
    let envelopes = bob.envelopes(&stranger, &sends);
    let ops = stranger.ops().await;
    server.state().chains.insert(stranger.account, ops);
    let client = client_with(&bob, |config| config.rest = server.url.parse().unwrap()).await;
    let no_chain_can_be_stored = "ALTER TABLE chain_ops RENAME TO elsewhere";
    client.inner.vault.run(|tx| Ok(tx.db.execute_batch(no_chain_can_be_stored)?)).await.unwrap();

    let mut receiving = Receiving::start(&client);
    for envelope in envelopes {
        receiving.deliver(Delivered::Envelope(envelope)).await;
    }

    let acknowledged = timeout(PATIENCE, receiving.acks.recv()).await.unwrap();
    assert_eq!(acknowledged, None, "the connection ends");
    client.close().await;
}
