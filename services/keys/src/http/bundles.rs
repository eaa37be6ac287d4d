//! Prekey bundles, as senders take them.

use actix_web::web::{self, ServiceConfig};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, Base64Bytes, DeviceId};
use sotto_kit::{
    auth::Caller,
    fault::Problem,
    http::{Endpoint, limited, to, writes},
    limits::Class,
};

use super::body::{HeadBody, KeyBody, SignedKeyBody, SignedOpBody};
use crate::{
    domain::account_ref::AccountRef,
    ops::{Bundles, DeviceBundle, Keys, Wanted},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    let route = to(take_bundles).wrap(limited(Class::Bundles)).wrap(writes());
    app.service(Endpoint::at("/{account}/bundles").post(route));
}

#[derive(Debug, Deserialize)]
struct WantedBody {
    #[serde(default)]
    device_ids: Option<Vec<DeviceId>>,
    #[serde(default)]
    have: Option<u64>,
}

#[derive(Debug, Serialize)]
struct BundlesBody {
    account_id: AccountId,
    head: HeadBody,
    ops: Vec<SignedOpBody>,
    devices: Vec<DeviceBody>,
}

#[derive(Debug, Serialize)]
struct DeviceBody {
    device_id: DeviceId,
    registration_id: u32,
    identity_key: Base64Bytes,
    signed_ec: SignedKeyBody,
    one_time_ec: Option<KeyBody>,
    kyber: KyberBody,
}

#[derive(Debug, Serialize)]
struct KyberBody {
    #[serde(flatten)]
    key: SignedKeyBody,
    last_resort: bool,
}

/// `POST /v1/accounts/{account}/bundles`
///
/// Not a `GET`: each answer uses up prekeys, so nothing on the way may repeat or
/// prefetch it.
async fn take_bundles(
    caller: Caller,
    account: web::Path<AccountRef>,
    body: web::Json<WantedBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<BundlesBody>, Problem> {
    let WantedBody { device_ids: devices, have } = body.into_inner();
    let wanted = Wanted { devices, have };
    let bundles = keys.fetch_bundles(account.into_inner(), wanted, &caller).await?;
    Ok(web::Json(bundles.into()))
}

impl From<Bundles> for BundlesBody {
    fn from(bundles: Bundles) -> Self {
        Self {
            account_id: bundles.account_id,
            head: bundles.head.into(),
            ops: bundles.ops.into_iter().map(Into::into).collect(),
            devices: bundles.devices.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<DeviceBundle> for DeviceBody {
    fn from(bundle: DeviceBundle) -> Self {
        Self {
            device_id: bundle.device,
            registration_id: bundle.registration_id,
            identity_key: bundle.identity_key.into(),
            signed_ec: bundle.signed_ec.into(),
            one_time_ec: bundle.one_time_ec.map(Into::into),
            kyber: KyberBody { key: bundle.kyber.into(), last_resort: bundle.kyber_is_last_resort },
        }
    }
}
