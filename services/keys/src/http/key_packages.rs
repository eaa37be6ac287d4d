//! KeyPackages: a device's own, and those that it adds others to groups with.

use actix_web::web::{self, ServiceConfig};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, DeviceId};
use sotto_kit::{
    auth::Caller,
    fault::Problem,
    http::{Endpoint, limited, to, writes},
    limits::Class,
    openapi,
};
use utoipa::{OpenApi, ToSchema};

use crate::{
    domain::{account_ref::AccountRef, key_package_upload::RawUpload},
    ops::{ClaimedAccount, ClaimedKeyPackage, Keys, UploadedKeyPackages},
};

/// Under `/v1/keys`.
pub(super) fn own_routes(app: &mut ServiceConfig) {
    let route = to(publish).wrap(limited(Class::Upload)).wrap(writes());
    app.service(Endpoint::at("/packages").put(route));
}

/// Under `/v1/key-packages`.
pub(super) fn claim_routes(app: &mut ServiceConfig) {
    let route = to(claim).wrap(limited(Class::KeyPackageClaim)).wrap(writes());
    app.service(Endpoint::at("").post(route));
}

#[derive(OpenApi)]
#[openapi(paths(publish, claim))]
pub(super) struct Document;

/// KeyPackages for the shelf: each a KeyPackage (RFC 9420 section 10) as it is encoded,
/// without an `MLSMessage` around it, of at most 2,048 bytes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = KeyPackageUpload)]
#[serde(deny_unknown_fields)]
struct UploadBody {
    /// At most 100.
    #[serde(default)]
    #[schema(value_type = Vec<openapi::Base64>)]
    one_time: Vec<Base64Bytes>,
    /// In the place of the one before. It has the extension `last_resort`, and the others
    /// have not.
    #[serde(default)]
    #[schema(value_type = Option<openapi::Base64>)]
    last_resort: Option<Base64Bytes>,
}

/// What became of an upload of KeyPackages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadedKeyPackages)]
struct UploadedBody {
    /// How many are new on the shelf.
    stored: usize,
    /// How many were there already.
    known: usize,
    /// How many were handed out or replaced before. They are not stored again.
    spent: usize,
}

/// Whose KeyPackages a device wants.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = WantedKeyPackages)]
#[serde(deny_unknown_fields)]
struct WantedBody {
    /// At most 100, each once.
    #[schema(value_type = Vec<openapi::AccountName>)]
    accounts: Vec<AccountRef>,
}

/// KeyPackages of the live devices of accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClaimedKeyPackages)]
struct ClaimedBody {
    /// In the order of the request.
    accounts: Vec<AccountBody>,
}

/// KeyPackages of the live devices of one account, but for the device that asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClaimedAccount)]
struct AccountBody {
    #[schema(required = true, value_type = Option<openapi::AccountId>)]
    account_id: Option<AccountId>,
    #[schema(value_type = openapi::AccountUuid)]
    uuid: AccountUuid,
    /// False where there is no such account; the rest is empty then.
    known: bool,
    devices: Vec<DeviceBody>,
    /// Live devices that have none to give.
    #[schema(value_type = Vec<openapi::DeviceId>)]
    without: Vec<DeviceId>,
}

/// A KeyPackage of one device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceKeyPackage)]
struct DeviceBody {
    #[schema(value_type = openapi::DeviceId)]
    device_id: DeviceId,
    #[schema(value_type = openapi::Base64)]
    key_package: Base64Bytes,
    /// Whether others may get the same.
    last_resort: bool,
}

/// `PUT /v1/keys/packages`
#[utoipa::path(
    put,
    path = "/v1/keys/packages",
    tag = "keys",
    operation_id = "publishKeyPackages",
    summary = "Publishes KeyPackages",
    description = "An upload that comes again changes nothing.",
    security(("sotto_token" = [])),
    request_body = UploadBody,
    responses(
        (status = 200, body = UploadedBody, description = "What became of it."),
        (status = 403),
        (status = 404, description = "`unknown_device`"),
        (status = 409, description = "`shelf_full`"),
        (
            status = 422,
            description = "`key_package_...`, with the places in `one_time` and whether it is \
                           `last_resort`; `too_many_key_packages`",
        ),
    ),
)]
async fn publish(
    caller: Caller,
    body: web::Json<UploadBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<UploadedBody>, Problem> {
    let UploadBody { one_time, last_resort } = body.into_inner();
    let upload = RawUpload {
        one_time: one_time.into_iter().map(|bytes| bytes.0).collect(),
        last_resort: last_resort.map(|bytes| bytes.0),
    };
    let uploaded = keys.publish_key_packages(upload, &caller).await?;
    Ok(web::Json(uploaded.into()))
}

/// `POST /v1/key-packages`
///
/// Not a `GET`: each answer uses up KeyPackages, so nothing on the way may repeat or
/// prefetch it.
#[utoipa::path(
    post,
    path = "/v1/key-packages",
    tag = "keys",
    operation_id = "claimKeyPackages",
    summary = "Takes a KeyPackage of each live device of some accounts",
    description = "Each answer uses up one-time KeyPackages, whether it is heard or not.",
    security(("sotto_token" = [])),
    request_body = WantedBody,
    responses(
        (status = 200, body = ClaimedBody, description = "A KeyPackage of each device."),
        (
            status = 403,
            description = "`not_interoperable`, with the `accounts`; `device_revoked`, \
                           `device_expired`",
        ),
        (status = 404, description = "`unknown_device`"),
        (status = 422, description = "`too_many_accounts`, `duplicate_accounts`"),
        (status = 429, description = "`rate_limited`; `too_many_claims`, with the `accounts`"),
    ),
)]
async fn claim(
    caller: Caller,
    body: web::Json<WantedBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<ClaimedBody>, Problem> {
    let claimed = keys.claim_key_packages(&body.accounts, &caller).await?;
    let accounts = claimed.into_iter().map(Into::into).collect();
    Ok(web::Json(ClaimedBody { accounts }))
}

impl From<UploadedKeyPackages> for UploadedBody {
    fn from(uploaded: UploadedKeyPackages) -> Self {
        Self { stored: uploaded.stored, known: uploaded.known, spent: uploaded.spent }
    }
}

impl From<ClaimedAccount> for AccountBody {
    fn from(claimed: ClaimedAccount) -> Self {
        Self {
            account_id: claimed.account_id,
            uuid: claimed.uuid,
            known: claimed.account_id.is_some(),
            devices: claimed.devices.into_iter().map(Into::into).collect(),
            without: claimed.without,
        }
    }
}

impl From<ClaimedKeyPackage> for DeviceBody {
    fn from(claimed: ClaimedKeyPackage) -> Self {
        Self {
            device_id: claimed.device,
            key_package: claimed.key_package.into(),
            last_resort: claimed.is_last_resort,
        }
    }
}

#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let _upload = serde_json::from_slice::<UploadBody>(data);
    let _wanted = serde_json::from_slice::<WantedBody>(data);
}
