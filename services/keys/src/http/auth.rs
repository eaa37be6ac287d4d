//! Logging in.

use actix_web::web::{self, ServiceConfig};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, DeviceId};
use sotto_kit::{
    clock::millis,
    fault::Problem,
    http::{Endpoint, limited, to},
    limits::Class,
    openapi,
};
use utoipa::{OpenApi, ToSchema};

use crate::ops::{Keys, Login};

pub(super) fn routes(app: &mut ServiceConfig) {
    // Not among what is put off for maintenance: who may only read has to log in.
    app.service(Endpoint::at("/challenge").post(to(challenge).wrap(limited(Class::Challenge))))
        .service(Endpoint::at("/token").post(to(login).wrap(limited(Class::Login))));
}

#[derive(OpenApi)]
#[openapi(paths(challenge, login))]
pub(super) struct Document;

/// A challenge for one login.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Challenge)]
struct ChallengeBody {
    /// 32 bytes.
    #[schema(value_type = openapi::Base64)]
    challenge: Base64Bytes,
    expires_in_ms: u64,
}

/// A device that asks for a token.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Login)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    #[schema(value_type = openapi::AccountId)]
    account_id: AccountId,
    #[schema(value_type = openapi::DeviceId)]
    device_id: DeviceId,
    #[schema(value_type = openapi::Base64)]
    challenge: Base64Bytes,
    /// The word of an app for its user: a JWT.
    app_token: String,
    /// Ed25519 by the device key, as the protocol says.
    #[schema(value_type = openapi::Base64)]
    proof: Base64Bytes,
}

/// What a device shows from now on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenBody {
    token: String,
    /// Milliseconds since 1970.
    expires_at_ms: u64,
    #[schema(value_type = openapi::AccountUuid)]
    account_uuid: AccountUuid,
}

/// `POST /v1/auth/challenge`
#[utoipa::path(
    post,
    path = "/v1/auth/challenge",
    tag = "auth",
    operation_id = "loginChallenge",
    summary = "Gives out a challenge for one login",
    security(()),
    responses((status = 200, body = ChallengeBody, description = "A challenge.")),
)]
async fn challenge(keys: web::Data<Keys>) -> Result<web::Json<ChallengeBody>, Problem> {
    let challenge = keys.challenge().await?;
    Ok(web::Json(ChallengeBody {
        challenge: Base64Bytes(challenge.bytes.to_vec()),
        expires_in_ms: millis(challenge.expires_in),
    }))
}

/// `POST /v1/auth/token`
#[utoipa::path(
    post,
    path = "/v1/auth/token",
    tag = "auth",
    operation_id = "login",
    summary = "Sells a token",
    description = "For the word of an app and a proof by the device key. It binds the user of the \
                   app to the account where it is bound to none.",
    security(()),
    request_body = LoginBody,
    responses(
        (status = 200, body = TokenBody, description = "The token."),
        (status = 401, description = "`unknown_challenge`, `wrong_proof`, or the token of the app \
                                      is refused: `app_token_...`."),
        (status = 403),
        (status = 404, description = "`unknown_account`, `unknown_device`"),
        (status = 409, description = "`binding_conflict`"),
        (status = 422),
    ),
)]
async fn login(
    body: web::Json<LoginBody>,
    keys: web::Data<Keys>,
) -> Result<web::Json<TokenBody>, Problem> {
    let body = body.into_inner();
    let token = keys
        .login(Login {
            account_id: body.account_id,
            device: body.device_id,
            challenge: body.challenge.0,
            app_token: body.app_token,
            proof: body.proof.0,
        })
        .await?;
    Ok(web::Json(TokenBody {
        token: token.text,
        expires_at_ms: token.expires_at_ms,
        account_uuid: token.account,
    }))
}

#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let _body = serde_json::from_slice::<LoginBody>(data);
}
