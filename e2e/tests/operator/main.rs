//! What an operator sets on a running Sotto: limits, and maintenance.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use sotto_testkit::{
    Cluster, Role, cluster,
    ports::Port,
    process::{Launch, Signal},
    wait_for,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no {name}"));
    value.to_str().unwrap().to_owned()
}

/// A cluster whose limits count everybody, and that stands behind a proxy on this machine.
async fn counting_cluster() -> Cluster {
    Cluster::builder()
        .setting("limits.exempt", toml_list(&[]))
        .setting("limits.lookup.burst", 3)
        .setting("http.trusted_proxies", toml_list(&["127.0.0.0/8"]))
        .start()
        .await
        .unwrap()
}

fn toml_list(networks: &[&str]) -> Vec<String> {
    networks.iter().map(|&network| network.to_owned()).collect()
}

async fn look_up(cluster: &Cluster, from: &str) -> Response {
    let url = format!("{}/v1/u/nobody", cluster.rest_url());
    Client::new().get(url).header("X-Forwarded-For", from).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_much_is_told_when_to_come_again() {
    let cluster = counting_cluster().await;

    for left in [2, 1, 0] {
        let answer = look_up(&cluster, "192.0.2.1").await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(header(&answer, "ratelimit-policy"), "\"lookup\";q=3;w=60");
        let state = header(&answer, "ratelimit");
        assert!(state.starts_with(&format!("\"lookup\";r={left};t=")), "{state}");
    }
    let refused = look_up(&cluster, "192.0.2.1").await;
    // The last entry is the proxy's; what comes before it is the caller's own claim.
    let claimed = look_up(&cluster, "198.51.100.1, 192.0.2.1").await;
    let another = look_up(&cluster, "192.0.2.2").await;

    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "one unit comes in 20 s, not in {wait}");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["reason"], "rate_limited");
    assert_eq!(problem["violated-policies"], json!(["lookup"]));
    assert_eq!(claimed.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(another.status(), StatusCode::NOT_FOUND, "others have their own");
    cluster.stop().await.unwrap();
}

/// Sabotage it caught: letting everybody pass whom Redis does not answer for.
#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_while_redis_is_away() {
    let mut cluster = Cluster::builder()
        .on_private_servers()
        .setting("limits.exempt", toml_list(&[]))
        .setting("limits.lookup.burst", 3)
        .start()
        .await
        .unwrap();

    cluster.servers_mut().private_redis().unwrap().kill9().await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(look_up(&cluster, "192.0.2.1").await.status());
    }

    let allowed = answers.iter().filter(|&&status| status == StatusCode::NOT_FOUND).count();
    assert_eq!(allowed, 3, "{answers:?}");
    let decided = cluster.metrics(Role::Keys, 0).await.unwrap();
    assert!(decided.contains("by=\"local\""), "the metric says who decided");
}

async fn switch(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = Command::new(cluster::executable().unwrap())
        .arg("read-only")
        .args(arguments)
        .arg("--config")
        .arg(cluster.dir().join("sotto.toml"))
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn during_maintenance_writes_are_put_off_and_reads_go_on() {
    // The switch is one for all who share a Redis.
    let cluster = Cluster::builder().on_private_servers().start().await.unwrap();
    let http = Client::new();
    let register = async || {
        let url = format!("{}/v1/accounts", cluster.rest_url());
        http.post(url).json(&json!({ "genesis": 1 })).send().await.unwrap()
    };
    let reason_of = async |response: Response| -> String {
        response.json::<Value>().await.unwrap()["reason"].as_str().unwrap().to_owned()
    };
    assert!(switch(&cluster, &["status"]).await.starts_with("off"));
    assert_eq!(reason_of(register().await).await, "malformed_json");

    let on = switch(&cluster, &["on", "--reason", "a new disk", "--for", "30m"]).await;
    wait_for(PATIENCE, "a write that is refused", async || {
        let status = register().await.status();
        (status == StatusCode::SERVICE_UNAVAILABLE).then_some(()).ok_or(status)
    })
    .await;
    let refused = register().await;

    assert!(on.starts_with("on: writes are refused, for ") && on.contains("a new disk"), "{on}");
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["reason"], "read_only");
    assert!(problem["detail"].as_str().unwrap().contains("a new disk"), "{problem}");
    assert_eq!(look_up(&cluster, "192.0.2.1").await.status(), StatusCode::NOT_FOUND);
    let challenge = format!("{}/v1/auth/challenge", cluster.rest_url());
    let challenge = http.post(challenge).json(&json!({})).send().await.unwrap();
    assert_eq!(challenge.status(), StatusCode::OK, "who may read may log in");

    assert!(switch(&cluster, &["off"]).await.starts_with("off"));
    wait_for(PATIENCE, "a write that is looked at", async || {
        let status = register().await.status();
        (status == StatusCode::UNPROCESSABLE_ENTITY).then_some(()).ok_or(status)
    })
    .await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_is_told_the_right_ones() {
    let cluster = Cluster::builder().start().await.unwrap();
    let url = format!("{}/v1/u/nobody", cluster.rest_url());

    let wrong = Client::new().delete(&url).send().await.unwrap();
    let head = Client::new().head(&url).send().await.unwrap();

    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(header(&wrong, "allow"), "GET, HEAD");
    assert_eq!(header(&wrong, "content-type"), "application/problem+json");
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
    assert_eq!(head.text().await.unwrap(), "");
    cluster.stop().await.unwrap();
}

/// Sabotage it caught: one drain for all roles. Messages then left its streams while the
/// gateway still had sockets, and what they sent was refused.
#[tokio::test(flavor = "multi_thread")]
async fn in_one_process_the_gateway_drains_before_what_it_needs() {
    let cluster = Cluster::builder().start().await.unwrap();
    let [public, internal, ops] = [(); 3].map(|()| Port::reserve().unwrap());
    let log = cluster.logs().join("all.log");
    let internal_url = format!("http://{}", internal.address());
    let process = Launch::new("sotto run all", cluster::executable().unwrap(), &log)
        .args(["run", "all", "--config"])
        .args([cluster.dir().join("sotto.toml")])
        .env("SOTTO_HTTP__LISTEN", public.address().to_string())
        .env("SOTTO_GRPC__LISTEN", internal.address().to_string())
        .env("SOTTO_OPS__LISTEN", ops.address().to_string())
        .env("SOTTO_LINKS__KEYS", &internal_url)
        .env("SOTTO_LINKS__MESSAGES", format!("[\"{internal_url}\"]"))
        .env("SOTTO_LINKS__GROUPS", format!("[\"{internal_url}\"]"))
        .spawn()
        .unwrap();
    wait_for(PATIENCE, "a process that is ready", async || {
        let ready = reqwest::get(format!("http://{}/readyz", ops.address())).await;
        ready.and_then(Response::error_for_status).map(drop)
    })
    .await;
    // A socket that does not go when it is told: the drain of the gateway takes a while.
    let mut socket = TcpStream::connect(public.address()).await.unwrap();
    let upgrade = "GET /v1/socket HTTP/1.1\r\nHost: sotto\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Protocol: sotto.v1.proto\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    socket.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");

    let ended = process.stop(Signal::SIGTERM, Duration::from_secs(60)).await.unwrap();

    assert!(ended.success(), "{ended}");
    let log = std::fs::read_to_string(log).unwrap();
    let order: Vec<_> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| match line["message"].as_str()? {
            "drains" => line["part"].as_str().map(str::to_owned),
            ended @ "drain ended" => Some(ended.to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["gateway", "drain ended", "messages", "groups", "keys"]);
    cluster.stop().await.unwrap();
}
