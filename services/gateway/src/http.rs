//! `GET /v1/socket`

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
use sotto_kit::{
    auth::bearer,
    fault::{Fault as _, Problem},
    http::{Endpoint, limited, to},
    limits::Class,
};
use utoipa::OpenApi;

use crate::{
    error::UpgradeError,
    gateway::Gateway,
    metrics,
    session::{codec::Encoding, task::Session},
    transport::http1,
};

/// The subprotocol that carries a token, for browsers, which can set no header.
const BEARER: &str = "bearer.";

#[derive(OpenApi)]
#[openapi(paths(open))]
struct Document;

/// What the route is, as OpenAPI.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(crate) fn configure(app: &mut ServiceConfig, gateway: &Arc<Gateway>) {
    app.service(
        Endpoint::at("/v1/socket")
            .data(web::Data::from(gateway.clone()))
            .data(web::Data::new(gateway.limits.clone()))
            .get(to(open).wrap(limited(Class::Connect))),
    );
}

/// Opens a socket. A token that came with the request is verified on the socket, so
/// that a browser, which sees no HTTP status, learns by the close code what was wrong.
#[utoipa::path(
    get,
    path = "/v1/socket",
    tag = "messages",
    operation_id = "openSocket",
    summary = "Opens a socket",
    description = "The upgrade to a WebSocket (RFC 6455). What is said on it is in \
                   `asyncapi.json`. A token may come with the request, as \
                   `Authorization: Bearer` or as the subprotocol `bearer.<token>`; it is looked \
                   at on the socket.",
    security(()),
    params(
        ("Sec-WebSocket-Protocol" = Option<String>, Header,
            description = "`sotto.v1.proto` or `sotto.v1.json`.", example = "sotto.v1.json"),
    ),
    responses(
        (status = 101, description = "The socket is open."),
        (status = 422, description = "`not_an_upgrade`, `subprotocol_required`"),
        (status = 503, description = "`draining`, `too_many_sockets`, `too_many_connections`"),
    ),
)]
async fn open(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    upgrade(&request, payload, &gateway.into_inner()).map_err(|error| {
        metrics::refused(error.reason());
        error.into()
    })
}

fn upgrade(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Arc<Gateway>,
) -> Result<HttpResponse, UpgradeError> {
    if gateway.is_draining() {
        return Err(UpgradeError::Draining { retry_after: gateway.entrance.later() });
    }
    if gateway.registry.len() >= gateway.config.max_sockets {
        return Err(UpgradeError::TooManySockets { retry_after: gateway.entrance.later() });
    }
    let offered = Offered::of(request);
    let encoding = offered.encoding.ok_or(UpgradeError::SubprotocolRequired)?;
    let token = offered.token.or_else(|| bearer(request)).map(str::to_owned);
    // Those that show a token later are counted when they do.
    let crowded = |retry_after| UpgradeError::TooManyConnections { retry_after };
    gateway.entrance.upgrade().map_err(crowded)?;
    let opening = token.is_some().then(|| gateway.entrance.open()).transpose().map_err(crowded)?;
    let budget = gateway.budget.clone();
    let (response, socket) = http1::accept(request, payload, encoding.subprotocol(), budget)?;
    // On the worker of the connection, whose payload cannot leave it. The registry
    // knows the socket until it ends, and the drain waits for the registry.
    actix_web::rt::spawn(Session::open(gateway, socket, encoding, opening).run(token));
    Ok(response)
}

/// What the request says in `Sec-WebSocket-Protocol`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offered<'a> {
    /// The first that is one of ours.
    encoding: Option<Encoding>,
    token: Option<&'a str>,
}

impl<'a> Offered<'a> {
    fn of(request: &'a HttpRequest) -> Self {
        let mut offered = Self::default();
        let values = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let names = values.filter_map(|value| value.to_str().ok());
        for name in names.flat_map(|value| value.split(',')).map(str::trim) {
            let ours = Encoding::ALL.into_iter().find(|ours| ours.subprotocol() == name);
            offered.encoding = offered.encoding.or(ours);
            offered.token = offered.token.or_else(|| name.strip_prefix(BEARER));
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn offers(values: &[&str]) -> (Option<Encoding>, Option<String>) {
        let mut request = TestRequest::default();
        for value in values {
            request = request.append_header((header::SEC_WEBSOCKET_PROTOCOL, *value));
        }
        let request = request.to_http_request();
        let Offered { encoding, token } = Offered::of(&request);
        (encoding, token.map(str::to_owned))
    }

    #[test]
    fn the_first_subprotocol_of_ours_is_chosen() {
        assert_eq!(offers(&["graphql, sotto.v1.json, sotto.v1.proto"]).0, Some(Encoding::Json));
        assert_eq!(offers(&["graphql", "sotto.v1.proto"]).0, Some(Encoding::Proto));
        assert_eq!(offers(&["sotto.v2.proto"]).0, None);
        assert_eq!(offers(&[]), (None, None));
    }

    #[test]
    fn a_token_may_stand_among_the_subprotocols() {
        let (encoding, token) = offers(&["sotto.v1.json,bearer.ab.cd.ef"]);

        assert_eq!((encoding, token.as_deref()), (Some(Encoding::Json), Some("ab.cd.ef")));
    }
}
