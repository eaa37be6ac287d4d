//! What groups ask over gRPC to certify leaves.

use sotto_proto::keys::{MlsAccount, MlsDevice, MlsDevicesRequest};
use sqlx::PgPool;
use tonic_types::StatusExt as _;

use crate::harness::{NOW_MS, TestKeys, person::Person};

impl TestKeys {
    async fn mls_devices(&self, accounts: &[&Person]) -> Vec<MlsAccount> {
        let accounts = accounts.iter().map(|person| person.uuid().as_bytes().to_vec()).collect();
        let request = MlsDevicesRequest { accounts };
        self.grpc.clone().mls_devices(request).await.unwrap().into_inner().accounts
    }

    async fn refused_mls_devices(&self, accounts: Vec<Vec<u8>>) -> (tonic::Code, String) {
        let status =
            self.grpc.clone().mls_devices(MlsDevicesRequest { accounts }).await.unwrap_err();
        (status.code(), status.get_details_error_info().unwrap().reason)
    }

    /// How many rows of devices are as they were before there was the column.
    pub(crate) async fn without_mls_key(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM keys.devices WHERE mls_key IS NULL")
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    pub(crate) async fn forget_mls_keys(&self) {
        sqlx::query("UPDATE keys.devices SET mls_key = NULL").execute(&self.db).await.unwrap();
    }
}

fn certified(person: &Person, devices: &[u8]) -> Vec<MlsDevice> {
    let device = |&id: &u8| MlsDevice {
        device_id: id.into(),
        mls_key: person.devices[&id].mls_key().to_vec(),
    };
    devices.iter().map(device).collect()
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn live_devices_come_with_their_keys_in_the_order_of_the_request(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let ops = [
        alice.add_device(2, false),
        alice.add_device(3, false),
        alice.revoke_device(2),
        alice.add_device_until(4, NOW_MS),
    ];
    keys.append(&alice, &ops).await.ok();
    let (bob, nobody) = (keys.person_of(&keys.island).await, Person::new());

    let accounts = keys.mls_devices(&[&nobody, &alice, &bob, &alice]).await;

    assert_eq!(accounts.len(), 4);
    assert_eq!(accounts[0], MlsAccount::default());
    assert!(accounts[1].known && accounts[1].account_id == alice.id().as_bytes());
    assert_eq!(accounts[1].devices, certified(&alice, &[1, 3]), "neither revoked nor ended");
    assert_eq!(accounts[1].apps, ["socialink"]);
    assert_eq!(accounts[2].devices, certified(&bob, &[1]), "it has published nothing");
    assert_eq!(accounts[2].apps, ["island"]);
    assert_eq!(accounts[3], accounts[1]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_recovery_leaves_the_keys_of_those_who_stay(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let added = alice.add_device(2, true);
    keys.append(&alice, &[added]).await.ok();

    let recover = alice.recover(&[(2, true)]);
    keys.append_without_token(&alice, &[recover]).await.ok();

    let accounts = keys.mls_devices(&[&alice]).await;
    assert_eq!(accounts[0].devices, certified(&alice, &[2]));
    assert_eq!(keys.without_mls_key().await, 0);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn rows_from_before_the_column_are_answered_out_of_the_chain(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person().await;
    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    keys.forget_mls_keys().await;

    let accounts = keys.mls_devices(&[&alice]).await;

    assert_eq!(accounts[0].devices, certified(&alice, &[1, 2]));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn malformed_and_oversized_requests_are_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let refusal = keys.refused_mls_devices(vec![vec![1; 15]]).await;
    assert_eq!(refusal, (tonic::Code::InvalidArgument, "malformed_account".to_owned()));

    let account = Person::new().uuid().as_bytes().to_vec();
    let refusal = keys.refused_mls_devices(vec![account; 501]).await;
    assert_eq!(refusal, (tonic::Code::InvalidArgument, "too_many_accounts".to_owned()));
}
