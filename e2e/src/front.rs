//! What stands before a deployment: it sends each path to the role that serves it. And
//! what a dishonest operator would put there: it changes the answers on their way.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use sotto_testkit::Cluster;

/// An answer on its way to a client.
#[derive(Debug)]
pub struct Answer {
    /// The path and query of the request.
    pub path: String,
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

type Lie = Arc<dyn Fn(&mut Answer) + Send + Sync>;

/// See the module. It ends when it is dropped.
pub struct Front {
    url: String,
    shared: Arc<Shared>,
    server: ServerHandle,
}

struct Shared {
    keys: String,
    gateway: String,
    groups: String,
    http: reqwest::Client,
    lie: Mutex<Option<Lie>>,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Front({})", self.url)
    }
}

impl Front {
    /// One that is honest, before the keys service, the first gateway and the first groups
    /// replica of a cluster.
    ///
    /// # Panics
    ///
    /// When it cannot be served.
    pub fn before(cluster: &Cluster) -> Self {
        let socket = cluster.socket_url(0).replacen("ws://", "http://", 1);
        let gateway = socket.trim_end_matches("/v1/socket").to_owned();
        let shared = Arc::new(Shared {
            keys: cluster.rest_url(),
            gateway,
            groups: cluster.groups_url(0),
            http: reqwest::Client::new(),
            lie: Mutex::default(),
        });
        let data = web::Data::from(Arc::clone(&shared));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(2 << 20))
                .default_service(web::to(forward))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .expect("a free port");
        let url = format!("http://{}", server.addrs().first().expect("it is bound"));
        let server = server.run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "stopped when the front is dropped")]
        tokio::spawn(server);
        Self { url, shared, server: handle }
    }

    /// Where clients find it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes every answer like this, from now on.
    pub fn lie(&self, lie: impl Fn(&mut Answer) + Send + Sync + 'static) {
        *self.shared.lie.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(lie));
    }

    /// Passes answers on as they are, from now on.
    pub fn be_honest(&self) {
        *self.shared.lie.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn forward(
    request: HttpRequest,
    body: web::Bytes,
    shared: web::Data<Shared>,
) -> HttpResponse {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let to = match path.as_str() {
        path if path.starts_with("/v1/messages") => &shared.gateway,
        path if path.starts_with("/v1/groups") => &shared.groups,
        _ => &shared.keys,
    };
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes());
    let mut onward =
        shared.http.request(method.expect("a method stays one"), format!("{to}{path}"));
    for name in ["authorization", "content-type"] {
        if let Some(value) = request.headers().get(name) {
            onward = onward.header(name, value.as_bytes());
        }
    }
    let Ok(response) = onward.body(body.to_vec()).send().await else {
        return HttpResponse::BadGateway().finish();
    };
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map(|value| value.as_bytes().to_vec());
    let Ok(body) = response.bytes().await else {
        return HttpResponse::BadGateway().finish();
    };
    let mut answer = Answer { path, status, body: body.to_vec() };
    let lie = shared.lie.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(lie) = lie {
        lie(&mut answer);
    }
    let status = actix_web::http::StatusCode::from_u16(answer.status).expect("it was one");
    let mut response = HttpResponse::build(status);
    if let Some(kind) = kind {
        response.insert_header(("content-type", kind));
    }
    response.body(answer.body)
}
