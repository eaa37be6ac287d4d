//! The REST face: decode, one use case, encode.

mod accounts;
mod auth;
mod body;
mod bundles;
mod handles;
mod key_packages;
mod link;
mod prekeys;
mod well_known;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use sotto_kit::{
    auth::TokenVerifier,
    service::{Context, HttpFace},
};
use utoipa::{OpenApi as _, openapi::OpenApi};

use crate::ops::Keys;

/// What the routes are, as OpenAPI.
pub(crate) fn document() -> OpenApi {
    [
        accounts::Document::openapi(),
        auth::Document::openapi(),
        bundles::Document::openapi(),
        handles::Document::openapi(),
        key_packages::Document::openapi(),
        link::Document::openapi(),
        prekeys::Document::openapi(),
        well_known::Document::openapi(),
    ]
    .into_iter()
    .fold(OpenApi::default(), OpenApi::merge_from)
}

/// All routes of the service. They bring what they need along, so that the routes of
/// other roles may stand beside them.
pub(crate) fn face(keys: Keys, verifier: TokenVerifier, context: &Context) -> HttpFace {
    let (limits, read_only) = context.http_data();
    let keys = web::Data::new(keys);
    let verifier = web::Data::new(verifier);
    Arc::new(move |app: &mut ServiceConfig| {
        let scopes = [
            web::scope("/v1/accounts").configure(accounts::routes).configure(bundles::routes),
            web::scope("/v1/auth").configure(auth::routes),
            web::scope("/v1/link").configure(link::routes),
            web::scope("/v1/keys").configure(prekeys::routes).configure(key_packages::own_routes),
            web::scope("/v1/key-packages").configure(key_packages::claim_routes),
            web::scope("/v1/u").configure(handles::routes),
        ];
        for scope in scopes {
            let scope = scope.app_data(limits.clone()).app_data(read_only.clone());
            app.service(scope.app_data(keys.clone()).app_data(verifier.clone()));
        }
        well_known::routes(&keys, &limits, app);
    })
}

/// Reads the bodies of uploads and checks each key.
#[cfg(fuzzing)]
pub(crate) fn fuzz_uploads(data: &[u8], identity: &sotto_identity::keys::IdentityKey) {
    prekeys::fuzz(data, identity);
}

/// Reads the other bodies.
#[cfg(fuzzing)]
pub(crate) fn fuzz_bodies(data: &[u8]) {
    accounts::fuzz(data);
    auth::fuzz(data);
    bundles::fuzz(data);
    key_packages::fuzz(data);
}
