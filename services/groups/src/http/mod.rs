//! The REST face: decode, one use case, encode.

mod body;
mod changes;
mod cursors;
mod groups;
mod messages;
mod reading;
mod welcomes;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use sotto_kit::{
    auth::TokenVerifier,
    http::{Endpoint, limited, to, writes},
    limits::Class,
    service::{Context, HttpFace},
};
use utoipa::{OpenApi as _, openapi::OpenApi};

use crate::ops::Groups;

/// What the routes are, as OpenAPI.
pub(crate) fn document() -> OpenApi {
    [
        changes::Document::openapi(),
        cursors::Document::openapi(),
        groups::Document::openapi(),
        messages::Document::openapi(),
        reading::Document::openapi(),
        welcomes::Document::openapi(),
    ]
    .into_iter()
    .fold(OpenApi::default(), OpenApi::merge_from)
}

/// All routes of the service. They bring what they need along, so that the routes of other
/// roles may stand beside them.
pub(crate) fn face(groups: Groups, verifier: TokenVerifier, context: &Context) -> HttpFace {
    let (limits, read_only) = context.http_data();
    let groups = web::Data::new(groups);
    let verifier = web::Data::new(verifier);
    Arc::new(move |app: &mut ServiceConfig| {
        let scope = web::scope("/v1/groups")
            .app_data(limits.clone())
            .app_data(read_only.clone())
            .app_data(groups.clone())
            .app_data(verifier.clone())
            .configure(routes);
        app.service(scope);
    })
}

/// Reads the bodies of requests.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    changes::fuzz(data);
    groups::fuzz(data);
}

fn routes(app: &mut ServiceConfig) {
    macro_rules! read {
        ($handler:path) => {
            to($handler).wrap(limited(Class::GroupRead))
        };
    }
    macro_rules! change {
        ($handler:path) => {
            to($handler).wrap(limited(Class::GroupCommit)).wrap(writes())
        };
    }
    app.service(Endpoint::at("").get(read!(groups::list)).post(change!(groups::create)))
        .service(Endpoint::at("/external-sender").get(read!(groups::external_sender)))
        .service(Endpoint::at("/welcomes").get(read!(welcomes::list)))
        .service(
            Endpoint::at("/cursors")
                .put(to(cursors::acknowledge).wrap(limited(Class::Acknowledge)).wrap(writes())),
        )
        .service(
            Endpoint::at("/{group}/commits")
                .data(body::commit_config())
                .post(change!(changes::commit)),
        )
        .service(Endpoint::at("/{group}/proposals").post(change!(changes::propose)))
        .service(Endpoint::at("/{group}/metadata").put(change!(changes::reseal)))
        .service(Endpoint::at("/{group}/reset").post(change!(groups::reset)))
        .service(
            Endpoint::at("/{group}/messages")
                .post(to(messages::send).wrap(limited(Class::GroupSend)).wrap(writes())),
        )
        .service(Endpoint::at("/{group}/log").get(read!(reading::log)))
        .service(Endpoint::at("/{group}/info").get(read!(reading::info)))
        .service(Endpoint::at("/{group}/tree").get(read!(reading::tree)))
        .service(Endpoint::at("/{group}/cursors").get(read!(cursors::list)))
        .service(
            Endpoint::at("/{group}/welcome")
                .delete(to(welcomes::forget).wrap(limited(Class::GroupRead)).wrap(writes())),
        );
}
