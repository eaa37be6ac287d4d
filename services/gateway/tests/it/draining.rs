use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use sotto_ids::EnvelopeId;
use sotto_proto::socket::{Resume, client_frame, server_frame::Body};
use tokio_tungstenite::tungstenite;

use crate::harness::{Device, Replica, Signer, TestGateway, wait_for, within};

/// I-8. Caught with the time to come back always 0: all sixty are in the first half.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_sends_everybody_away_and_spreads_when_they_come_back() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let users: Vec<_> = (0..60).map(|_| Signer::new()).collect();
    let devices = join_all(users.iter().map(|user| gateway.connect(*user))).await;

    gateway.lifecycle.drain();

    let ends = devices.into_iter().map(async |mut device| {
        let frame = device.next().await;
        let Some(Body::Goodbye(goodbye)) = frame.body else { panic!("{frame:?}") };
        let message = device.next_message().await.unwrap();
        assert!(format!("{message:?}").contains("1012") || message.is_close());
        (goodbye.reason, goodbye.reconnect_after_ms)
    });
    let goodbyes = join_all(ends).await;
    assert!(goodbyes.iter().all(|(reason, after)| reason == "service_restart" && *after <= 500));
    let early = goodbyes.iter().filter(|(_, after)| *after < 250).count();
    assert!((5..=55).contains(&early), "{early} of 60 in the first half");

    // The end waits for the sockets, and for no longer.
    within("the drain", gateway.lifecycle.drained(Duration::from_secs(60))).await;
    for user in users {
        assert!(gateway.place(user).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_drains_takes_no_new_sockets() {
    let gateway = TestGateway::start(&[]).await;
    gateway.lifecycle.drain();

    let refused = Device::open(gateway.address()).try_connect().await.unwrap_err();

    let tungstenite::Error::Http(response) = refused else { panic!("{refused:?}") };
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let body = String::from_utf8(response.body().clone().unwrap()).unwrap();
    assert!(body.contains("\"reason\":\"draining\""), "{body}");
}

/// I-8. Caught with `Machine::leave` that closes at once: the Goodbye comes, and no outcome.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_of_sends_before_the_goodbye_are_not_lost() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let mut device = gateway.connect(Signer::new()).await;
    let mut bystander = gateway.connect(Signer::new()).await;
    replica.stop_deciding();
    let frame = device.send(b"last words").await;
    wait_for("the send", async || replica.submits().len() == 1).await;

    gateway.lifecycle.drain();
    // All are told at once, so the other one knows by then.
    assert_eq!(bystander.closed().await, (1012, "service_restart".to_owned()));
    replica.decide();

    device.accepted(frame).await;
    assert_eq!(device.closed().await, (1012, "service_restart".to_owned()));
}

/// What a device gets until the gateway sends it away, acknowledged as it comes.
async fn until_goodbye(device: &mut Device, received: &mut Vec<EnvelopeId>) {
    loop {
        let frame = device.next().await;
        match frame.body {
            Some(Body::Deliver(deliver)) => {
                let ids = deliver.envelopes.iter().map(|envelope| envelope.id.as_ref());
                let ids: Vec<_> = ids.map(|id| EnvelopeId::try_from(id).unwrap()).collect();
                received.extend(&ids);
                device.try_acknowledge(&ids).await;
            }
            Some(Body::Goodbye(goodbye)) => return assert_eq!(goodbye.reason, "service_restart"),
            Some(Body::QueueEmpty(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// I-8, I-2. Caught with the queue left unread where a socket was resumed: what was stored
/// between the two sockets never comes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_while_a_gateway_drains_is_delivered_by_the_next() {
    let replica = Replica::start().await;
    let old = TestGateway::start(&[&replica]).await;
    let new = TestGateway::start(&[&replica]).await;
    let users: Vec<_> = (0..40).map(|_| Signer::new()).collect();
    let mut devices = Vec::new();
    for user in &users {
        let mut device = Device::open(old.address()).token(&user.token(600)).connect().await;
        let ticket = device.hello().await.1.resume_ticket;
        device.queue_empty().await;
        devices.push((device, ticket));
    }
    let store = |count: usize| {
        for (user, (device, _)) in users.iter().zip(&devices) {
            let stored = replica.store(user.device(), count, 100);
            replica.hint(device.connection, user.device(), &stored);
        }
    };
    store(20);

    old.lifecycle.drain();
    store(20);

    new.keys.go_away();
    let moved = users.iter().zip(devices).map(async |(user, (mut device, ticket))| {
        let mut received = Vec::new();
        until_goodbye(&mut device, &mut received).await;
        drop(device);
        wait_for("the end of the old socket", async || old.place(*user).await.is_none()).await;
        let mut device = Device::open(new.address()).connect().await;
        device.say(client_frame::Body::Resume(Resume { ticket })).await;
        assert!(device.hello().await.1.resumed);
        // What was acknowledged with the last breath may come again, with the same id.
        let mut all: BTreeSet<_> = received.into_iter().collect();
        while all.len() < 40 {
            all.extend(device.receive(1).await);
        }
        all.len()
    });
    assert_eq!(join_all(moved).await, [40; 40]);
}
