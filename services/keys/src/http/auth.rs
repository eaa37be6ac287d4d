//! Logging in.

use actix_web::web::{self, ServiceConfig};
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, DeviceId};
use sotto_kit::{
    clock::millis,
    fault::Problem,
    http::{Endpoint, limited, to},
    limits::Class,
};

use crate::ops::{Keys, Login};

pub(super) fn routes(app: &mut ServiceConfig) {
    // Not among what is put off for maintenance: who may only read has to log in.
    app.service(Endpoint::at("/challenge").post(to(challenge).wrap(limited(Class::Challenge))))
        .service(Endpoint::at("/token").post(to(login).wrap(limited(Class::Login))));
}

#[derive(Debug, Serialize)]
struct ChallengeBody {
    challenge: Base64Bytes,
    expires_in_ms: u64,
}

#[derive(Debug, Deserialize)]
struct LoginBody {
    account_id: AccountId,
    device_id: DeviceId,
    challenge: Base64Bytes,
    app_token: String,
    proof: Base64Bytes,
}

#[derive(Debug, Serialize)]
struct TokenBody {
    token: String,
    expires_at_ms: u64,
    account_uuid: AccountUuid,
}

/// `POST /v1/auth/challenge`
async fn challenge(keys: web::Data<Keys>) -> Result<web::Json<ChallengeBody>, Problem> {
    let challenge = keys.challenge().await?;
    Ok(web::Json(ChallengeBody {
        challenge: Base64Bytes(challenge.bytes.to_vec()),
        expires_in_ms: millis(challenge.expires_in),
    }))
}

/// `POST /v1/auth/token`
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
