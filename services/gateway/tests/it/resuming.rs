use bytes::Bytes;
use sotto_proto::socket::{Resume, client_frame, server_frame::Body};
use sotto_store::notices::Notice;

use crate::harness::{Device, Form, Replica, Signer, TestGateway, wait_for};

/// A socket that shows this ticket first.
async fn resume(gateway: &TestGateway, form: Form, ticket: &Bytes) -> (Device, u64) {
    let mut device = Device::open(gateway.address()).form(form).connect().await;
    let resume = Resume { ticket: ticket.clone() };
    let frame = device.say(client_frame::Body::Resume(resume)).await;
    (device, frame)
}

/// The ticket of a socket of this user that has lost its connection.
async fn cut_off(gateway: &TestGateway, user: Signer) -> Bytes {
    let mut device = Device::open(gateway.address()).token(&user.token(600)).connect().await;
    let (_, hello) = device.hello().await;
    assert_eq!(hello.resume_ticket.len(), 32);
    drop(device);
    wait_for("the end of the socket", async || gateway.place(user).await.is_none()).await;
    hello.resume_ticket
}

async fn assert_refused(gateway: &TestGateway, ticket: &Bytes) {
    let (mut device, frame) = resume(gateway, Form::Proto, ticket).await;
    let (answered, error) = device.error().await;
    assert_eq!((answered, error.reason.as_str()), (frame, "resume_refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_goes_on_by_its_ticket_while_the_keys_are_away() {
    let replica = Replica::start().await;
    for form in [Form::Proto, Form::Json] {
        let gateway = TestGateway::start(&[&replica]).await;
        let user = Signer::new();
        let ticket = cut_off(&gateway, user).await;
        gateway.keys.go_away();

        let (mut device, frame) = resume(&gateway, form, &ticket).await;

        let (answered, hello) = device.hello().await;
        assert_eq!((answered, hello.resumed), (frame, true));
        assert_ne!(hello.resume_ticket, ticket);
        device.queue_empty().await;
        let frame = device.send(b"as before").await;
        device.accepted(frame).await;
        let sender = replica.submits().pop().unwrap().sender.unwrap();
        assert_eq!(sender.account, user.device().account.as_bytes()[..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_at_another_gateway() {
    let replica = Replica::start().await;
    let (one, two) = (TestGateway::start(&[&replica]).await, TestGateway::start(&[&replica]).await);
    let ticket = cut_off(&one, Signer::new()).await;

    let (mut device, _) = resume(&two, Form::Proto, &ticket).await;

    assert!(device.hello().await.1.resumed);
}

/// I-10. Caught with GET in the place of GETDEL: all forty are let in.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_with_one_ticket_one_gets_in() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let ticket = cut_off(&gateway, Signer::new()).await;

    let crowd = (0..40).map(async |_| {
        let (mut device, _) = resume(&gateway, Form::Proto, &ticket).await;
        matches!(device.next().await.body, Some(Body::Hello(_)))
    });
    let let_in = futures_util::future::join_all(crowd).await;

    assert_eq!(let_in.into_iter().filter(|is_in| *is_in).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_refused_ticket_a_token_is_taken_on_the_same_socket() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let (mut device, frame) = resume(&gateway, Form::Json, &Bytes::from_static(&[9; 32])).await;
    assert_eq!(device.error().await.0, frame);

    let frame = device.authenticate(&Signer::new().token(600)).await;

    let (answered, hello) = device.hello().await;
    assert_eq!((answered, hello.resumed), (frame, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_displaced_socket_leaves_no_ticket() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let mut first = Device::open(gateway.address()).token(&user.token(600)).connect().await;
    let ticket = first.hello().await.1.resume_ticket;
    let _second = gateway.connect(user).await;
    assert_eq!(first.closed().await.1, "displaced");

    wait_for("the ticket to be void", async || gateway.tickets_of(&ticket).await == 0).await;

    assert_refused(&gateway, &ticket).await;
}

/// I-7. Caught with the ticket kept in `finish`: the device is let in again.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_has_no_ticket_any_more() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let mut device = Device::open(gateway.address()).token(&user.token(600)).connect().await;
    let ticket = device.hello().await.1.resume_ticket;

    gateway
        .notices
        .notify_device(user.device(), |connection| Notice::Revoked { connection })
        .await
        .unwrap();
    assert_eq!(device.closed().await.1, "device_revoked");
    wait_for("the ticket to be void", async || gateway.tickets_of(&ticket).await == 0).await;

    assert_refused(&gateway, &ticket).await;
}

/// I-7. Where nobody was there to void the ticket, the queue says no.
#[tokio::test(flavor = "multi_thread")]
async fn the_ticket_of_a_device_that_was_revoked_while_it_was_away_is_worth_nothing() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    replica.store(user.device(), 3, 10);
    let ticket = cut_off(&gateway, user).await;
    replica.revoke(user.device());

    let (mut device, _) = resume(&gateway, Form::Proto, &ticket).await;

    device.hello().await;
    let frame = device.next().await;
    let Some(Body::Goodbye(goodbye)) = frame.body else { panic!("{frame:?}") };
    assert_eq!(goodbye.reason, "device_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_prolongs_what_the_ticket_stands_for() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let mut device = Device::open(gateway.address()).token(&user.token(60)).connect().await;
    let (_, hello) = device.hello().await;
    device.queue_empty().await;
    device.authenticate(&user.token(600)).await;
    let frame = device.next().await;
    assert!(matches!(frame.body, Some(Body::Authenticated(_))), "{frame:?}");
    // The answer is written with what is read next.
    let frame = device.send(b"so it is done").await;
    device.accepted(frame).await;
    drop(device);
    wait_for("the end of the socket", async || gateway.place(user).await.is_none()).await;

    let (mut device, _) = resume(&gateway, Form::Proto, &hello.resume_ticket).await;

    let resumed = device.hello().await.1;
    assert_eq!(resumed.token_expires_at_ms, hello.token_expires_at_ms + 540_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_outlives_its_socket_for_a_short_time_only() {
    let mut config = crate::harness::config();
    config.resume.ttl = std::time::Duration::from_millis(200);
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let ticket = cut_off(&gateway, Signer::new()).await;

    wait_for("the ticket to end", async || gateway.tickets_of(&ticket).await == 0).await;

    assert_refused(&gateway, &ticket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tickets_are_given_where_they_are_turned_off() {
    let mut config = crate::harness::config();
    config.resume.ttl = std::time::Duration::ZERO;
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let token = Signer::new().token(600);
    let mut device = Device::open(gateway.address()).token(&token).connect().await;

    assert!(device.hello().await.1.resume_ticket.is_empty());
}
