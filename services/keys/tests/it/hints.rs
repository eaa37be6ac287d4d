//! What the other roles are told through Redis.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use sotto_ids::{AccountUuid, ConnectionId};
use sotto_store::{
    device_changes::{DeviceChangeStream, DeviceChanges},
    notices::{Notice, NoticeStream, Notices},
    places::{Place, Places},
};
use sqlx::PgPool;

use crate::harness::{PATIENCE, TestKeys, hex, person::Person, random};

impl TestKeys {
    /// Puts a device of the person on a socket of a gateway that nobody else has, and
    /// listens as that gateway.
    pub(crate) async fn connect(&self, person: &Person, device: u8) -> NoticeStream {
        let places = Places::new(self.redis.clone(), Duration::from_mins(1));
        let gateway = hex(&random::<8>());
        let place = Place { gateway: gateway.clone(), connection: ConnectionId(7) };
        places.claim(person.address(device), &place).await.unwrap();
        Notices::new(self.redis.clone(), places).subscribe(&gateway).await.unwrap()
    }

    async fn listen_for_changes(&self) -> DeviceChangeStream {
        DeviceChanges::new(self.redis.clone()).subscribe().await.unwrap()
    }
}

pub(crate) async fn next(notices: &mut NoticeStream) -> Notice {
    tokio::time::timeout(PATIENCE, notices.next()).await.unwrap().unwrap()
}

/// Other tests speak on the same channel, so it waits for the right account.
async fn hear_of(changes: &mut DeviceChangeStream, account: AccountUuid) {
    let heard = async { while changes.next().await.unwrap() != account {} };
    tokio::time::timeout(PATIENCE, heard).await.unwrap();
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_runs_low_is_told(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, bob) = (keys.person_with_prekeys(21).await, keys.person().await);
    let mut notices = keys.connect(&alice, 1).await;

    // Twenty are left, which is not low yet; then nineteen.
    keys.fetch_one(&bob, &alice).await;
    keys.fetch_one(&bob, &alice).await;

    let low = Notice::PrekeysLow { connection: 7, one_time_ec: 19, one_time_kyber: 19 };
    assert_eq!(next(&mut notices).await, low);
}

/// Caught: a kind that is not low told as the claim counted it, which stops early.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_device_that_runs_low_of_one_kind_is_told_how_much_there_is_of_the_other(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let (alice, bob) = (keys.person_with_prekeys(20).await, keys.person().await);
    let more: Vec<_> = (21..=50).map(|id| alice.devices[&1].kyber(id)).collect();
    keys.put("/v1/keys/kyber", &alice.token, json!({ "one_time": more })).await.ok();
    let mut notices = keys.connect(&alice, 1).await;

    keys.fetch_one(&bob, &alice).await;

    let low = Notice::PrekeysLow { connection: 7, one_time_ec: 19, one_time_kyber: 49 };
    assert_eq!(next(&mut notices).await, low);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_device_loses_its_socket(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    let mut notices = keys.connect(&alice, 2).await;

    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();

    assert_eq!(next(&mut notices).await, Notice::Revoked { connection: 7 });
}

/// I-7. It fails where what follows a commit is part of the request, which ends with its
/// connection.
#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_device_loses_its_socket_though_whoever_revoked_it_has_hung_up(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    let mut notices = keys.connect(&alice, 2).await;
    let mut holder = keys.db.begin().await.unwrap();
    sqlx::query("SELECT FROM keys.accounts FOR UPDATE").execute(&mut *holder).await.unwrap();

    let revoked = alice.revoke_device(2);
    let waits_for_the_row = || async {
        let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock')";
        sqlx::query_scalar::<_, bool>(waiting).fetch_one(&keys.db).await.unwrap()
    };
    keys.append_and_hang_up(&alice, &[revoked], waits_for_the_row).await;
    // The same worker may serve this one: by then it has seen that the other is gone.
    keys.get("/nodeinfo/2.1").await.ok();
    holder.rollback().await.unwrap();

    assert_eq!(next(&mut notices).await, Notice::Revoked { connection: 7 });
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn all_devices_that_a_recovery_revokes_lose_their_sockets(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let ops = [alice.add_device(2, false), alice.add_device(3, true)];
    keys.append(&alice, &ops).await.ok();
    let mut changes = keys.listen_for_changes().await;
    let (mut first, mut second) = (keys.connect(&alice, 1).await, keys.connect(&alice, 2).await);

    let recover = alice.recover(&[(3, true)]);
    keys.append_without_token(&alice, &[recover]).await.ok();

    assert_eq!(next(&mut first).await, Notice::Revoked { connection: 7 });
    assert_eq!(next(&mut second).await, Notice::Revoked { connection: 7 });
    hear_of(&mut changes, alice.uuid()).await;
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn those_who_remember_devices_hear_when_they_change(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut changes = keys.listen_for_changes().await;
    let mut alice = keys.person().await;
    let device = &alice.devices[&1];

    // The first device is ready.
    let body = json!({ "last_resort": device.kyber(1) });
    keys.put("/v1/keys/kyber", &alice.token, body).await.ok();
    keys.put("/v1/keys/signed", &alice.token, device.signed_ec(1)).await.ok();
    hear_of(&mut changes, alice.uuid()).await;

    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    hear_of(&mut changes, alice.uuid()).await;

    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();
    hear_of(&mut changes, alice.uuid()).await;
}
