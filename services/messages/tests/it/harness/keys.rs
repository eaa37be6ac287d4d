use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sotto_kit::lifecycle::Lifecycle;
use sotto_proto::keys::{
    self as pb, DeviceSet, DeviceSetsRequest, DeviceSetsResponse, TokenKeysRequest,
    TokenKeysResponse,
    keys_service_server::{KeysService, KeysServiceServer},
};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, service::RoutesBuilder};
use uuid::Uuid;

use super::{Device, listen};

/// The keys service, played by the test.
pub(crate) struct PlayedKeys {
    pub(crate) url: String,
    pub(crate) asked: Arc<AtomicUsize>,
    sets: Sets,
    held: Held,
    lifecycle: Lifecycle,
}

/// When the next answer goes out.
type Held = Arc<Mutex<Option<oneshot::Receiver<()>>>>;

type Sets = Arc<Mutex<HashMap<Uuid, DeviceSet>>>;

struct Face {
    sets: Sets,
    held: Held,
    asked: Arc<AtomicUsize>,
}

impl PlayedKeys {
    pub(super) fn start() -> Self {
        let sets = Sets::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let held = Held::default();
        let (sets_of_face, held_of_face) = (Arc::clone(&sets), Arc::clone(&held));
        let face = Face { sets: sets_of_face, held: held_of_face, asked: Arc::clone(&asked) };
        let mut routes = RoutesBuilder::default();
        routes.add_service(KeysServiceServer::new(face));
        let (listener, url) = listen();
        let lifecycle = Lifecycle::new();
        let serving = sotto_kit::grpc::serve(listener, routes.routes(), lifecycle.clone());
        lifecycle.spawn("test.keys", async move { serving.await.unwrap() });
        Self { url, asked, sets, held, lifecycle }
    }

    /// Says which devices an account has from now on.
    pub(crate) fn set(&self, app: &str, devices: &[Device]) {
        self.set_with(app, devices, &[]);
    }

    /// Some of the devices have published no prekeys yet.
    pub(crate) fn set_with(&self, app: &str, devices: &[Device], unready: &[Device]) {
        let known = DeviceSet {
            known: true,
            devices: devices
                .iter()
                .map(|device| pb::Device {
                    device_id: device.address.device.into(),
                    registration_id: device.registration_id,
                })
                .collect(),
            apps: vec![app.to_owned()],
            unready: unready.iter().map(|device| device.address.device.into()).collect(),
        };
        let account = devices[0].address.account.as_uuid();
        self.sets.lock().unwrap().insert(account, known);
    }

    /// Has the next answer be made up at once, and go out when the test says so.
    pub(crate) fn hold_next(&self) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        *self.held.lock().unwrap() = Some(held);
        release
    }

    /// Ends it for good.
    pub(crate) async fn kill(&self) {
        assert!(self.lifecycle.finish(Duration::from_secs(10)).await);
    }
}

#[tonic::async_trait]
impl KeysService for Face {
    async fn token_keys(
        &self,
        _: Request<TokenKeysRequest>,
    ) -> Result<Response<TokenKeysResponse>, Status> {
        Err(Status::unimplemented("not part of these stories"))
    }

    async fn device_sets(
        &self,
        request: Request<DeviceSetsRequest>,
    ) -> Result<Response<DeviceSetsResponse>, Status> {
        let sets = {
            let sets = self.sets.lock().unwrap();
            let of = |account: &Vec<u8>| {
                sets.get(&Uuid::from_slice(account).unwrap()).cloned().unwrap_or_default()
            };
            request.get_ref().accounts.iter().map(of).collect()
        };
        let held = self.held.lock().unwrap().take();
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(held) = held {
            drop(held.await);
        }
        Ok(Response::new(DeviceSetsResponse { sets }))
    }

    async fn mls_devices(
        &self,
        _: Request<sotto_proto::keys::MlsDevicesRequest>,
    ) -> Result<Response<sotto_proto::keys::MlsDevicesResponse>, Status> {
        Err(Status::unimplemented("only groups ask"))
    }
}
