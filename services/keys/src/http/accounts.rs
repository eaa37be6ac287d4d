//! Accounts and their chains.

use actix_web::{
    HttpResponse,
    web::{self, ServiceConfig},
};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, Base64Bytes};
use sotto_kit::{auth::Caller, fault::Problem};

use super::body::{AccountBody, HeadBody, SignedOpBody};
use crate::{
    domain::account_ref::AccountRef,
    ops::{Keys, Registration},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("", web::post().to(register))
        .route("/{account}/ops", web::post().to(append))
        .route("/{account}/ops", web::get().to(read_chain))
        .route("/{account}/head", web::get().to(read_head));
}

#[derive(Debug, Deserialize)]
struct RegistrationBody {
    genesis: SignedOpBody,
    #[serde(default)]
    ops: Vec<SignedOpBody>,
    app_token: String,
}

#[derive(Debug, Deserialize)]
struct AppendBody {
    ops: Vec<SignedOpBody>,
}

#[derive(Debug, Serialize)]
struct AppendedBody {
    head: HeadBody,
}

#[derive(Debug, Deserialize)]
struct ChainQuery {
    #[serde(default)]
    from: u64,
}

#[derive(Debug, Serialize)]
struct AccountHeadBody {
    account_id: AccountId,
    seq: u64,
    hash: Base64Bytes,
}

/// `POST /v1/accounts`
///
/// 201 for a new account, 200 where it was registered before by the same request.
async fn register(
    body: web::Json<RegistrationBody>,
    keys: web::Data<Keys>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let registered = keys
        .register(Registration {
            genesis: body.genesis.into(),
            ops: body.ops.into_iter().map(Into::into).collect(),
            app_token: body.app_token,
        })
        .await?;
    let mut response = if registered.is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(AccountBody::new(registered.account_id, registered.head)))
}

/// `POST /v1/accounts/{account}/ops`
async fn append(
    caller: Caller,
    account: web::Path<AccountRef>,
    body: web::Json<AppendBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<AppendedBody>, Problem> {
    let ops = body.into_inner().ops.into_iter().map(Into::into).collect();
    let head = keys.append(account.into_inner(), ops, &caller).await?;
    Ok(web::Json(AppendedBody { head: head.into() }))
}

/// `GET /v1/accounts/{account}/ops?from=SEQ`
///
/// `SignedOp` messages, each after its length as a varint.
async fn read_chain(
    account: web::Path<AccountRef>,
    query: web::Query<ChainQuery>,
    keys: web::Data<Keys>,
) -> Result<HttpResponse, Problem> {
    let ops = keys.read_chain(account.into_inner(), query.from).await?;
    Ok(HttpResponse::Ok().content_type("application/x-protobuf").body(ops))
}

/// `GET /v1/accounts/{account}/head`
async fn read_head(
    account: web::Path<AccountRef>,
    keys: web::Data<Keys>,
) -> Result<web::Json<AccountHeadBody>, Problem> {
    let found = keys.find_account(account.into_inner()).await?;
    Ok(web::Json(AccountHeadBody {
        account_id: found.account_id,
        seq: found.head.seq,
        hash: Base64Bytes(found.head.hash.as_bytes().to_vec()),
    }))
}
