//! Messages over REST, for devices that no WebSocket gets through to.
//!
//! The same sends, retractions, acknowledgements and envelopes as on a socket, through
//! the same links, with the same refusals. A request that waits for envelopes is a socket
//! in all but its wire: it is registered, it has the device's place, it displaces what
//! had it before and is displaced by what comes after.
//!
//! | | |
//! |---|---|
//! | `PUT /v1/messages/{recipient}` | sends |
//! | `DELETE /v1/messages/{recipient}/{client_msg_id}?device_ids=1,2` | retracts |
//! | `GET /v1/messages?wait_ms=&limit=` | the oldest envelopes, or the next that come |
//! | `POST /v1/messages/ack` | acknowledges |

mod acknowledge;
mod body;
mod call;
mod error;
mod poll;
mod retract;
mod send;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use sotto_kit::{
    auth::Caller,
    http::{Endpoint, limited, to, writes},
    limits::{Class, SharedLimiter},
    read_only::ReadOnly,
};
use utoipa::{OpenApi as _, openapi::OpenApi};

use crate::{gateway::Gateway, session::io::Identity};

/// What the routes are, as OpenAPI.
pub(crate) fn document() -> OpenApi {
    acknowledge::Document::openapi()
        .merge_from(poll::Document::openapi())
        .merge_from(retract::Document::openapi())
        .merge_from(send::Document::openapi())
}

/// What the routes look for in the data of their app.
pub(crate) type Data = (web::Data<SharedLimiter>, web::Data<ReadOnly>);

/// The routes. They bring what they need along, so that those of other roles may stand
/// beside them.
///
/// Whether a send may be stored now its replica says, as it does on a socket: what is
/// ephemeral is sent during maintenance too.
pub(crate) fn configure(app: &mut ServiceConfig, gateway: &Arc<Gateway>, data: &Data) {
    let (limits, read_only) = data;
    let send = to(send::send).wrap(limited(Class::Send));
    let retract = to(retract::retract).wrap(writes()).wrap(limited(Class::Send));
    let poll = to(poll::poll).wrap(limited(Class::Poll));
    let acknowledge = to(acknowledge::acknowledge).wrap(limited(Class::Acknowledge));
    let scope = web::scope("/v1/messages")
        .app_data(web::Data::from(gateway.clone()))
        .app_data(web::Data::new(gateway.verifier.clone()))
        .app_data(limits.clone())
        .app_data(read_only.clone())
        .service(Endpoint::at("").get(poll))
        .service(Endpoint::at("/ack").post(acknowledge))
        .service(Endpoint::at("/{recipient}").put(send))
        .service(Endpoint::at("/{recipient}/{client_msg_id}").delete(retract));
    app.service(scope);
}

/// Who asks, as a session has it.
fn identity(caller: Caller) -> Identity {
    Identity { device: caller.device, app: caller.app, token_expires_at_ms: caller.expires_at_ms }
}

/// Reads bodies, queries and paths of requests, and shows stored envelopes.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    send::fuzz(data);
    acknowledge::fuzz(data);
    body::fuzz_envelope(data);
    if let Ok(text) = std::str::from_utf8(data) {
        body::fuzz(text);
        poll::fuzz(text);
        retract::fuzz(text);
    }
}
