use std::time::Duration;

use tokio_tungstenite::tungstenite;

use crate::harness::{Device, Replica, Signer, TestGateway, config, wait_for};

/// What a device is told whose upgrade is refused: status, reason, seconds to wait.
async fn refused(gateway: &TestGateway, token: Option<&str>) -> Option<(u16, String, u64)> {
    let mut opening = Device::open(gateway.address());
    if let Some(token) = token {
        opening = opening.token(token);
    }
    let Err(tungstenite::Error::Http(response)) = opening.try_connect().await else {
        return None;
    };
    let seconds = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let body = response.body().clone().unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let reason = problem.get("reason").unwrap().as_str().unwrap().to_owned();
    Some((response.status().as_u16(), reason, seconds))
}

/// A socket that has shown a token and waits for its first page. Those before it, which
/// looked whether the gateway is there, may have to be gone first.
async fn opening(gateway: &TestGateway, token: &str) -> Device {
    let mut device = None;
    wait_for("room", async || {
        device = Device::open(gateway.address()).token(token).try_connect().await.ok();
        device.is_some()
    })
    .await;
    let mut device = device.unwrap();
    device.hello().await;
    device
}

/// I-8. Caught with the bucket left out of the upgrade: all forty are let in.
#[tokio::test(flavor = "multi_thread")]
async fn upgrades_beyond_the_rate_are_turned_away_with_a_time_to_come_back() {
    let mut config = config();
    config.admission.rate = 10;
    config.admission.burst = 5;
    let gateway = TestGateway::start_with(&[], config).await;

    let mut told = Vec::new();
    for _ in 0..40 {
        told.extend(refused(&gateway, None).await);
    }

    assert_eq!(told.len(), 35);
    for (status, reason, seconds) in told {
        assert_eq!((status, reason.as_str()), (503, "too_many_connections"));
        assert!((1..=5).contains(&seconds), "{seconds}");
    }
    gateway.clock.advance(Duration::from_secs(1));
    assert!(refused(&gateway, None).await.is_none(), "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_are_on_their_way_in_and_the_others_are_told_to_come_back() {
    let mut config = config();
    config.admission.max_opening = 3;
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    replica.stop_reading();
    let tokens: Vec<_> = (0..5).map(|_| Signer::new().token(600)).collect();
    let mut waiting = Vec::new();
    for token in &tokens[..3] {
        waiting.push(opening(&gateway, token).await);
    }

    // One that shows its token with the upgrade, and one that shows it later.
    let (status, reason, _) = refused(&gateway, Some(&tokens[3])).await.unwrap();
    assert_eq!((status, reason.as_str()), (503, "too_many_connections"));
    let mut late = Device::open(gateway.address()).connect().await;
    let frame = late.authenticate(&tokens[4]).await;
    let (answered, error) = late.error().await;
    assert_eq!((answered, error.reason.as_str()), (frame, "too_many_connections"));
    assert!(error.retry_after_ms >= 500);
    assert_eq!(late.closed().await, (4005, "unavailable".to_owned()));

    replica.read();
    for device in &mut waiting {
        device.queue_empty().await;
    }
    let mut device = Device::open(gateway.address()).token(&tokens[3]).connect().await;
    device.hello().await;
    drop(waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_show_nothing_take_no_place_of_those_that_do() {
    let mut config = config();
    config.admission.max_opening = 1;
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let mut silent = Vec::new();
    for _ in 0..30 {
        silent.push(Device::open(gateway.address()).connect().await);
    }

    opening(&gateway, &Signer::new().token(600)).await.queue_empty().await;
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_goes_before_its_first_page_makes_room() {
    let mut config = config();
    config.admission.max_opening = 1;
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    replica.stop_reading();
    let token = Signer::new().token(600);
    let device = opening(&gateway, &token).await;
    assert!(refused(&gateway, Some(&token)).await.is_some());

    drop(device);

    wait_for("room", async || refused(&gateway, Some(&token)).await.is_none()).await;
}
