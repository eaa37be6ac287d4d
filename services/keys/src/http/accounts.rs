//! Accounts and their chains.

use actix_web::{
    HttpResponse,
    web::{self, ServiceConfig},
};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, Base64Bytes};
use sotto_kit::{
    auth::Caller,
    clock::millis,
    fault::Problem,
    http::{Endpoint, limited, to, writes},
    limits::Class,
};

use super::body::{AccountBody, HeadBody, SignedOpBody};
use crate::{
    domain::{account_ref::AccountRef, recovery::speak_for_themselves},
    ops::{Author, Keys, Pass, Registration, Required, Work},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    let chain = Endpoint::at("/{account}/ops")
        .get(to(read_chain).wrap(limited(Class::ChainRead)))
        .post(to(append).wrap(limited(Class::ChainWrite)).wrap(writes()));
    app.service(Endpoint::at("").post(to(register).wrap(limited(Class::Register)).wrap(writes())))
        .service(
            Endpoint::at("/challenge").post(to(challenge).wrap(limited(Class::RegisterChallenge))),
        )
        .service(chain)
        .service(
            Endpoint::at("/{account}/head").get(to(read_head).wrap(limited(Class::ChainRead))),
        );
}

#[derive(Debug, Deserialize)]
struct RegistrationBody {
    genesis: SignedOpBody,
    #[serde(default)]
    ops: Vec<SignedOpBody>,
    app_token: String,
    #[serde(default)]
    invite: Option<String>,
    #[serde(default)]
    proof_of_work: Option<WorkBody>,
}

#[derive(Debug, Deserialize)]
struct WorkBody {
    challenge: Base64Bytes,
    nonce: Base64Bytes,
}

#[derive(Debug, Serialize)]
struct RequiredBody {
    required: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<Base64Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
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
            pass: Pass {
                invite: body.invite,
                work: body
                    .proof_of_work
                    .map(|work| Work { challenge: work.challenge.0, nonce: work.nonce.0 }),
            },
        })
        .await?;
    let mut response = if registered.is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(AccountBody::new(registered.account_id, registered.head)))
}

/// `POST /v1/accounts/challenge`
///
/// What a registration has to bring beside the token of an app.
async fn challenge(keys: web::Data<Keys>) -> Result<web::Json<RequiredBody>, Problem> {
    Ok(web::Json(keys.registration_challenge().await?.into()))
}

impl From<Required> for RequiredBody {
    fn from(required: Required) -> Self {
        let word = |required| Self { required, challenge: None, bits: None, expires_in_ms: None };
        match required {
            Required::Nothing => word("none"),
            Required::Invite => word("invite"),
            Required::Work { challenge, bits, expires_in } => Self {
                challenge: Some(Base64Bytes(challenge.to_vec())),
                bits: Some(bits),
                expires_in_ms: Some(millis(expires_in)),
                ..word("proof_of_work")
            },
        }
    }
}

/// `POST /v1/accounts/{account}/ops`
///
/// Without a token where the ops bring their authority along; a token that comes
/// with them all the same is not looked at.
async fn append(
    caller: Result<Caller, Problem>,
    account: web::Path<AccountRef>,
    body: web::Json<AppendBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<AppendedBody>, Problem> {
    let ops: Vec<_> = body.into_inner().ops.into_iter().map(Into::into).collect();
    let device;
    let author = if speak_for_themselves(&ops) {
        Author::RecoverySet
    } else {
        device = caller?;
        Author::Device(&device)
    };
    let head = keys.append(account.into_inner(), ops, author).await?;
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
