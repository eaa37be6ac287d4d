//! A device's own shelf.

use actix_web::web::{self, ServiceConfig};
use serde::{Deserialize, Serialize};
use sotto_ids::Base64Bytes;
use sotto_kit::{
    auth::Caller,
    fault::Problem,
    http::{Endpoint, limited, to, writes},
    limits::Class,
};

use super::body::{KeyBody, SignedKeyBody};
use crate::{
    db::shelves::Stock,
    ops::{Keys, Published, Uploaded},
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

#[derive(Debug, Deserialize)]
struct OneTimeBody {
    keys: Vec<KeyBody>,
}

#[derive(Debug, Deserialize)]
struct KyberBody {
    #[serde(default)]
    last_resort: Option<SignedKeyBody>,
    #[serde(default)]
    one_time: Vec<SignedKeyBody>,
}

#[derive(Debug, Serialize)]
struct UploadedBody {
    stored: usize,
    known: usize,
    spent: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct StockBody {
    one_time_ec: i64,
    one_time_kyber: i64,
    highest_one_time_ec: i32,
    highest_kyber: i32,
    signed_ec: Option<i32>,
    signed_ec_published_at_ms: Option<i64>,
    last_resort_kyber: Option<i32>,
}

#[derive(Debug, Serialize)]
struct DigestBody {
    digest: Base64Bytes,
    signed_ec: Option<u32>,
    last_resort_kyber: Option<u32>,
    one_time_ec: Vec<u32>,
    one_time_kyber: Vec<u32>,
}

/// `PUT /v1/keys/signed`
async fn publish_signed(
    caller: Caller,
    body: web::Json<SignedKeyBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<UploadedBody>, Problem> {
    let uploaded = keys.publish_signed_ec(body.into_inner().into(), caller.device).await?;
    Ok(web::Json(uploaded.into()))
}

/// `PUT /v1/keys/one-time`
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
async fn count(caller: Caller, keys: web::Data<Keys>) -> Result<web::Json<StockBody>, Problem> {
    let stock = keys.count_prekeys(caller.device).await?;
    Ok(web::Json(stock.into()))
}

/// `GET /v1/keys/digest`
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

impl From<Stock> for StockBody {
    fn from(stock: Stock) -> Self {
        Self {
            one_time_ec: stock.one_time_ec,
            one_time_kyber: stock.one_time_kyber,
            highest_one_time_ec: stock.highest_one_time_ec,
            highest_kyber: stock.highest_kyber,
            signed_ec: stock.signed_ec,
            signed_ec_published_at_ms: stock.signed_ec_published_at_ms,
            last_resort_kyber: stock.last_resort_kyber,
        }
    }
}
