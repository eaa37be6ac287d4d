//! Prekey bundles, as senders take them.

use actix_web::web::{self, ServiceConfig};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, Base64Bytes, DeviceId};
use sotto_kit::{
    auth::Caller,
    fault::Problem,
    http::{Endpoint, limited, to, writes},
    limits::Class,
    openapi,
};
use utoipa::{OpenApi, ToSchema};

use super::body::{HeadBody, KeyBody, SignedKeyBody, SignedOpBody};
use crate::{
    domain::account_ref::AccountRef,
    ops::{Bundles, DeviceBundle, Keys, Wanted},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    let route = to(take_bundles).wrap(limited(Class::Bundles)).wrap(writes());
    app.service(Endpoint::at("/{account}/bundles").post(route));
}

#[derive(OpenApi)]
#[openapi(paths(take_bundles))]
pub(super) struct Document;

/// What a sender wants of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = WantedBundles)]
#[serde(deny_unknown_fields)]
struct WantedBody {
    /// The devices; all of them, without the caller, where it is not given.
    #[serde(default)]
    #[schema(value_type = Option<Vec<openapi::DeviceId>>)]
    device_ids: Option<Vec<DeviceId>>,
    /// The number of the newest op that the sender has, where it wants those after it.
    #[serde(default)]
    have: Option<u64>,
}

/// Bundles, and the ops to check them by.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bundles)]
struct BundlesBody {
    #[schema(value_type = openapi::AccountId)]
    account_id: AccountId,
    head: HeadBody,
    ops: Vec<SignedOpBody>,
    devices: Vec<DeviceBody>,
}

/// What it takes to begin a session with one device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceBundle)]
struct DeviceBody {
    #[schema(value_type = openapi::DeviceId)]
    device_id: DeviceId,
    registration_id: u32,
    #[schema(value_type = openapi::Base64)]
    identity_key: Base64Bytes,
    signed_ec: SignedKeyBody,
    #[schema(required = true)]
    one_time_ec: Option<KeyBody>,
    kyber: KyberBody,
}

/// A Kyber prekey.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KyberBundleKey)]
struct KyberBody {
    #[serde(flatten)]
    key: SignedKeyBody,
    /// Whether others may get the same.
    last_resort: bool,
}

/// `POST /v1/accounts/{account}/bundles`
///
/// Not a `GET`: each answer uses up prekeys, so nothing on the way may repeat or
/// prefetch it.
#[utoipa::path(
    post,
    path = "/v1/accounts/{account}/bundles",
    tag = "keys",
    operation_id = "takeBundles",
    summary = "Takes a bundle of prekeys of each device of an account",
    description = "Each answer uses up one-time prekeys, whether it is heard or not.",
    security(("sotto_token" = [])),
    params(("account" = openapi::AccountName, Path, description = "Whose devices.")),
    request_body = WantedBody,
    responses(
        (status = 200, body = BundlesBody, description = "A bundle of each device."),
        (status = 403, description = "`not_interoperable`, `device_revoked`, `device_expired`"),
        (status = 404, description = "`unknown_account`, `unknown_device`"),
        (status = 409, description = "`device_not_ready`, with the `device_ids`"),
        (status = 422),
        (status = 429, description = "`rate_limited`; `too_many_claims` of this account"),
    ),
)]
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

#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let _body = serde_json::from_slice::<WantedBody>(data);
}
