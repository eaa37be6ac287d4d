use std::time::Duration;

use futures_util::future::join_all;
use sotto_proto::socket::server_frame::Body;
use sotto_store::notices::Notice;

use crate::harness::{Device, Replica, Signer, TestGateway, Wire, config, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_a_place_while_it_is_connected() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let device = gateway.connect(user).await;

    assert_eq!(gateway.place(user).await.unwrap().connection, device.connection);

    device.close().await;
    wait_for("the place to be forgotten", async || gateway.place(user).await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_socket_displaces_the_first_wherever_it_is() {
    let replica = Replica::start().await;
    let (here, there) =
        (TestGateway::start(&[&replica]).await, TestGateway::start(&[&replica]).await);
    let user = Signer::new();

    let mut first = here.connect(user).await;
    let mut second = here.connect(user).await;
    assert_eq!(first.closed().await, (4500, "displaced".to_owned()));
    let mut third = there.connect(user).await;
    assert_eq!(second.closed().await, (4500, "displaced".to_owned()));

    assert_eq!(here.place(user).await.unwrap().connection, third.connection);
    let frame = third.send(b"still here").await;
    third.accepted(frame).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_of_sockets_of_one_device_the_one_with_the_place_stays() {
    let mut config = config();
    config.places.audit_every = Duration::from_millis(200);
    let replica = Replica::start().await;
    let gateways = [
        TestGateway::start_with(&[&replica], config.clone()).await,
        TestGateway::start_with(&[&replica], config).await,
    ];
    let user = Signer::new();
    let token = user.token(600);

    let sockets =
        (0..40).map(|number| Device::open(gateways[number % 2].address()).token(&token).connect());
    let mut devices = join_all(sockets).await;

    let ends = devices.iter_mut().map(async |device| {
        // The one that stays has a queue that is empty, and hears nothing else.
        let mut open = true;
        while open {
            let heard = tokio::time::timeout(Duration::from_secs(2), device.next_message()).await;
            match heard {
                Ok(Some(message)) => open = !message.is_close(),
                Ok(None) => open = false,
                Err(_) => break,
            }
        }
        open
    });
    let open: Vec<bool> = join_all(ends).await;

    assert_eq!(open.iter().filter(|&&open| open).count(), 1, "{open:?}");
    assert!(gateways[0].place(user).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_off_its_socket_within_a_second() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    let told =
        gateway.notices.notify_device(user.device(), |connection| Notice::Revoked { connection });
    assert!(told.await.unwrap());

    let closed = tokio::time::timeout(Duration::from_secs(1), device.closed()).await;
    assert_eq!(closed.unwrap(), (4502, "device_revoked".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_redis_forgot_is_written_anew_and_the_queue_read() {
    let mut config = config();
    config.places.audit_every = Duration::from_millis(100);
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    let place = gateway.place(user).await.unwrap();
    let missed = replica.store(user.device(), 1, 10);
    assert!(gateway.places.forget(user.device(), &place).await.unwrap());

    assert_eq!(device.receive(1).await, missed);
    wait_for("the place", async || gateway.place(user).await.as_ref() == Some(&place)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_whose_notice_was_lost_is_found_by_the_audit() {
    let mut config = config();
    config.places.audit_every = Duration::from_millis(100);
    let replica = Replica::start().await;
    let gateway = TestGateway::start_with(&[&replica], config).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    let mut elsewhere = gateway.place(user).await.unwrap();
    elsewhere.gateway = "another".to_owned();
    gateway.places.claim(user.device(), &elsewhere).await.unwrap();

    assert_eq!(device.closed().await, (4500, "displaced".to_owned()));
    assert_eq!(gateway.place(user).await, Some(elsewhere), "and is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_devices_are_served_from_their_queues() {
    let mut config = config();
    config.places.audit_every = Duration::from_millis(200);
    config.places.patience = Duration::from_millis(200);
    let wire = Wire::to_redis().await;
    let replica = Replica::start().await;
    let gateway = TestGateway::start_behind(wire.url(), &[&replica], config).await;
    let (there, late) = (Signer::new(), Signer::new());
    let mut there_before = gateway.connect(there).await;

    wire.cut().await;
    let for_late = replica.store(late.device(), 3, 10);
    let mut came_late = gateway.connect_early(late).await;
    assert_eq!(came_late.receive(3).await, for_late);
    // Nobody can say where a device is, so nobody hints.
    let for_there = replica.store(there.device(), 1, 10);
    assert_eq!(there_before.receive(1).await, for_there);
    let for_late = replica.store(late.device(), 1, 10);
    assert_eq!(came_late.receive(1).await, for_late);

    wire.mend();
    wait_for("the places", async || {
        let places = [there.device(), late.device()];
        let found = gateway.places.lookup_many(&places).await.unwrap_or_default();
        found.iter().flatten().count() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_are_heard_again_after_redis_was_away() {
    let wire = Wire::to_redis().await;
    let replica = Replica::start().await;
    let gateway = TestGateway::start_behind(wire.url(), &[&replica], config()).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    wire.cut().await;
    wire.mend();
    let low = |connection| Notice::PrekeysLow { connection, one_time_ec: 1, one_time_kyber: 2 };
    let heard = async {
        let frame = device.next().await;
        assert!(matches!(frame.body, Some(Body::PrekeysLow(_))), "{frame:?}");
    };
    let told = async {
        loop {
            // Until somebody listens again, it goes nowhere.
            drop(gateway.notices.notify_device(user.device(), low).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = heard => {}
        () = told => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_read_after_redis_was_away_though_it_kept_the_places() {
    let mut config = config();
    // The audit has no turn of its own in this test.
    config.places.audit_every = Duration::from_secs(3600);
    let wire = Wire::to_redis().await;
    let replica = Replica::start().await;
    let gateway = TestGateway::start_behind(wire.url(), &[&replica], config).await;
    let user = Signer::new();
    let mut device = gateway.connect(user).await;

    wire.cut().await;
    // Nobody can look the place up, so nobody hints.
    let missed = replica.store(user.device(), 3, 10);
    wire.mend();
    // So the audit finds that all is well.
    wait_for("the place to be found", async || {
        gateway.places.lookup_many(&[user.device()]).await.is_ok()
    })
    .await;

    assert_eq!(device.receive(3).await, missed);
    assert_eq!(gateway.place(user).await.unwrap().connection, device.connection);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_its_device_has_left_displaces_no_later_one() {
    let replica = Replica::start().await;
    let there = TestGateway::start(&[&replica]).await;
    for says_goodbye in [false, true] {
        let here = TestGateway::start(&[]).await;
        here.keys.hold();
        let user = Signer::new();
        let token = user.token(600);
        let mut left = Vec::new();
        for _ in 0..20 {
            let mut device = Device::open(here.address()).token(&token).connect().await;
            if says_goodbye {
                device.socket.close(None).await.unwrap();
                left.push(device);
            }
        }
        wait_for("the token to be verified", async || here.keys.waiting() > 0).await;
        let mut newer = there.connect(user).await;
        // Every worker has had its turn once it has answered.
        for _ in 0..4 {
            drop(Device::open(here.address()).connect().await);
        }

        here.keys.let_go();

        // Who comes after them is behind them on the way to Redis.
        here.connect_early(Signer::new()).await.close().await;
        assert_eq!(here.place(user).await.unwrap().connection, newer.connection);
        let frame = newer.send(b"still here").await;
        newer.accepted(frame).await;
    }
}
