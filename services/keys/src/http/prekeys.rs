//! A device's own shelf.

use actix_web::web::{self, ServiceConfig};
use serde::{Deserialize, Serialize};
use sotto_ids::Base64Bytes;
use sotto_kit::{
    auth::Caller,
    fault::Problem,
    http::{Endpoint, limited, to, writes},
    limits::Class,
    openapi,
};
use utoipa::{IntoResponses, OpenApi, ToSchema};

use super::body::{KeyBody, SignedKeyBody};
use crate::{
    db::shelves::Stock,
    ops::{KeyPackageStock, Keys, Published, Uploaded},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    let uploads = [
        ("/signed", to(publish_signed)),
        ("/one-time", to(publish_one_time)),
        ("/kyber", to(publish_kyber)),
    ];
    for (path, route) in uploads {
        let route = route.wrap(limited(Class::Upload)).wrap(writes());
        app.service(Endpoint::at(path).put(route));
    }
    for (path, route) in [("/count", to(count)), ("/digest", to(digest))] {
        app.service(Endpoint::at(path).get(route.wrap(limited(Class::Stock))));
    }
}

#[derive(OpenApi)]
#[openapi(
    paths(publish_signed, publish_one_time, publish_kyber, count, digest),
    components(schemas(UploadedBody))
)]
pub(super) struct Document;

/// One-time EC prekeys for the shelf.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = OneTimeUpload)]
#[serde(deny_unknown_fields)]
struct OneTimeBody {
    /// At most 100.
    keys: Vec<KeyBody>,
}

/// Kyber prekeys for the shelf.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = KyberUpload)]
#[serde(deny_unknown_fields)]
struct KyberBody {
    /// In the place of the one before.
    #[serde(default)]
    last_resort: Option<SignedKeyBody>,
    /// At most 100.
    #[serde(default)]
    one_time: Vec<SignedKeyBody>,
}

/// What became of an upload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Uploaded)]
struct UploadedBody {
    /// How many keys are new on the shelf.
    stored: usize,
    /// How many were there already.
    known: usize,
    /// Those that were handed out or replaced before, and must not be published again.
    #[schema(value_type = Vec<openapi::KeyId>)]
    spent: Vec<u32>,
}

/// What any upload may be answered with, for the document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only the derived description is used")]
enum UploadAnswer {
    /// What became of it.
    #[response(status = 200)]
    Done(UploadedBody),
    #[response(status = 403)]
    Forbidden,
    /// `unknown_device`
    #[response(status = 404)]
    NotFound,
    #[response(status = 422)]
    Invalid,
}

/// How much is left on the shelf of a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stock)]
struct StockBody {
    one_time_ec: i64,
    one_time_kyber: i64,
    /// The highest id that was ever taken; 0 for none.
    highest_one_time_ec: i32,
    /// The highest id that was ever taken; 0 for none.
    highest_kyber: i32,
    #[schema(required = true)]
    signed_ec: Option<i32>,
    /// Milliseconds since 1970.
    #[schema(required = true)]
    signed_ec_published_at_ms: Option<i64>,
    #[schema(required = true)]
    last_resort_kyber: Option<i32>,
    /// One-time KeyPackages that can be handed out.
    key_packages: i64,
    /// Whether there is a last-resort KeyPackage that can be handed out.
    last_resort_key_package: bool,
}

/// What lies on the shelf of a device, for it to compare.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PublishedPrekeys)]
struct DigestBody {
    #[schema(value_type = openapi::Base64)]
    digest: Base64Bytes,
    #[schema(required = true)]
    signed_ec: Option<u32>,
    #[schema(required = true)]
    last_resort_kyber: Option<u32>,
    #[schema(value_type = Vec<openapi::KeyId>)]
    one_time_ec: Vec<u32>,
    #[schema(value_type = Vec<openapi::KeyId>)]
    one_time_kyber: Vec<u32>,
}

/// `PUT /v1/keys/signed`
#[utoipa::path(
    put,
    path = "/v1/keys/signed",
    tag = "keys",
    operation_id = "publishSigned",
    summary = "Replaces the caller's signed EC prekey",
    description = "An upload that comes again changes nothing.",
    security(("sotto_token" = [])),
    request_body = SignedKeyBody,
    responses(
        UploadAnswer,
        (status = 409, description = "`prekey_conflict`, with the `key_ids`"),
    ),
)]
async fn publish_signed(
    caller: Caller,
    body: web::Json<SignedKeyBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<UploadedBody>, Problem> {
    let uploaded = keys.publish_signed_ec(body.into_inner().into(), caller.device).await?;
    Ok(web::Json(uploaded.into()))
}

/// `PUT /v1/keys/one-time`
#[utoipa::path(
    put,
    path = "/v1/keys/one-time",
    tag = "keys",
    operation_id = "publishOneTime",
    summary = "Publishes one-time EC prekeys",
    description = "An upload that comes again changes nothing.",
    security(("sotto_token" = [])),
    request_body = OneTimeBody,
    responses(
        UploadAnswer,
        (status = 409, description = "`prekey_conflict`, with the `key_ids`; `shelf_full`"),
    ),
)]
async fn publish_one_time(
    caller: Caller,
    body: web::Json<OneTimeBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<UploadedBody>, Problem> {
    let prekeys = body.into_inner().keys.into_iter().map(Into::into).collect();
    let uploaded = keys.publish_one_time_ec(prekeys, caller.device).await?;
    Ok(web::Json(uploaded.into()))
}

/// `PUT /v1/keys/kyber`
#[utoipa::path(
    put,
    path = "/v1/keys/kyber",
    tag = "keys",
    operation_id = "publishKyber",
    summary = "Publishes Kyber prekeys",
    description = "An upload that comes again changes nothing.",
    security(("sotto_token" = [])),
    request_body = KyberBody,
    responses(
        UploadAnswer,
        (status = 409, description = "`prekey_conflict`, with the `key_ids`; `shelf_full`"),
    ),
)]
async fn publish_kyber(
    caller: Caller,
    body: web::Json<KyberBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<UploadedBody>, Problem> {
    let KyberBody { last_resort, one_time } = body.into_inner();
    let one_time = one_time.into_iter().map(Into::into).collect();
    let uploaded = keys.publish_kyber(last_resort.map(Into::into), one_time, caller.device).await?;
    Ok(web::Json(uploaded.into()))
}

/// `GET /v1/keys/count`
#[utoipa::path(
    get,
    path = "/v1/keys/count",
    tag = "keys",
    operation_id = "countPrekeys",
    summary = "Counts the caller's own prekeys and KeyPackages",
    security(("sotto_token" = [])),
    responses(
        (status = 200, body = StockBody, description = "What is left."),
        (status = 403),
        (status = 404, description = "`unknown_device`"),
    ),
)]
async fn count(caller: Caller, keys: web::Data<Keys>) -> Result<web::Json<StockBody>, Problem> {
    let (prekeys, key_packages) = keys.count_keys(caller.device).await?;
    Ok(web::Json(StockBody::new(prekeys, key_packages)))
}

/// `GET /v1/keys/digest`
#[utoipa::path(
    get,
    path = "/v1/keys/digest",
    tag = "keys",
    operation_id = "digestPrekeys",
    summary = "Says which prekeys of the caller there are, and their digest",
    security(("sotto_token" = [])),
    responses(
        (status = 200, body = DigestBody, description = "What is on the shelf."),
        (status = 403),
        (status = 404, description = "`unknown_device`"),
    ),
)]
async fn digest(caller: Caller, keys: web::Data<Keys>) -> Result<web::Json<DigestBody>, Problem> {
    let published = keys.digest_prekeys(caller.device).await?;
    Ok(web::Json(published.into()))
}

impl From<Published> for DigestBody {
    fn from(published: Published) -> Self {
        Self {
            digest: Base64Bytes(published.digest.to_vec()),
            signed_ec: published.signed_ec,
            last_resort_kyber: published.last_resort_kyber,
            one_time_ec: published.one_time_ec,
            one_time_kyber: published.one_time_kyber,
        }
    }
}

impl From<Uploaded> for UploadedBody {
    fn from(uploaded: Uploaded) -> Self {
        Self { stored: uploaded.stored, known: uploaded.known, spent: uploaded.spent }
    }
}

impl StockBody {
    const fn new(stock: Stock, key_packages: KeyPackageStock) -> Self {
        Self {
            one_time_ec: stock.one_time_ec,
            one_time_kyber: stock.one_time_kyber,
            highest_one_time_ec: stock.highest_one_time_ec,
            highest_kyber: stock.highest_kyber,
            signed_ec: stock.signed_ec,
            signed_ec_published_at_ms: stock.signed_ec_published_at_ms,
            last_resort_kyber: stock.last_resort_kyber,
            key_packages: key_packages.one_time,
            last_resort_key_package: key_packages.has_last_resort,
        }
    }
}

#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8], identity: &sotto_identity::keys::IdentityKey) {
    use crate::domain::{
        prekey::{BarePrekey, RawPrekey, SignedPrekey},
        upload::check_all,
    };

    if let Ok(body) = serde_json::from_slice::<OneTimeBody>(data) {
        let keys: Vec<RawPrekey> = body.keys.into_iter().map(Into::into).collect();
        let _checked = check_all(&keys, BarePrekey::check);
    }
    if let Ok(body) = serde_json::from_slice::<KyberBody>(data) {
        let keys: Vec<RawPrekey> =
            body.one_time.into_iter().chain(body.last_resort).map(Into::into).collect();
        let _checked = check_all(&keys, |key| SignedPrekey::check_kyber(key, identity));
    }
    if let Ok(body) = serde_json::from_slice::<SignedKeyBody>(data) {
        let _checked = SignedPrekey::check_ec(&body.into(), identity);
    }
}
