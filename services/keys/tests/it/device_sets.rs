//! What the other roles ask over gRPC.

use sotto_proto::keys::{Device, DeviceSetsRequest, DeviceSetsResponse};
use sqlx::PgPool;
use tonic_types::StatusExt as _;

use crate::harness::{TestKeys, person::Person};

impl TestKeys {
    pub(crate) async fn device_sets(&self, accounts: &[&Person]) -> DeviceSetsResponse {
        let accounts = accounts.iter().map(|person| person.uuid().as_bytes().to_vec()).collect();
        let request = DeviceSetsRequest { accounts };
        self.grpc.clone().device_sets(request).await.unwrap().into_inner()
    }

    async fn refused_sets(&self, accounts: Vec<Vec<u8>>) -> (tonic::Code, String) {
        let request = DeviceSetsRequest { accounts };
        let status = self.grpc.clone().device_sets(request).await.unwrap_err();
        (status.code(), status.get_details_error_info().unwrap().reason)
    }
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn sets_come_in_the_order_of_the_request(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(1).await;
    let ops = [alice.add_device(2, false), alice.add_device(3, false)];
    keys.append(&alice, &ops).await.ok();
    let third = keys.log_in(&alice, &keys.vignette.token("al"), 3).await;
    keys.publish(&alice, &third, 3, 0).await;
    let (bob, nobody) = (keys.person_of(&keys.island).await, Person::new());

    let sets = keys.device_sets(&[&nobody, &alice, &bob, &alice]).await.sets;

    assert_eq!(sets.len(), 4);
    assert!(!sets[0].known && sets[0].devices.is_empty());
    let ready = [(1, 4001), (3, 4003)]
        .map(|(device_id, registration_id)| Device { device_id, registration_id });
    assert_eq!((sets[1].known, sets[1].devices.as_slice()), (true, ready.as_slice()));
    assert_eq!(sets[1].unready, [2], "it lives, and has published nothing");
    assert_eq!(sets[1].apps, ["socialink", "vignette"]);
    assert!(sets[2].known && sets[2].devices.is_empty(), "nothing published yet");
    assert_eq!(sets[2].unready, [1]);
    assert_eq!(sets[2].apps, ["island"]);
    assert_eq!(sets[3], sets[1]);
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn a_revoked_device_is_in_no_set(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let mut alice = keys.person_with_prekeys(1).await;
    let added = alice.add_device(2, false);
    keys.append(&alice, &[added]).await.ok();
    let second = keys.log_in(&alice, &keys.socialink.token(&alice.user), 2).await;
    keys.publish(&alice, &second, 2, 0).await;
    assert_eq!(keys.device_sets(&[&alice]).await.sets[0].devices.len(), 2);

    let revoked = alice.revoke_device(2);
    keys.append(&alice, &[revoked]).await.ok();

    let set = keys.device_sets(&[&alice]).await.sets.remove(0);
    assert_eq!((set.devices.len(), set.unready.as_slice()), (1, [].as_slice()));
}

#[sqlx::test(migrator = "sotto_store::MIGRATOR")]
async fn malformed_and_oversized_requests_are_refused(db: PgPool) {
    let keys = TestKeys::start(db).await;
    let refusal = keys.refused_sets(vec![vec![1; 15]]).await;
    assert_eq!(refusal, (tonic::Code::InvalidArgument, "malformed_account".to_owned()));

    let account = Person::new().uuid().as_bytes().to_vec();
    let refusal = keys.refused_sets(vec![account; 501]).await;
    assert_eq!(refusal, (tonic::Code::InvalidArgument, "too_many_accounts".to_owned()));
}
