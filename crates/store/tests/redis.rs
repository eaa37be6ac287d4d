//! The shared Redis keys and channels, against the real server that `REDIS_URL` names.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may panic, and has nobody who would seed it"
)]

use std::time::Duration;

use futures_util::StreamExt as _;
use sotto_ids::{AccountId, ConnectionId, DeviceAddress, DeviceId};
use sotto_kit::config::Secret;
use sotto_store::{
    device_changes::DeviceChanges,
    notices::{Notice, Notices},
    places::{Held, Place, Places},
    redis::{Redis, RedisConfig, connect},
};

async fn redis() -> Redis {
    let url = std::env::var("REDIS_URL").expect("REDIS_URL names a Redis for tests");
    connect(&RedisConfig { url: Secret::from_value(url), response_timeout: Duration::from_secs(5) })
        .await
        .unwrap()
}

async fn places() -> Places {
    Places::new(redis().await, Duration::from_secs(60))
}

fn someone() -> DeviceAddress {
    DeviceAddress::new(AccountId::new(rand::random()).uuid(), DeviceId::FIRST)
}

fn place(gateway: &str, connection: u64) -> Place {
    Place { gateway: gateway.into(), connection: ConnectionId(connection) }
}

#[tokio::test]
async fn a_later_connection_takes_the_place_over_and_learns_from_whom() {
    let (places, device) = (places().await, someone());

    assert_eq!(places.claim(device, &place("g1", 1)).await.unwrap(), None);
    assert_eq!(places.claim(device, &place("g2", 2)).await.unwrap(), Some(place("g1", 1)));

    assert_eq!(places.lookup_many(&[device]).await.unwrap(), [Some(place("g2", 2))]);
}

#[tokio::test]
async fn a_socket_that_dies_slowly_does_not_unhook_its_successor() {
    let (places, device) = (places().await, someone());
    places.claim(device, &place("g1", 1)).await.unwrap();
    places.claim(device, &place("g2", 2)).await.unwrap();

    assert!(!places.forget(device, &place("g1", 1)).await.unwrap());
    assert!(places.forget(device, &place("g2", 2)).await.unwrap());

    assert_eq!(places.lookup_many(&[device]).await.unwrap(), [None]);
}

#[tokio::test]
async fn renewing_tells_what_became_of_each_place() {
    let (places, kept, moved, lost) = (places().await, someone(), someone(), someone());
    places.claim(kept, &place("g1", 1)).await.unwrap();
    places.claim(moved, &place("g2", 9)).await.unwrap();

    let held = places
        .renew_many(&[(kept, place("g1", 1)), (moved, place("g1", 2)), (lost, place("g1", 3))])
        .await
        .unwrap();

    assert_eq!(held, [Held::Ours, Held::Foreign, Held::Lost]);
}

#[tokio::test]
async fn a_notice_reaches_the_gateway_where_the_device_is() {
    let (redis, places, device) = (redis().await, places().await, someone());
    let gateway = format!("g{:016x}", rand::random::<u64>());
    let notices = Notices::new(redis, places.clone());
    places.claim(device, &place(&gateway, 7)).await.unwrap();
    let mut heard = notices.subscribe(&gateway).await.unwrap();

    let sent =
        notices.notify_device(device, |connection| Notice::Displaced { connection }).await.unwrap();

    assert!(sent);
    assert_eq!(heard.next().await, Some(Notice::Displaced { connection: 7 }));
}

#[tokio::test]
async fn a_notice_to_a_device_that_is_nowhere_goes_nowhere() {
    let notices = Notices::new(redis().await, places().await);

    let sent = notices
        .notify_device(someone(), |connection| Notice::Revoked { connection })
        .await
        .unwrap();

    assert!(!sent);
}

#[tokio::test]
async fn a_change_of_devices_is_heard() {
    let changes = DeviceChanges::new(redis().await);
    let account = someone().account;
    let heard = changes.subscribe().await.unwrap();

    changes.publish(account).await.unwrap();

    // Other tests speak on the same channel.
    assert!(heard.any(async |changed| changed == account).await);
}
