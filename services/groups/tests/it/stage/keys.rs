use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sotto_ids::AccountId;
use sotto_kit::{
    auth::{SottoClaims, TOKEN_TYP},
    lifecycle::Lifecycle,
};
use sotto_proto::keys::{
    DeviceSetsRequest, DeviceSetsResponse, MlsAccount, MlsDevice, MlsDevicesRequest,
    MlsDevicesResponse, TokenKey, TokenKeysRequest, TokenKeysResponse,
    keys_service_server::{KeysService, KeysServiceServer},
};
use tonic::{Request, Response, Status, service::RoutesBuilder};
use uuid::Uuid;

use super::{BEGINNING_MS, DOMAIN, Device, listen};

const SEED: [u8; 32] = [7; 32];
const KID: &str = "k1";

/// A PKCS #8 document of an Ed25519 key (RFC 8410) is this and its seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The keys service, played by the test.
pub(crate) struct PlayedKeys {
    pub(crate) url: String,
    /// How many times it was asked for devices.
    pub(crate) asked: Arc<AtomicUsize>,
    accounts: Accounts,
    lifecycle: Lifecycle,
}

type Accounts = Arc<Mutex<HashMap<Uuid, MlsAccount>>>;

struct Face {
    accounts: Accounts,
    asked: Arc<AtomicUsize>,
}

impl PlayedKeys {
    pub(super) fn start() -> Self {
        let accounts = Accounts::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let face = Face { accounts: Arc::clone(&accounts), asked: Arc::clone(&asked) };
        let mut routes = RoutesBuilder::default();
        routes.add_service(KeysServiceServer::new(face));
        let (listener, url) = listen();
        let lifecycle = Lifecycle::new();
        let serving = sotto_kit::grpc::serve(listener, routes.routes(), lifecycle.clone());
        lifecycle.spawn("test.keys", async move { serving.await.unwrap() });
        Self { url, asked, accounts, lifecycle }
    }

    /// Says which devices an account has from now on.
    pub(crate) fn set(&self, devices: &[Device]) {
        let known = MlsAccount {
            known: true,
            account_id: devices[0].account.as_bytes().to_vec(),
            devices: devices
                .iter()
                .map(|device| MlsDevice {
                    device_id: device.address.device.into(),
                    mls_key: vec![device.address.device.as_u8(); 32],
                })
                .collect(),
            apps: vec!["socialink".to_owned()],
        };
        self.accounts.lock().unwrap().insert(devices[0].address.account.as_uuid(), known);
    }

    /// Says what an account is from now on.
    pub(crate) fn put(&self, account: MlsAccount) {
        let id = AccountId::try_from(account.account_id.as_slice()).unwrap();
        self.accounts.lock().unwrap().insert(id.uuid().as_uuid(), account);
    }

    /// Ends it for good.
    pub(crate) async fn kill(&self) {
        assert!(self.lifecycle.finish(Duration::from_secs(10)).await);
    }
}

/// What a device shows at the REST face.
pub(crate) fn token(device: &Device) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TOKEN_TYP.to_owned());
    header.kid = Some(KID.to_owned());
    let claims = SottoClaims {
        iss: DOMAIN.to_owned(),
        aud: DOMAIN.to_owned(),
        sub: device.account,
        did: device.address.device,
        app: "socialink".to_owned(),
        jti: Uuid::new_v4().to_string(),
        iat: BEGINNING_MS / 1000 - 10,
        exp: BEGINNING_MS / 1000 + 1_000_000_000,
    };
    let der = [PKCS8_PREFIX.as_slice(), &SEED].concat();
    encode(&header, &claims, &EncodingKey::from_ed_der(&der)).unwrap()
}

#[tonic::async_trait]
impl KeysService for Face {
    async fn token_keys(
        &self,
        _: Request<TokenKeysRequest>,
    ) -> Result<Response<TokenKeysResponse>, Status> {
        let public_key = SigningKey::from_bytes(&SEED).verifying_key().to_bytes().to_vec();
        let key = TokenKey { kid: KID.to_owned(), public_key, not_after_ms: u64::MAX };
        Ok(Response::new(TokenKeysResponse { keys: vec![key] }))
    }

    async fn device_sets(
        &self,
        _: Request<DeviceSetsRequest>,
    ) -> Result<Response<DeviceSetsResponse>, Status> {
        Err(Status::unimplemented("only messages asks"))
    }

    async fn mls_devices(
        &self,
        request: Request<MlsDevicesRequest>,
    ) -> Result<Response<MlsDevicesResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let accounts = self.accounts.lock().unwrap();
        let of = |account: &Vec<u8>| {
            accounts.get(&Uuid::from_slice(account).unwrap()).cloned().unwrap_or_default()
        };
        let accounts = request.get_ref().accounts.iter().map(of).collect();
        Ok(Response::new(MlsDevicesResponse { accounts }))
    }
}
