//! The scene of stories in which real members of MLS change groups, before one replica or
//! several.

mod answer;
mod member;

use openmls::prelude::ExternalSender;
use sotto_ids::{AccountId, DeviceAddress, DeviceId};
use sotto_mls::{LeafId, config};
use sotto_mls_provider::Signer;
use sotto_proto::keys::{MlsAccount, MlsDevice};
use sqlx::PgPool;
use uuid::Uuid;

pub(crate) use self::{
    answer::bytes_of,
    member::{Member, Prepared, base64},
};
use crate::stage::{Device, Replica, Stage, token};

/// The domain of the deployment.
const DOMAIN: &str = "sotto.test";

pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) replicas: Vec<Replica>,
}

impl Scene {
    /// With one replica.
    pub(crate) async fn set(db: PgPool) -> Self {
        Self::with_replicas(1, db).await
    }

    pub(crate) async fn with_replicas(count: usize, db: PgPool) -> Self {
        let mut stage = Stage::set(db).await;
        let mut replicas = Vec::new();
        for _ in 0..count {
            replicas.push(stage.replica().await);
        }
        Self { stage, replicas }
    }

    /// Somebody new with one device, as a user of `socialink`.
    pub(crate) fn person(&self) -> Member {
        let [member] = self.person_with();
        member
    }

    /// Somebody new with several devices.
    pub(crate) fn person_with<const DEVICES: usize>(&self) -> [Member; DEVICES] {
        self.person_of("socialink")
    }

    pub(crate) fn person_of<const DEVICES: usize>(&self, app: &str) -> [Member; DEVICES] {
        let account = AccountId::new(random());
        let mut number = 0u32;
        let devices = [(); DEVICES].map(|()| {
            number += 1;
            (DeviceId::try_from(number).unwrap(), Signer::new(&random()))
        });
        self.certify(account, app, &devices.each_ref().map(|(id, signer)| (*id, signer)));
        devices.map(|(id, signer)| {
            let address = DeviceAddress::new(account.uuid(), id);
            let token = token(&Device { account, address });
            Member::new(LeafId::new(account, id), signer, token, &self.replicas[0])
        })
    }

    /// Has keys say that these are the live devices of an account.
    pub(crate) fn certify(&self, account: AccountId, app: &str, devices: &[(DeviceId, &Signer)]) {
        let device = |(id, signer): &(DeviceId, &Signer)| MlsDevice {
            device_id: (*id).into(),
            mls_key: signer.public_key().to_vec(),
        };
        self.stage.keys.put(MlsAccount {
            known: true,
            account_id: account.as_bytes().to_vec(),
            devices: devices.iter().map(device).collect(),
            apps: vec![app.to_owned()],
        });
    }

    /// A group of this many people, made and joined, the maker first.
    pub(crate) async fn group_of(&self, people: usize) -> Vec<Member> {
        let mut members: Vec<_> = (0..people).map(|_| self.person()).collect();
        let (maker, others) = members.split_first_mut().unwrap();
        maker.make_group().await;
        if !others.is_empty() {
            maker.add(others).await;
            for other in others {
                other.join().await;
            }
        }
        members
    }

    pub(crate) async fn end(self) {
        self.stage.end().await;
    }
}

/// The deployment, as it is to stand in groups: the stage has a secret of zero bytes.
pub(crate) fn external_sender() -> ExternalSender {
    config::external_sender(DOMAIN, &Signer::new(&[0; 32]).public_key())
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(16) {
        chunk.copy_from_slice(&Uuid::new_v4().as_bytes()[..chunk.len()]);
    }
    bytes
}
