use std::{collections::HashSet, time::Duration};

use futures_util::StreamExt as _;
use sotto_proto::socket::server_frame::Body;
use sotto_store::notices::Notice;

use crate::harness::{Device, Form, Replica, Signer, TestGateway, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_drained_in_order_and_then_empty_once() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;

    for form in [Form::Proto, Form::Json] {
        let user = Signer::new();
        let stored = replica.store(user.device(), 550, 100);
        let mut device = gateway.connect_early_in(form, user).await;

        assert_eq!(device.receive(550).await, stored);

        device.queue_empty().await;
        wait_for("the acknowledgements", async || replica.waiting(user.device()) == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_are_delivered_at_once_on_whichever_stream_they_come() {
    let (one, two) = (Replica::start().await, Replica::start().await);
    let gateway = TestGateway::start(&[&one, &two]).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    // Both stand for one database here; each hints at what it stored itself.
    let stored = one.store(user.device(), 6, 100);
    two.store(user.device(), 6, 100);
    let (by_one, by_two) = stored.split_at(3);
    one.hint(device.connection, user.device(), by_one);
    assert_eq!(device.receive(3).await, by_one);
    two.hint(device.connection, user.device(), by_two);
    assert_eq!(device.receive(3).await, by_two);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_replica_had_stored_is_found_when_it_is_back() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let users: Vec<_> = (0..20).map(|_| Signer::new()).collect();
    let mut devices = Vec::new();
    for user in &users {
        devices.push(gateway.connect(*user).await);
    }

    replica.die();
    let stored: Vec<_> = users.iter().map(|user| replica.store(user.device(), 3, 10)).collect();
    replica.rise().await;

    for (device, stored) in devices.iter_mut().zip(stored) {
        assert_eq!(device.receive(3).await, stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_stored_before_it_died_is_found_through_another() {
    let (one, two) = (Replica::start().await, Replica::start().await);
    let gateway = TestGateway::start(&[&one, &two]).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;
    // Both stand for one database here.
    let id = one.store(user.device(), 1, 10);
    assert_eq!(two.store(user.device(), 1, 10), id);

    one.die();

    assert_eq!(device.receive(1).await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_reads_slowly_misses_nothing_and_gets_nothing_twice() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    // More than its socket, its mailbox and its window take.
    let mut stored = Vec::new();
    for _ in 0..100 {
        let some = replica.store(user.device(), 20, 4_000);
        replica.hint(device.connection, user.device(), &some);
        stored.extend(some);
    }

    let received = device.receive(2_000).await;
    assert_eq!(received.len(), received.iter().collect::<HashSet<_>>().len(), "none twice");
    assert_eq!(received, stored, "and in order");
    wait_for("the acknowledgements", async || replica.waiting(user.device()) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_so_many_envelopes_are_on_their_way_without_an_ack() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;
    let stored = replica.store(user.device(), 300, 10);
    replica.hint(device.connection, user.device(), &stored);

    // However they came, as hints or as pages, more than half of a window did.
    let mut received = Vec::new();
    for _ in 0..65 {
        received.push(device.envelope().await);
    }
    let frame = device.send(b"answered after what is on its way").await;
    while let Some(id) = device.envelope_before(frame).await {
        received.push(id);
    }
    assert!(received.len() <= 128, "{} without an Ack", received.len());

    device.acknowledge(&received).await;
    received.extend(device.receive(300 - received.len()).await);
    assert_eq!(received, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_envelopes_never_exceed_the_bound_of_frames() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    replica.store(user.device(), 30, sotto_ids::limits::MAX_CIPHERTEXT_BYTES);
    let mut device = gateway.connect_early(user).await;

    let mut count = 0;
    while count < 30 {
        let frame = device.next().await;
        assert!(prost::Message::encoded_len(&frame) <= sotto_ids::limits::MAX_FRAME_BYTES);
        let Some(Body::Deliver(deliver)) = frame.body else { panic!("{frame:?}") };
        count += deliver.envelopes.len();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_was_not_acknowledged_comes_again_on_the_next_socket() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let stored = replica.store(user.device(), 2, 10);
    let mut first = gateway.connect_early(user).await;
    assert_eq!(first.envelope().await, stored[0]);
    first.acknowledge(&stored[..1]).await;
    wait_for("the acknowledgement", async || replica.waiting(user.device()) == 1).await;
    drop(first);

    let mut second = gateway.connect_early(user).await;

    assert_eq!(second.envelope().await, stored[1]);
    second.queue_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_device_is_pinged_and_given_up() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;
    // A device whose program stands still: its kernel takes the pings, nobody answers.
    wait_for("the end of the socket", async || {
        gateway.clock.advance(Duration::from_secs(5));
        gateway.place(user).await.is_none()
    })
    .await;

    let mut pings = 0;
    let close = loop {
        match device.socket.next().await {
            Some(Ok(message)) if message.is_ping() => pings += 1,
            Some(Ok(message)) if message.is_close() => break message,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(pings, 2);
    assert!(format!("{close:?}").contains("heartbeat_lost"));
}

/// A device that is to get more than its kernel takes, and reads none of it.
async fn stalled(gateway: &TestGateway, replica: &Replica, user: Signer) -> Device {
    replica.store(user.device(), 100, sotto_ids::limits::MAX_CIPHERTEXT_BYTES);
    let device = gateway.connect_early(user).await;
    // What has come is a hundredth of what is on its way.
    wait_for("bytes to pile up", async || device.piled_up().await >= 64 * 1024).await;
    device
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_takes_nothing_is_given_up() {
    let mut config = crate::harness::config();
    config.session.write_timeout = Duration::from_millis(300);
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let user = Signer::new();

    let _device = stalled(&gateway, &replica, user).await;

    wait_for("the end of the socket", async || gateway.place(user).await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_that_takes_nothing_is_cut_off_at_once() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let device = stalled(&gateway, &replica, user).await;

    let connection = device.connection.0;
    let gateway_id = gateway.place(user).await.unwrap().gateway;
    let revoked = Notice::Revoked { connection };
    gateway.notices.publish(&gateway_id, &revoked).await.unwrap();

    let gone = wait_for("the end of the socket", async || gateway.place(user).await.is_none());
    tokio::time::timeout(Duration::from_secs(1), gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_takes_nothing_holds_up_no_other() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let mut stalled_devices = Vec::new();
    for _ in 0..30 {
        stalled_devices.push(stalled(&gateway, &replica, Signer::new()).await);
    }

    let user = Signer::new();
    let mut device = gateway.connect(user).await;
    let hinted = replica.store(user.device(), 200, 100);
    replica.hint(device.connection, user.device(), &hinted);

    let received = tokio::time::timeout(Duration::from_secs(5), device.receive(200)).await;
    assert_eq!(received.unwrap(), hinted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ephemeral_is_written_and_never_waited_for() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    for form in [Form::Proto, Form::Json] {
        let user = Signer::new();
        let mut device = gateway.connect_in(form, user).await;

        // More than the window holds, and none is acknowledged.
        for _ in 0..200 {
            let passed = replica.pass(device.connection, b"typing");
            assert_eq!(device.envelope().await, passed);
        }
        device.acknowledge(&[replica.pass(device.connection, b"typing")]).await;

        device.envelope().await;
        let stored = replica.store(user.device(), 1, 10);
        replica.hint(device.connection, user.device(), &stored);
        assert_eq!(device.receive(1).await, stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_turned_away_is_told_before_queue_empty() {
    let replica = Replica::start().await;
    replica.overflow(7);
    let gateway = TestGateway::start(&[&replica]).await;
    for form in [Form::Proto, Form::Json] {
        let mut device = gateway.connect_early_in(form, Signer::new()).await;

        let frame = device.next().await;
        let Some(Body::QueueOverflow(overflow)) = frame.body else { panic!("{frame:?}") };
        assert_eq!(overflow.turned_away, 7);
        device.queue_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_its_queue_does_not_know_any_more_is_closed_for_good() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    replica.revoke(user.device());

    let mut device = gateway.connect_early(user).await;

    assert_eq!(device.closed().await, (4502, "device_revoked".to_owned()));
}

/// I-2. Caught with the redelivery taken out of the intake's tick.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_living_device_does_not_acknowledge_comes_again_and_not_without_end() {
    let mut config = crate::harness::config();
    config.session.heartbeat = Duration::from_secs(300);
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;
    let stored = replica.store(user.device(), 1, 10);
    replica.hint(device.connection, user.device(), &stored);
    assert_eq!(device.envelope().await, stored[0]);

    for _ in 0..3 {
        gateway.clock.advance(Duration::from_secs(61));
        assert_eq!(device.envelope().await, stored[0], "the same id");
    }
    gateway.clock.advance(Duration::from_secs(61));

    assert_eq!(device.closed().await, (4006, "unacknowledged".to_owned()));
    assert_eq!(replica.waiting(user.device()), 1, "it waits for the next socket");
}
