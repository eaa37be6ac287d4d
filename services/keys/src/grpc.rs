//! The gRPC face: what the other roles ask.

use sotto_ids::AccountUuid;
use sotto_proto::keys::{
    self as pb,
    keys_service_server::{KeysService, KeysServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    db::device_sets::DeviceSet,
    error::KeysError,
    ops::{Keys, MlsDevices},
};

/// The use cases behind gRPC.
#[derive(Debug)]
pub(crate) struct GrpcKeys(pub(crate) Keys);

impl GrpcKeys {
    pub(crate) fn into_service(self) -> KeysServiceServer<Self> {
        KeysServiceServer::new(self)
    }
}

#[tonic::async_trait]
impl KeysService for GrpcKeys {
    async fn token_keys(
        &self,
        _: Request<pb::TokenKeysRequest>,
    ) -> Result<Response<pb::TokenKeysResponse>, Status> {
        let keys = self.0.published_keys().list().await.map_err(KeysError::from)?;
        let keys = keys.into_iter().map(|key| pb::TokenKey {
            kid: key.kid,
            public_key: key.public_key.to_vec(),
            not_after_ms: key.not_after_ms,
        });
        Ok(Response::new(pb::TokenKeysResponse { keys: keys.collect() }))
    }

    async fn device_sets(
        &self,
        request: Request<pb::DeviceSetsRequest>,
    ) -> Result<Response<pb::DeviceSetsResponse>, Status> {
        let accounts = accounts(&request.get_ref().accounts)?;
        let sets = self.0.device_sets(&accounts).await?;
        let sets = sets.into_iter().map(|set| set.map(Into::into).unwrap_or_default());
        Ok(Response::new(pb::DeviceSetsResponse { sets: sets.collect() }))
    }

    async fn mls_devices(
        &self,
        request: Request<pb::MlsDevicesRequest>,
    ) -> Result<Response<pb::MlsDevicesResponse>, Status> {
        let accounts = accounts(&request.get_ref().accounts)?;
        let found = self.0.mls_devices(&accounts).await?;
        let accounts = found.into_iter().map(|found| found.map(Into::into).unwrap_or_default());
        Ok(Response::new(pb::MlsDevicesResponse { accounts: accounts.collect() }))
    }
}

fn accounts(named: &[Vec<u8>]) -> Result<Vec<AccountUuid>, KeysError> {
    named
        .iter()
        .map(|bytes| AccountUuid::try_from(bytes.as_slice()))
        .collect::<Result<_, _>>()
        .map_err(|_| KeysError::MalformedAccount)
}

impl From<DeviceSet> for pb::DeviceSet {
    fn from(set: DeviceSet) -> Self {
        let devices = set.devices.iter().zip(&set.registration_ids);
        let devices = devices.map(|(&device, &registration_id)| pb::Device {
            device_id: device.unsigned_abs().into(),
            registration_id: registration_id.unsigned_abs(),
        });
        let unready = set.unready.iter().map(|&device| device.unsigned_abs().into());
        Self { known: true, devices: devices.collect(), apps: set.apps, unready: unready.collect() }
    }
}

impl From<MlsDevices> for pb::MlsAccount {
    fn from(found: MlsDevices) -> Self {
        let devices = found.devices.into_iter().map(|(device, mls_key)| pb::MlsDevice {
            device_id: device.into(),
            mls_key: mls_key.to_vec(),
        });
        Self {
            known: true,
            account_id: found.account_id.as_bytes().to_vec(),
            devices: devices.collect(),
            apps: found.apps,
        }
    }
}
