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
    openapi,
};
use utoipa::{OpenApi, ToSchema};

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

#[derive(OpenApi)]
#[openapi(paths(register, challenge, append, read_chain, read_head))]
pub(super) struct Document;

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Registration)]
#[serde(deny_unknown_fields)]
struct RegistrationBody {
    /// The first op, whose hash is the name of the account.
    genesis: SignedOpBody,
    /// Ops that follow it.
    #[serde(default)]
    ops: Vec<SignedOpBody>,
    /// The word of an app for its user: a JWT.
    app_token: String,
    /// Where the deployment takes nobody without one.
    #[serde(default)]
    invite: Option<String>,
    #[serde(default)]
    proof_of_work: Option<WorkBody>,
}

/// A proof of work: a nonce that gives a hash with enough zero bits.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ProofOfWork)]
#[serde(deny_unknown_fields)]
struct WorkBody {
    #[schema(value_type = openapi::Base64)]
    challenge: Base64Bytes,
    #[schema(value_type = openapi::Base64)]
    nonce: Base64Bytes,
}

/// What a registration has to bring beside the token of an app.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegistrationRequirement)]
struct RequiredBody {
    #[schema(pattern = "^(none|invite|proof_of_work)$", example = "none")]
    required: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<openapi::Base64>, nullable = false)]
    challenge: Option<Base64Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    bits: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_in_ms: Option<u64>,
}

/// Ops for the end of a chain.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = OpsToAppend)]
#[serde(deny_unknown_fields)]
struct AppendBody {
    ops: Vec<SignedOpBody>,
}

/// Where the chain ends now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Appended)]
struct AppendedBody {
    head: HeadBody,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ChainQuery {
    /// The number of the first op that is wanted.
    #[serde(default)]
    from: u64,
}

/// The newest op of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountHead)]
struct AccountHeadBody {
    #[schema(value_type = openapi::AccountId)]
    account_id: AccountId,
    seq: u64,
    #[schema(value_type = openapi::Base64)]
    hash: Base64Bytes,
}

/// `POST /v1/accounts`
///
/// 201 for a new account, 200 where it was registered before by the same request.
#[utoipa::path(
    post,
    path = "/v1/accounts",
    tag = "accounts",
    operation_id = "register",
    summary = "Opens an account",
    description = "All its ops together. The same request again is answered with 200.",
    security(()),
    request_body = RegistrationBody,
    responses(
        (status = 201, body = AccountBody, description = "The account is new."),
        (status = 200, body = AccountBody, description = "This request opened it before."),
        (status = 401, description = "The token of the app is refused: `app_token_...`."),
        (status = 402, description = "`proof_of_work_required`, `proof_of_work_invalid`"),
        (status = 403, description = "`invite_required`, `invite_spent`, `too_many_handles`"),
        (status = 409, description = "`account_exists`, `uuid_taken`, `handle_taken`, \
                                      `binding_conflict`"),
        (status = 422),
    ),
)]
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
#[utoipa::path(
    post,
    path = "/v1/accounts/challenge",
    tag = "accounts",
    operation_id = "registrationChallenge",
    summary = "Says what a registration has to bring",
    description = "Beside the token of an app: nothing, an invite, or work. For work it brings a \
                   challenge, which is worth one try.",
    security(()),
    responses((status = 200, body = RequiredBody, description = "What is needed.")),
)]
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
#[utoipa::path(
    post,
    path = "/v1/accounts/{account}/ops",
    tag = "accounts",
    operation_id = "append",
    summary = "Appends to the caller's own chain",
    description = "All ops or none; those that the chain holds already are passed over. Ops that \
                   the recovery set has signed need no token.",
    security((), ("sotto_token" = [])),
    params(("account" = openapi::AccountName, Path, description = "The caller's own account.")),
    request_body = AppendBody,
    responses(
        (status = 200, body = AppendedBody, description = "The chain ends here now."),
        (status = 403, description = "`not_your_account`, `too_many_handles`, \
                                      `device_revoked`, `device_expired`"),
        (status = 404, description = "`unknown_account`, `unknown_device`"),
        (status = 409, description = "`head_moved`, with the `head`; `handle_taken`"),
        (status = 422),
    ),
)]
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
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}/ops",
    tag = "accounts",
    operation_id = "readChain",
    summary = "Reads a chain",
    description = "`SignedOp` messages of `sotto.identity.v1`, each after its length as a varint, \
                   in the bytes in which they came.",
    security(()),
    params(("account" = openapi::AccountName, Path, description = "Whose chain."), ChainQuery),
    responses(
        (status = 200, body = openapi::Octets, content_type = "application/x-protobuf",
            description = "The ops from that number on."),
        (status = 404, description = "`unknown_account`"),
        (status = 422),
    ),
)]
async fn read_chain(
    account: web::Path<AccountRef>,
    query: web::Query<ChainQuery>,
    keys: web::Data<Keys>,
) -> Result<HttpResponse, Problem> {
    let ops = keys.read_chain(account.into_inner(), query.from).await?;
    Ok(HttpResponse::Ok().content_type("application/x-protobuf").body(ops))
}

/// `GET /v1/accounts/{account}/head`
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}/head",
    tag = "accounts",
    operation_id = "readHead",
    summary = "Says where a chain ends",
    security(()),
    params(("account" = openapi::AccountName, Path, description = "Whose chain.")),
    responses(
        (status = 200, body = AccountHeadBody, description = "The newest op."),
        (status = 404, description = "`unknown_account`"),
        (status = 422),
    ),
)]
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

#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    use sotto_identity::{SignedOp, State, pow};

    // Not a byte of what is signed changes on the way in or out.
    let read = |body: SignedOpBody| {
        let op = SignedOp::from(body);
        let shown = serde_json::to_vec(&SignedOpBody::from(op.clone())).expect("it is JSON");
        let again: SignedOpBody = serde_json::from_slice(&shown).expect("our own body");
        assert_eq!(SignedOp::from(again), op);
        op
    };
    if let Ok(body) = serde_json::from_slice::<RegistrationBody>(data) {
        let genesis = read(body.genesis);
        let ops: Vec<SignedOp> = body.ops.into_iter().map(read).collect();
        if let Ok(state) = State::genesis(&genesis) {
            if let Ok(state) = state.apply_all(&ops) {
                assert_eq!(state.seq, ops.len() as u64);
            }
        }
        if let Some(work) = body.proof_of_work {
            let work = Work { challenge: work.challenge.0, nonce: work.nonce.0 };
            if let Ok((challenge, nonce)) = work.parts() {
                assert_eq!(
                    (work.challenge.as_slice(), work.nonce.as_slice()),
                    (&challenge[..], &nonce[..])
                );
                assert!(pow::is_proof(&challenge, &nonce, 0));
            }
        }
    }
    if let Ok(body) = serde_json::from_slice::<AppendBody>(data) {
        for op in body.ops {
            read(op);
        }
    }
}
