use std::time::Duration;

use crate::harness::{Device, Form, Replica, Signer, TestGateway, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_be_shown_in_three_ways() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;

    for form in [Form::Proto, Form::Json] {
        let token = Signer::new().token(600);
        let opening = || Device::open(gateway.address()).form(form);

        let mut by_header = opening().token(&token).connect().await;
        assert_eq!(by_header.hello().await.0, 0);

        let mut by_subprotocol = opening().token_as_subprotocol(&token).connect().await;
        assert_eq!(by_subprotocol.hello().await.0, 0);

        let mut by_frame = opening().connect().await;
        let frame = by_frame.authenticate(&token).await;
        assert_eq!(by_frame.hello().await.0, frame);
        by_frame.queue_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_may_follow_the_token_without_waiting_for_hello() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let mut device = Device::open(gateway.address()).connect().await;

    device.authenticate(&Signer::new().token(600)).await;
    for _ in 0..20 {
        device.send(b"hi").await;
    }

    device.hello().await;
    wait_for("all sends", async || replica.submits().len() == 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_taken_ends_the_socket_by_its_kind() {
    let gateway = TestGateway::start(&[]).await;
    let user = Signer::new();

    for (token, reason, close) in [
        (user.forged_token(), "token_invalid", (4501, "authentication_failed")),
        ("no.jwt".to_owned(), "token_malformed", (4501, "authentication_failed")),
        (user.old_token(), "token_expired", (4001, "token_expired")),
    ] {
        let mut device = Device::open(gateway.address()).token(&token).connect().await;

        assert_eq!(device.error().await.1.reason, reason);
        assert_eq!(device.closed().await, (close.0, close.1.to_owned()));
    }
    assert!(gateway.place(user).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_keys_nobody_is_told_that_a_token_is_bad() {
    let gateway = TestGateway::start(&[]).await;
    gateway.keys.go_away();

    let token = Signer::new().token(600);
    let mut device = Device::open(gateway.address()).token(&token).connect().await;

    assert_eq!(device.closed().await, (4005, "unavailable".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_shows_no_token_ends_after_five_seconds() {
    let gateway = TestGateway::start(&[]).await;
    let mut device = Device::open(gateway.address()).connect().await;

    gateway.clock.advance(Duration::from_secs(6));

    assert_eq!(device.closed().await, (4004, "authentication_timeout".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_its_token_unless_it_shows_a_new_one() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let (stays, goes) = (Signer::new(), Signer::new());
    let mut staying = gateway.connect(stays).await;
    let mut going = gateway.connect(goes).await;

    let frame = staying.authenticate(&stays.token(6_000)).await;
    let answer = staying.next().await;
    assert_eq!(answer.in_reply_to, frame);
    gateway.clock.advance(Duration::from_secs(601));

    assert_eq!(going.closed().await, (4001, "token_expired".to_owned()));
    let frame = staying.send(b"still here").await;
    staying.accepted(frame).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_device_does_not_move_the_socket() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    let shown = device.authenticate(&user.token_of_another_device()).await;

    let (answered, error) = device.error().await;
    assert_eq!((answered, error.reason.as_str()), (shown, "token_other_device"));
    let frame = device.send(b"hi").await;
    device.accepted(frame).await;
}
