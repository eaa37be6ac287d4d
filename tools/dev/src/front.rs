//! One address for the REST API of a whole Sotto, which has a process for each role: what
//! a proxy does in a deployment. It sends each path to the role that serves it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    http::StatusCode,
    web,
};
use anyhow::Context as _;
use sotto_testkit::Cluster;

/// Larger than the largest body that a role takes, a commit with its Welcome.
const MAX_BODY: usize = 2 << 20;

/// What belongs to one connection, and goes no further.
const OF_THE_CONNECTION: [&str; 5] =
    ["connection", "content-length", "host", "keep-alive", "transfer-encoding"];

/// Where the roles are, and where to listen: the arguments of the process that stays after
/// `./dev up`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) roles: Roles,
}

/// The base URL of a process of each role that serves REST.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Roles {
    #[arg(long)]
    keys: String,
    #[arg(long)]
    gateway: String,
    #[arg(long)]
    groups: String,
}

impl Roles {
    /// The first process of each.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let socket = cluster.socket_url(0).replacen("ws://", "http://", 1);
        Self {
            keys: cluster.rest_url(),
            gateway: socket.trim_end_matches("/v1/socket").to_owned(),
            groups: cluster.groups_url(0),
        }
    }

    /// The arguments that [`Arguments`] reads.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let Self { keys, gateway, groups } = self;
        [("--keys", keys), ("--gateway", gateway), ("--groups", groups)]
            .into_iter()
            .flat_map(|(name, url)| [name.to_owned(), url.clone()])
            .collect()
    }

    fn serving(&self, path: &str) -> &str {
        let is_below = |base: &str| {
            path.strip_prefix(base)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        if is_below("/v1/groups") {
            &self.groups
        } else if is_below("/v1/messages") {
            &self.gateway
        } else {
            &self.keys
        }
    }
}

/// A front within this process. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Front {
    url: String,
    server: ServerHandle,
}

impl Front {
    /// Before the first process of each role.
    pub(crate) fn before(cluster: &Cluster) -> anyhow::Result<Self> {
        let (server, address) = listen((Ipv4Addr::LOCALHOST, 0).into(), Roles::of(cluster))?;
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "it ends with the front")]
        tokio::spawn(server);
        Ok(Self { url: format!("http://{address}"), server: handle })
    }

    /// Where it is, without a path.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

/// Serves until the process is ended.
pub(crate) async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let (server, _) = listen(arguments.listen, arguments.roles)?;
    server.await.context("the front ended")
}

fn listen(address: SocketAddr, roles: Roles) -> anyhow::Result<(Server, SocketAddr)> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot bind {address}"))?;
    let bound = listener.local_addr()?;
    let (roles, http) = (web::Data::new(roles), web::Data::new(reqwest::Client::new()));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(roles.clone())
            .app_data(http.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .default_service(web::to(forward))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok((server, bound))
}

async fn forward(
    request: HttpRequest,
    body: web::Bytes,
    roles: web::Data<Roles>,
    http: web::Data<reqwest::Client>,
) -> HttpResponse {
    pass_on(&request, body, &roles, &http)
        .await
        .unwrap_or_else(|_| HttpResponse::BadGateway().finish())
}

async fn pass_on(
    request: &HttpRequest,
    body: web::Bytes,
    roles: &Roles,
    http: &reqwest::Client,
) -> anyhow::Result<HttpResponse> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())?;
    let mut onward = http.request(method, format!("{}{path}", roles.serving(path))).body(body);
    for (name, value) in request.headers() {
        if !OF_THE_CONNECTION.contains(&name.as_str()) {
            onward = onward.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = onward.send().await?;
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status().as_u16())?);
    for (name, value) in answer.headers() {
        if !OF_THE_CONNECTION.contains(&name.as_str()) {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    Ok(response.body(answer.bytes().await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_goes_to_the_role_that_serves_it() {
        let roles = Roles { keys: "k".into(), gateway: "g".into(), groups: "m".into() };

        let served = |path| roles.serving(path);
        assert_eq!(served("/v1/groups"), "m");
        assert_eq!(served("/v1/groups/welcomes?limit=1"), "m");
        assert_eq!(served("/v1/messages?wait_ms=0"), "g");
        assert_eq!(served("/v1/groupsies"), "k");
        assert_eq!(served("/v1/key-packages"), "k");
    }
}
