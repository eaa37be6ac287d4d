use std::{collections::BTreeMap, time::Duration};

use sotto_proto::socket::server_frame::Body;
use sotto_store::limits::{AppLimits, Class, LimitsConfig, Rate};

use crate::harness::{Device, Replica, Signer, TestGateway, Wire};

fn of_sends(burst: u32) -> BTreeMap<Class, Rate> {
    BTreeMap::from([(Class::Send, Rate { burst, per: Duration::from_secs(3_600) })])
}

fn limits(sends: u32) -> LimitsConfig {
    LimitsConfig {
        patience: Duration::from_millis(200),
        alone_for: Duration::from_secs(60),
        local_buckets: 1024,
        socket_batch: 2,
        exempt: Vec::new(),
        classes: of_sends(sends),
    }
}

/// How many of so many sends are accepted; the others must be refused by name, with a
/// time to come again.
async fn accepted(device: &mut Device, sends: usize) -> usize {
    let mut accepted = 0;
    for _ in 0..sends {
        let frame = device.send(b"hi").await;
        let answer = device.next().await;
        assert_eq!(answer.in_reply_to, frame);
        match answer.body {
            Some(Body::Accepted(_)) => accepted += 1,
            Some(Body::Error(error)) => {
                assert_eq!(error.reason, "rate_limited");
                assert!(error.retry_after_ms > 0);
            }
            other => panic!("{other:?}"),
        }
    }
    accepted
}

/// I-6. Caught with `may_send` of the task always true: all eight are accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_its_limit_over_all_of_its_sockets_and_others_have_theirs() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start_limited(&[&replica], limits(5), AppLimits::new()).await;
    let user = Signer::new();
    let mut first = gateway.connect(user).await;
    assert_eq!(accepted(&mut first, 8).await, 5);

    let mut second = gateway.connect(user).await;
    assert_eq!(accepted(&mut second, 3).await, 0);

    let mut other = gateway.connect(Signer::new()).await;
    assert_eq!(accepted(&mut other, 3).await, 3);
    assert_eq!(replica.submits().len(), 8, "what was refused went nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_devices_of_an_app_have_its_ceiling_together() {
    let replica = Replica::start().await;
    let app = format!("app-{}", uuid::Uuid::new_v4());
    let ceiling = AppLimits::from([(app.clone(), of_sends(6))]);
    let gateway = TestGateway::start_limited(&[&replica], limits(100), ceiling).await;

    let mut all = 0;
    for _ in 0..10 {
        let token = Signer::new().token_of_app(&app);
        let mut device = Device::open(gateway.address()).token(&token).connect().await;
        device.hello().await;
        device.queue_empty().await;
        all += accepted(&mut device, 2).await;
    }

    assert_eq!(all, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_the_gateway_limits_alone() {
    let replica = Replica::start().await;
    let wire = Wire::to_redis().await;
    let gateway =
        TestGateway::start_limited_behind(wire.url(), &[&replica], limits(4), AppLimits::new())
            .await;
    let mut device = gateway.connect(Signer::new()).await;

    wire.cut().await;

    assert_eq!(accepted(&mut device, 7).await, 4);
}
