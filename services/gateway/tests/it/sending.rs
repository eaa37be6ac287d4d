use sotto_proto::socket::{Retract, client_frame, server_frame::Body};

use crate::harness::{Form, Replica, Signer, TestGateway, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_send_goes_up_with_its_sender_and_is_answered() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;

    for form in [Form::Proto, Form::Json] {
        let user = Signer::new();
        let mut device = gateway.connect_in(form, user).await;

        let frame = device.send(b"sealed").await;
        device.accepted(frame).await;

        let submit = replica.submits().pop().unwrap();
        let sender = submit.sender.unwrap();
        assert_eq!(sender.account, user.device().account.as_bytes()[..]);
        assert_eq!((sender.device, submit.app.as_str()), (1, "socialink"));
        assert_eq!(submit.send.unwrap().messages[0].ciphertext, &b"sealed"[..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sends_of_a_device_take_one_replica_in_their_order() {
    let (one, two) = (Replica::start().await, Replica::start().await);
    let gateway = TestGateway::start(&[&one, &two]).await;

    for _ in 0..10 {
        let mut device = gateway.connect(Signer::new()).await;
        let before = (one.submits().len(), two.submits().len());
        for number in 0..100_u32 {
            device.send(&number.to_be_bytes()).await;
        }
        for frame in 1..=100 {
            device.accepted(frame).await;
        }

        let (one, two) = (one.submits().split_off(before.0), two.submits().split_off(before.1));
        assert!(one.is_empty() || two.is_empty(), "{} and {}", one.len(), two.len());
        let frames: Vec<_> = one.iter().chain(&two).map(|submit| submit.frame).collect();
        assert_eq!(frames, (1..=100).collect::<Vec<_>>());
    }
    assert!(!one.submits().is_empty() && !two.submits().is_empty(), "both had devices");
}

/// I-6. Caught with no item taking credit: all fifty sends are with the replica at once.
#[tokio::test(flavor = "multi_thread")]
async fn out_of_credit_devices_wait_and_nothing_is_lost() {
    let replica = Replica::start().await;
    replica.set_credit(3);
    replica.stop_deciding();
    let gateway = TestGateway::start(&[&replica]).await;
    let mut devices = Vec::new();
    for _ in 0..10 {
        devices.push(gateway.connect(Signer::new()).await);
    }

    for device in &mut devices {
        for _ in 0..5 {
            device.send(b"hi").await;
        }
    }
    wait_for("the credit to be used up", async || replica.submits().len() == 3).await;
    // Whoever waits for credit is served otherwise: a hint is delivered.
    let user = Signer::new();
    let mut listener = gateway.connect(user).await;
    let hinted = replica.store(user.device(), 1, 10);
    replica.hint(listener.connection, user.device(), &hinted);
    assert_eq!(listener.envelope().await, hinted[0]);
    assert_eq!(replica.submits().len(), 3);

    replica.decide();

    for device in &mut devices {
        for frame in 1..=5 {
            device.accepted(frame).await;
        }
    }
    assert_eq!(replica.submits().len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_replica_sends_are_unavailable_and_may_be_tried_again() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let mut device = gateway.connect(Signer::new()).await;
    replica.stop_deciding();
    let pending = device.send(b"on its way").await;
    wait_for("the send", async || replica.submits().len() == 1).await;

    replica.die();

    let (answered, error) = device.error().await;
    assert_eq!((answered, error.reason.as_str()), (pending, "unavailable"));
    assert!(error.retry_after_ms > 0);
    let late = device.send(b"too late").await;
    assert_eq!(device.error().await.0, late);

    replica.rise().await;
    replica.decide();
    wait_for("the link", async || replica.attached() == 1).await;
    let mut frame = device.send(b"again").await;
    loop {
        let answer = device.next().await;
        assert_eq!(answer.in_reply_to, frame);
        match answer.body {
            Some(Body::Accepted(_)) => break,
            // The gateway takes a moment longer to know.
            _ => frame = device.send(b"again").await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_owes_an_answer_for_too_long_is_given_up() {
    let mut config = crate::harness::config();
    config.links.answer_timeout = std::time::Duration::from_millis(200);
    let replica = Replica::start().await;
    replica.stop_deciding();
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let mut device = gateway.connect(Signer::new()).await;

    let frame = device.send(b"hi").await;

    assert_eq!(device.error().await.0, frame);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retraction_goes_up_with_its_sender_and_is_answered() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;

    for form in [Form::Proto, Form::Json] {
        let user = Signer::new();
        let mut device = gateway.connect_in(form, user).await;
        let retract = Retract {
            client_msg_id: vec![1; 16].into(),
            recipient: vec![2; 16].into(),
            device_ids: vec![1, 3],
        };

        let frame = device.say(client_frame::Body::Retract(retract.clone())).await;

        let answer = device.next().await;
        assert!(matches!(answer.body, Some(Body::Retracted(_))), "{answer:?}");
        assert_eq!(answer.in_reply_to, frame);
        let passed_on = replica.retracts().pop().unwrap();
        assert_eq!(passed_on.sender.unwrap().account, user.device().account.as_bytes()[..]);
        assert_eq!(passed_on.retract.unwrap(), retract);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retraction_that_no_replica_takes_may_be_tried_again() {
    let gateway = TestGateway::start(&[]).await;
    let mut device = gateway.connect_early(Signer::new()).await;

    let frame = device.say(client_frame::Body::Retract(Retract::default())).await;

    let (answered, error) = device.error().await;
    assert_eq!((answered, error.reason.as_str()), (frame, "unavailable"));
}
