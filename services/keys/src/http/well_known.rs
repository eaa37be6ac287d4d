//! What anybody may read under well-known names (RFC 8615): who goes by a handle, and
//! what kind of server this is. Browsers of other origins may read it too.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    middleware::DefaultHeaders,
    web::{self, ServiceConfig},
};
use serde::{Deserialize, Serialize};
use sotto_identity::{Device, Endpoint};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, DeviceId};
use sotto_kit::{
    fault::Problem,
    http::{self, HttpError, limited, to},
    limits::{Class, SharedLimiter},
    openapi,
};
use url::form_urlencoded;
use utoipa::{OpenApi, ToSchema};

use super::body::HeadBody;
use crate::{
    config::RegistrationMode,
    domain::{Head, public_name::PublicName},
    error::KeysError,
    ops::{IdentityDocument, Keys},
};

/// The type of a JRD (RFC 7033 section 10.2).
const JRD: &str = "application/jrd+json";

/// The schema of nodeinfo that is served.
const NODEINFO: &str = "http://nodeinfo.diaspora.software/ns/schema/2.1";

/// The link from a JRD to the chain. A name, no page.
const REL_CHAIN: &str = "tag:sotto,2026:rel/chain";

/// What a session with a device of this deployment can be.
const SUITES: [&str; 1] = ["PQXDH-1"];

pub(super) fn routes(
    keys: &web::Data<Keys>,
    limits: &web::Data<SharedLimiter>,
    app: &mut ServiceConfig,
) {
    for (path, route, class) in [
        ("/.well-known/chat-identity", to(chat_identity), Class::Document),
        ("/.well-known/webfinger", to(webfinger), Class::Lookup),
        ("/.well-known/nodeinfo", to(nodeinfo_links), Class::Lookup),
        ("/nodeinfo/2.1", to(nodeinfo), Class::Lookup),
    ] {
        let for_all = DefaultHeaders::new().add((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
        let route = route.wrap(limited(class)).wrap(for_all);
        app.service(http::Endpoint::at(path).data(keys.clone()).data(limits.clone()).get(route));
    }
}

#[derive(OpenApi)]
#[openapi(paths(chat_identity, webfinger, nodeinfo_links, nodeinfo))]
pub(super) struct Document;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct IdentityQuery {
    /// With its domain.
    #[param(value_type = openapi::PublicName)]
    handle: String,
}

/// Who goes by a handle: a view of a chain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityDocument)]
struct IdentityBody {
    v: u32,
    #[schema(value_type = openapi::PublicName)]
    handle: String,
    #[schema(value_type = openapi::AccountId)]
    account: AccountId,
    #[schema(value_type = openapi::AccountUuid)]
    uuid: AccountUuid,
    /// The domain of its home server.
    home: String,
    head: HeadBody,
    /// Where the chain is, which is what counts.
    chain: String,
    #[schema(value_type = openapi::Base64)]
    account_key: Base64Bytes,
    devices: Vec<DeviceBody>,
    endpoints: Vec<EndpointBody>,
}

/// A device of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityDevice)]
struct DeviceBody {
    #[schema(value_type = openapi::DeviceId)]
    id: DeviceId,
    #[schema(value_type = openapi::Base64)]
    identity_key: Base64Bytes,
    #[schema(value_type = openapi::Base64)]
    mls_key: Base64Bytes,
    /// What a session with it can be.
    #[schema(value_type = Vec<String>)]
    suites: [&'static str; 1],
}

/// Where else the account is reached.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityEndpoint)]
struct EndpointBody {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

/// A JSON Resource Descriptor (RFC 7033 section 4.4).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JsonResourceDescriptor)]
struct Jrd {
    subject: String,
    aliases: Vec<String>,
    links: Vec<Link>,
}

/// Where something of a resource is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResourceLink)]
struct Link {
    rel: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<&'static str>,
    href: String,
}

/// `GET /.well-known/chat-identity?handle=alice@chat.example`
///
/// A view of the chain for people and for a first look. It is not signed: whoever relies
/// on it fetches the chain, verifies it, and computes all of this.
#[utoipa::path(
    get,
    path = "/.well-known/chat-identity",
    tag = "public",
    operation_id = "chatIdentity",
    summary = "Says who goes by a handle, for people and for a first look",
    description = "A view of the chain. It is not signed: whoever relies on it verifies the chain.",
    security(()),
    params(IdentityQuery),
    responses(
        (status = 200, body = IdentityBody, description = "Who it is."),
        (status = 404, description = "`unknown_handle`, `other_domain`"),
        (status = 422),
    ),
)]
async fn chat_identity(
    query: web::Query<IdentityQuery>,
    keys: web::Data<Keys>,
) -> Result<web::Json<IdentityBody>, Problem> {
    let name: PublicName = parse("handle", &query.handle)?;
    let found = keys.identity_document(name).await?;
    Ok(web::Json(IdentityBody::new(found, &keys)))
}

/// `GET /.well-known/webfinger?resource=acct:alice@chat.example&rel=self` (RFC 7033)
///
/// A missing or malformed `resource` is 422 here, as every malformed query is, where the
/// RFC has 400.
#[utoipa::path(
    get,
    path = "/.well-known/webfinger",
    tag = "public",
    operation_id = "webfinger",
    summary = "Says who goes by a handle (RFC 7033)",
    security(()),
    params(
        ("resource" = String, Query, description = "`acct:`, a handle and a domain.",
            example = "acct:alice@sotto.localhost"),
        ("rel" = Option<Vec<String>>, Query, description = "The links that are wanted."),
    ),
    responses(
        (status = 200, body = Jrd, content_type = "application/jrd+json",
            description = "Who it is."),
        (status = 404, description = "`unknown_handle`, `other_domain`"),
        (status = 422),
    ),
)]
async fn webfinger(request: HttpRequest, keys: web::Data<Keys>) -> Result<HttpResponse, Problem> {
    let query: Vec<_> = form_urlencoded::parse(request.query_string().as_bytes()).collect();
    let values = |name: &'static str| {
        query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_ref())
    };
    let resource = values("resource").next();
    let resource = resource
        .ok_or_else(|| HttpError::MalformedQuery("the parameter `resource` is missing".into()))?;
    let name: PublicName = match resource.strip_prefix("acct:") {
        Some(name) => parse("resource", name)?,
        // A URI of another kind, about which nothing is known here.
        None if resource.contains(':') => return Err(KeysError::UnknownHandle.into()),
        None => parse("resource", resource)?,
    };
    keys.check_home(&name)?;
    let found = keys.find_by_handle(&name.handle).await?;

    let base = keys.rules.public.base_url(&keys.domain);
    let subject = format!("{}@{}", name.handle.as_str(), keys.domain);
    let mut links = vec![
        Link {
            rel: "self",
            kind: Some("application/json"),
            href: format!("{base}/.well-known/chat-identity?handle={subject}"),
        },
        Link {
            rel: REL_CHAIN,
            kind: Some("application/x-protobuf"),
            href: chain_url(&base, found.account_id),
        },
    ];
    let wanted: Vec<_> = values("rel").collect();
    links.retain(|link| wanted.is_empty() || wanted.contains(&link.rel));
    let document = Jrd {
        subject: format!("acct:{subject}"),
        aliases: vec![found.account_id.to_string()],
        links,
    };
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, JRD)).json(document))
}

/// `GET /.well-known/nodeinfo`
#[utoipa::path(
    get,
    path = "/.well-known/nodeinfo",
    tag = "public",
    operation_id = "nodeinfoLinks",
    summary = "Says where it says what kind of server this is",
    security(()),
    responses((status = 200, body = Object, description = "A link to `/nodeinfo/2.1`.")),
)]
async fn nodeinfo_links(keys: web::Data<Keys>) -> HttpResponse {
    let base = keys.rules.public.base_url(&keys.domain);
    HttpResponse::Ok().json(serde_json::json!({
        "links": [{ "rel": NODEINFO, "href": format!("{base}/nodeinfo/2.1") }],
    }))
}

/// `GET /nodeinfo/2.1`
#[utoipa::path(
    get,
    path = "/nodeinfo/2.1",
    tag = "public",
    operation_id = "nodeinfo",
    summary = "Says what kind of server this is (NodeInfo 2.1)",
    security(()),
    responses((status = 200, body = Object, description = "In the form of its schema.")),
)]
async fn nodeinfo(keys: web::Data<Keys>) -> Result<HttpResponse, Problem> {
    let users = keys.population().await?;
    let is_open = keys.rules.registration.mode != RegistrationMode::Invite;
    let document = serde_json::json!({
        "version": "2.1",
        "software": { "name": "sotto", "version": env!("CARGO_PKG_VERSION") },
        "protocols": ["sotto"],
        "services": { "inbound": [], "outbound": [] },
        "openRegistrations": is_open,
        "usage": { "users": { "total": users } },
        "metadata": {},
    });
    let content_type = format!("application/json; profile=\"{NODEINFO}#\"");
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, content_type)).json(document))
}

fn parse(parameter: &str, text: &str) -> Result<PublicName, HttpError> {
    text.parse().map_err(|error| HttpError::MalformedQuery(format!("`{parameter}`: {error}")))
}

fn chain_url(base: &str, account: AccountId) -> String {
    format!("{base}/v1/accounts/{account}/ops")
}

impl IdentityBody {
    fn new(found: IdentityDocument, keys: &Keys) -> Self {
        let IdentityDocument { handle, state, devices } = found;
        let base = keys.rules.public.base_url(&keys.domain);
        Self {
            v: 1,
            handle: format!("{}@{}", handle.as_str(), keys.domain),
            account: state.account_id,
            uuid: state.account_id.uuid(),
            home: state.home.clone(),
            head: Head { seq: state.seq, hash: state.head }.into(),
            chain: chain_url(&base, state.account_id),
            account_key: Base64Bytes(state.account_key.to_vec()),
            devices: devices.into_iter().map(Into::into).collect(),
            endpoints: state.endpoints.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Device> for DeviceBody {
    fn from(device: Device) -> Self {
        Self {
            id: device.id,
            identity_key: Base64Bytes(device.identity_key.as_bytes().to_vec()),
            mls_key: Base64Bytes(device.mls_key.to_vec()),
            suites: SUITES,
        }
    }
}

impl From<Endpoint> for EndpointBody {
    fn from(endpoint: Endpoint) -> Self {
        Self { kind: endpoint.kind.as_str(), url: endpoint.url }
    }
}
