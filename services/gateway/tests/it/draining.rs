use std::time::Duration;

use futures_util::future::join_all;
use sotto_proto::socket::server_frame::Body;
use tokio_tungstenite::tungstenite;

use crate::harness::{Device, Replica, Signer, TestGateway, within};

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

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_of_sends_before_the_goodbye_are_not_lost() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let mut device = gateway.connect(Signer::new()).await;
    let frame = device.send(b"last words").await;
    device.accepted(frame).await;

    gateway.lifecycle.drain();

    assert_eq!(device.closed().await, (1012, "service_restart".to_owned()));
}
