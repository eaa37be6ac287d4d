//! What stands between the framework and the handlers of every role.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_http::Request;
use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::from_fn,
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use serde_json::Value;
use sotto_kit::{
    clock::TestClock,
    http::{Endpoint, as_problems, limited, to, writes},
    limits::{
        Class, Decision, Limiter, Policy, Rate, SharedLimiter, Subject, Take, Unlimited, Verdict,
    },
    read_only::{Maintenance, ReadOnly},
};
use tokio::sync::watch;

const RATE: Rate = Rate { burst: 2, per: Duration::from_secs(10) };

/// Gives two units to each address and never any more.
#[derive(Debug, Default)]
struct Two(Mutex<HashMap<String, u32>>);

#[async_trait::async_trait]
impl Limiter for Two {
    async fn take(&self, takes: &[Take<'_>]) -> Decision {
        let mut taken = self.0.lock().unwrap();
        let verdict = |take: &Take<'_>| {
            let Subject::Address(address) = take.subject else { panic!("{:?}", take.subject) };
            let taken = taken.entry(address.to_string()).or_default();
            let allowed = *taken < RATE.burst;
            *taken += u32::from(allowed);
            Verdict {
                policy: Policy { class: take.class, of_app: false, rate: RATE },
                allowed,
                granted: u32::from(allowed),
                remaining: RATE.burst - *taken,
                reset: Duration::from_millis(4200),
                retry_after: if allowed { Duration::ZERO } else { Duration::from_millis(3100) },
            }
        };
        Decision(takes.iter().map(verdict).collect())
    }

    fn socket_batch(&self) -> u32 {
        1
    }
}

async fn read() -> &'static str {
    "read"
}

async fn write(body: web::Bytes) -> HttpResponse {
    HttpResponse::Created().body(body)
}

/// `/thing` may be read as often as the limiter says, and written while the switch is off.
async fn app(
    limiter: SharedLimiter,
    read_only: ReadOnly,
) -> impl Service<Request, Response = ServiceResponse<impl MessageBody>, Error = Error> {
    init_service(
        App::new()
            .app_data(web::Data::new(limiter))
            .app_data(web::Data::new(read_only))
            .app_data(web::PayloadConfig::new(16))
            .wrap(from_fn(as_problems))
            .service(
                web::scope("/v1").service(
                    Endpoint::at("/thing")
                        .get(to(read).wrap(limited(Class::Lookup)))
                        .put(to(write).wrap(writes())),
                ),
            ),
    )
    .await
}

fn always() -> ReadOnly {
    ReadOnly::never(Arc::new(TestClock::new(0)))
}

fn request(method: Method) -> TestRequest {
    let peer = "192.0.2.1:7".parse().unwrap();
    TestRequest::with_uri("/v1/thing").method(method).peer_addr(peer)
}

fn text<'a, B>(response: &'a ServiceResponse<B>, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

async fn problem(response: ServiceResponse<impl MessageBody>) -> Value {
    assert_eq!(text(&response, "content-type"), "application/problem+json");
    serde_json::from_slice(&read_body(response).await).unwrap()
}

#[actix_web::test]
async fn an_endpoint_says_which_methods_it_takes() {
    let app = app(Arc::new(Unlimited), always()).await;

    let head = call_service(&app, request(Method::HEAD).to_request()).await;
    let wrong = call_service(&app, request(Method::DELETE).to_request()).await;

    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(text(&wrong, header::ALLOW.as_str()), "GET, HEAD, PUT");
    assert_eq!(problem(wrong).await["reason"], "method_not_allowed");
}

#[actix_web::test]
async fn a_limited_route_says_how_much_is_left_and_when_there_is_more() {
    let app = app(Arc::new(Two::default()), always()).await;

    let taken = call_service(&app, request(Method::GET).to_request()).await;
    call_service(&app, request(Method::GET).to_request()).await;
    let refused = call_service(&app, request(Method::GET).to_request()).await;
    let other = request(Method::GET).peer_addr("192.0.2.2:7".parse().unwrap());
    let other = call_service(&app, other.to_request()).await;

    assert_eq!(text(&taken, "ratelimit-policy"), "\"lookup\";q=2;w=10");
    assert_eq!(text(&taken, "ratelimit"), "\"lookup\";r=1;t=5");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(&refused, "ratelimit"), "\"lookup\";r=0;t=5");
    assert_eq!(text(&refused, "retry-after"), "4");
    let problem = problem(refused).await;
    assert_eq!(problem["reason"], "rate_limited");
    assert_eq!(problem["violated-policies"], serde_json::json!(["lookup"]));
    assert_eq!(problem["retry_after_ms"], 3100);
    assert!(problem["type"].as_str().unwrap().ends_with("#quota-exceeded"), "{problem}");
    assert_eq!(other.status(), StatusCode::OK, "others have their own");
}

/// Sabotage it caught: `writes` that lets everything by.
#[actix_web::test]
async fn maintenance_puts_off_writes_and_lets_reading_go_on() {
    let maintenance = Maintenance { reason: Some("moving house".into()), until_ms: Some(60_000) };
    let (_switch, state) = watch::channel(Some(Arc::new(maintenance)));
    let read_only = ReadOnly::new(state, Arc::new(TestClock::new(0)));
    let app = app(Arc::new(Unlimited), read_only).await;

    let read = call_service(&app, request(Method::GET).to_request()).await;
    let write = call_service(&app, request(Method::PUT).to_request()).await;

    assert_eq!(read.status(), StatusCode::OK);
    assert_eq!(write.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(&write, "retry-after"), "60");
    let problem = problem(write).await;
    assert_eq!(problem["reason"], "read_only");
    assert!(problem["detail"].as_str().unwrap().contains("moving house"), "{problem}");
}

#[actix_web::test]
async fn what_the_framework_refuses_is_a_problem_like_any_other() {
    let app = app(Arc::new(Unlimited), always()).await;

    let fine = request(Method::PUT).set_payload("0123456789").to_request();
    let large = request(Method::PUT).set_payload("0123456789abcdefg").to_request();
    let fine = call_service(&app, fine).await;
    let large = call_service(&app, large).await;

    assert_eq!(fine.status(), StatusCode::CREATED);
    assert_eq!(problem(large).await["reason"], "body_too_large");
}
