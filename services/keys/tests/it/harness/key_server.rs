//! An app's web server, on which it publishes its keys.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, http::StatusCode, web};
use serde_json::json;
use sotto_keys::Jwk;
use sotto_kit::{lifecycle::Lifecycle, listener};
use url::Url;

/// The server, and what it says when it is asked.
#[derive(Clone)]
pub(crate) struct KeyServer {
    pub(crate) url: Url,
    asked: Arc<AtomicUsize>,
    says: Arc<Mutex<Says>>,
}

#[derive(Clone)]
enum Says {
    This { status: u16, location: Option<Url>, body: String },
    Nothing,
}

impl KeyServer {
    /// A server that publishes these keys. It ends with the life of the test.
    pub(crate) fn start(keys: &[Jwk], lifecycle: &Lifecycle) -> Self {
        let listener = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self {
            url: format!("http://{address}/keys.json").parse().unwrap(),
            asked: Arc::default(),
            says: Arc::new(Mutex::new(Says::Nothing)),
        };
        server.publish(keys);
        let shared = server.clone();
        let http = HttpServer::new(move || {
            let shared = shared.clone();
            App::new().default_service(web::to(move || shared.clone().answer()))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)
        .unwrap()
        .run();
        let (handle, stopped) = (http.handle(), lifecycle.stopped());
        lifecycle.spawn("key server", async move { drop(http.await) });
        lifecycle.spawn("stop the key server", async move {
            stopped.cancelled().await;
            handle.stop(false).await;
        });
        server
    }

    async fn answer(self) -> HttpResponse {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let says = self.says.lock().unwrap().clone();
        match says {
            Says::Nothing => {
                tokio::time::sleep(Duration::from_mins(1)).await;
                HttpResponse::NoContent().finish()
            }
            Says::This { status, location, body } => {
                let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap());
                if let Some(location) = location {
                    response.insert_header(("location", location.to_string()));
                }
                response.content_type("application/json").body(body)
            }
        }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn publish(&self, keys: &[Jwk]) {
        self.say(200, &json!({ "keys": keys }).to_string());
    }

    pub(crate) fn say(&self, status: u16, body: &str) {
        let body = body.to_owned();
        *self.says.lock().unwrap() = Says::This { status, location: None, body };
    }

    pub(crate) fn redirect_to(&self, location: &Url) {
        let (location, body) = (Some(location.clone()), String::new());
        *self.says.lock().unwrap() = Says::This { status: 302, location, body };
    }

    /// Takes requests, and does not answer them.
    pub(crate) fn hang(&self) {
        *self.says.lock().unwrap() = Says::Nothing;
    }
}
