//! Tokens, and a keys service that knows the key they are signed with.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sotto_ids::{AccountId, DeviceAddress, DeviceId};
use sotto_kit::auth::{SottoClaims, TOKEN_TYP};
use sotto_proto::keys::{
    DeviceSetsRequest, DeviceSetsResponse, TokenKey, TokenKeysRequest, TokenKeysResponse,
    keys_service_server::{KeysService, KeysServiceServer},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Channel};
use uuid::Uuid;

pub(crate) const DOMAIN: &str = "sotto.test";
pub(crate) const START_MS: u64 = 1_800_000_000_000;

const SEED: [u8; 32] = [7; 32];
const KID: &str = "k1";

/// A PKCS #8 document of an Ed25519 key (RFC 8410) is this and its seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A user of some app, with devices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signer(AccountId);

impl Signer {
    /// An account that nobody else has.
    pub(crate) fn new() -> Self {
        let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
        let id = [a.into_bytes(), b.into_bytes()].concat();
        Self(AccountId::try_from(id.as_slice()).unwrap())
    }

    pub(crate) fn device(self) -> DeviceAddress {
        DeviceAddress::new(self.0.uuid(), DeviceId::FIRST)
    }

    /// A token of the first device that ends after so many seconds.
    pub(crate) fn token(self, seconds: u64) -> String {
        self.sign(DeviceId::FIRST, START_MS / 1000 + seconds, SEED)
    }

    /// A token that has ended.
    pub(crate) fn old_token(self) -> String {
        self.sign(DeviceId::FIRST, START_MS / 1000 - 1, SEED)
    }

    /// A token that somebody else has signed.
    pub(crate) fn forged_token(self) -> String {
        self.sign(DeviceId::FIRST, START_MS / 1000 + 600, [8; 32])
    }

    /// A token of the second device.
    pub(crate) fn token_of_another_device(self) -> String {
        self.sign(DeviceId::try_from(2_u32).unwrap(), START_MS / 1000 + 6_000, SEED)
    }

    /// A token that was bought with one of this app.
    pub(crate) fn token_of_app(self, app: &str) -> String {
        self.sign_for(app, DeviceId::FIRST, START_MS / 1000 + 600, SEED)
    }

    fn sign(self, did: DeviceId, exp: u64, seed: [u8; 32]) -> String {
        self.sign_for("socialink", did, exp, seed)
    }

    fn sign_for(self, app: &str, did: DeviceId, exp: u64, seed: [u8; 32]) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYP.to_owned());
        header.kid = Some(KID.to_owned());
        let claims = SottoClaims {
            iss: DOMAIN.to_owned(),
            aud: DOMAIN.to_owned(),
            sub: self.0,
            did,
            app: app.to_owned(),
            jti: Uuid::new_v4().to_string(),
            iat: START_MS / 1000 - 10,
            exp,
        };
        let der = [PKCS8_PREFIX.as_slice(), &seed].concat();
        encode(&header, &claims, &EncodingKey::from_ed_der(&der)).unwrap()
    }
}

/// A keys service that can be away.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestKeys {
    away: Arc<AtomicBool>,
    held: Arc<watch::Sender<bool>>,
}

impl TestKeys {
    pub(crate) async fn serve(&self) -> Channel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = KeysServiceServer::new(self.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        sotto_kit::grpc::channel(&url).unwrap()
    }

    pub(crate) fn go_away(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// Answers to nobody until it is let go.
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(crate) fn let_go(&self) {
        self.held.send_replace(false);
    }

    /// How many wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.held.receiver_count()
    }
}

#[tonic::async_trait]
impl KeysService for TestKeys {
    async fn token_keys(
        &self,
        _: Request<TokenKeysRequest>,
    ) -> Result<Response<TokenKeysResponse>, Status> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Status::unavailable("away"));
        }
        // It is held by this very service, which answers in the meantime.
        self.held.subscribe().wait_for(|held| !held).await.unwrap();
        let key = TokenKey {
            kid: KID.to_owned(),
            public_key: SigningKey::from_bytes(&SEED).verifying_key().to_bytes().to_vec(),
            not_after_ms: START_MS + 86_400_000,
        };
        Ok(Response::new(TokenKeysResponse { keys: vec![key] }))
    }

    async fn device_sets(
        &self,
        _: Request<DeviceSetsRequest>,
    ) -> Result<Response<DeviceSetsResponse>, Status> {
        Err(Status::unimplemented("a gateway never asks"))
    }

    async fn mls_devices(
        &self,
        _: Request<sotto_proto::keys::MlsDevicesRequest>,
    ) -> Result<Response<sotto_proto::keys::MlsDevicesResponse>, Status> {
        Err(Status::unimplemented("only groups ask"))
    }
}
