//! Schemathesis makes up requests from the document, right ones and wrong ones, and holds
//! each answer against it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use reqwest::Client;
use serde_json::{Value, json};
use sotto_e2e::Person;
use sotto_ids::ClientMsgId;
use sotto_load::light::{Member, Pool, Prekeys, Spec};
use sotto_testkit::{Cluster, Role, process::tail};
use tempfile::TempDir;
use tokio::process::Command;

use super::{OF_GATEWAY, OF_GROUPS, document, gateway};

/// Where `cargo xtask test` installs it, in the folder that cargo builds into.
const PROGRAM: &str = "schemathesis/bin/schemathesis";

/// What counts devices and accounts; addresses of this machine are not counted.
const LIMITS: [&str; 12] = [
    "bundles",
    "chain_write",
    "claim",
    "upload",
    "stock",
    "send",
    "poll",
    "acknowledge",
    "key_package_claim",
    "group_commit",
    "group_send",
    "group_read",
];

/// Caught: a description without a status that the server answers, one in which a member has
/// another type, and a token that is shown under another name than the description has.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_is_answered_as_the_document_says() {
    let Some(program) = program() else { return };
    let cluster = generous_cluster().await;
    let spec = Spec {
        name: "api",
        accounts: 2,
        devices_each: 1,
        prekeys: Prekeys::Stocked(20),
        first_number: 0,
    };
    let pool = Pool::register(spec, &cluster, |_| {}).await.unwrap();
    let [caller, other] = pool.members() else { unreachable!("two were registered") };
    leave_messages(other, caller, &cluster).await;
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let name = format!("alice@{}", cluster.domain());
    let accounts = [caller.account().id, other.account().id, alice.account];
    let there_is = [
        ("accounts", accounts.map(|id| id.to_string()).to_vec()),
        ("handles", vec!["alice".to_owned()]),
        ("resources", vec![format!("acct:{name}")]),
        ("names", vec![name]),
        ("mailboxes", vec![mailbox(&cluster).await]),
        ("message_ids", (3..6).map(message_id).collect()),
    ];
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("openapi.json"), document().await.to_string()).unwrap();
    write_settings(folder.path(), caller, &there_is);

    let of_gateway = format!("^({})", OF_GATEWAY.join("|"));
    let of_groups = format!("^({})", OF_GROUPS.join("|"));
    let of_others = format!("{of_gateway}|{of_groups}");
    // In all it takes about a minute. Few of those that the gateway and groups are asked get
    // far.
    for (url, which, paths, examples) in [
        (cluster.rest_url(), "--exclude-path-regex", &of_others, "100"),
        (gateway(&cluster), "--include-path-regex", &of_gateway, "300"),
        (cluster.groups_url(0), "--include-path-regex", &of_groups, "40"),
    ] {
        let log = folder.path().join("schemathesis.log");
        let status = Command::new(&program)
            .args(["run", "openapi.json", "--no-color", "--url", &url, which, paths])
            .args(["--max-examples", examples])
            .current_dir(folder.path())
            .stdout(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .status()
            .await
            .unwrap();
        assert!(status.success(), "{status}\n{}", tail(&log, 400));
    }
    // Nobody else asked for these, and without its token it would not have been let in.
    for (role, route) in [
        (Role::Keys, "/v1/keys/digest"),
        (Role::Gateway, "/v1/messages"),
        (Role::Groups, "/v1/groups"),
    ] {
        assert!(was_served(role, route, &cluster).await, "{route}");
    }
    cluster.stop().await.unwrap();
}

/// `None`, and a word about it, where Schemathesis is not installed, unless this is
/// continuous integration: there the test must not be passed over.
#[expect(clippy::print_stderr, reason = "whoever runs the test should know what it did not do")]
#[expect(clippy::disallowed_methods, reason = "CI is set by whoever runs the tests")]
fn program() -> Option<PathBuf> {
    // It lies in `<target>/<profile>/deps`.
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(3).unwrap().join(PROGRAM);
    if program.is_file() {
        return Some(program);
    }
    let wanted = "this test needs Schemathesis, which `cargo xtask test` installs where there is \
                  Python (Debian: python3-venv)";
    assert!(std::env::var_os("CI").is_none(), "{wanted}");
    eprintln!("passed over: {wanted}");
    None
}

async fn generous_cluster() -> Cluster {
    let builder = Cluster::builder()
        .fast_and_forgetful()
        // What is made up may wait as long as it may.
        .setting("gateway.poll.max_wait", "1s")
        .setting("keys.mailbox.longest_wait", "1s")
        .setting("keys.mailbox.ttl", "10m")
        .setting("keys.ops.burst", 2000);
    let builder = LIMITS.into_iter().fold(builder, |builder, class| {
        builder.setting(&format!("limits.{class}.burst"), 1_000_000)
    });
    builder.start().await.unwrap()
}

/// Puts messages into the queue of a device, so that there is something to read.
async fn leave_messages(from: &Member, to: &Member, cluster: &Cluster) {
    let http = Client::new();
    let (token, account) = (from.token(0).unwrap(), to.account().id);
    let bundles = http
        .post(format!("{}/v1/accounts/{account}/bundles", cluster.rest_url()))
        .bearer_auth(token)
        .json(&json!({}));
    let bundles: Value = bundles.send().await.unwrap().json().await.unwrap();
    let device = &bundles["devices"][0];
    for (number, kind) in [(1, "prekey"), (2, "whisper")] {
        let message = json!({
            "device_id": device["device_id"],
            "registration_id": device["registration_id"],
            "type": kind,
            "ciphertext": "AAEC",
        });
        let send = http
            .put(format!("{}/v1/messages/{account}", gateway(cluster)))
            .bearer_auth(token)
            .json(&json!({ "client_msg_id": message_id(number), "messages": [message] }));
        let answer = send.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }
}

/// Whether a GET on this route was answered with 200.
async fn was_served(role: Role, route: &str, cluster: &Cluster) -> bool {
    let labels = ["method=\"GET\"", "status=\"200\"", &format!("route=\"{route}\"")];
    let metrics = cluster.metrics(role, 0).await.unwrap();
    let mut requests =
        metrics.lines().filter(|line| line.starts_with("sotto_http_requests_total{"));
    requests.any(|line| labels.iter().all(|label| line.contains(label)))
}

/// Opens a mailbox and leaves a message in one of its slots; gives its name.
async fn mailbox(cluster: &Cluster) -> String {
    let (http, url) = (Client::new(), format!("{}/v1/link", cluster.rest_url()));
    let opened: Value = http.post(&url).send().await.unwrap().json().await.unwrap();
    let link = opened["link_id"].as_str().unwrap().to_owned();
    let left = http
        .put(format!("{url}/{link}/request"))
        .header("content-type", "application/octet-stream")
        .body("a message");
    assert_eq!(left.send().await.unwrap().status(), 204);
    link
}

/// The name of a send that is made now.
#[expect(clippy::disallowed_methods, reason = "a device has a clock of its own")]
fn message_id(number: u8) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    ClientMsgId::new(u64::try_from(since.as_millis()).unwrap(), [number; 10]).to_string()
}

/// The settings of the repository, with what only the test knows.
fn write_settings(folder: &Path, caller: &Member, there_is: &[(&str, Vec<String>)]) {
    let mut settings = include_str!("../../../docs/api/lint/schemathesis.toml").to_owned();
    let token = caller.token(0).unwrap();
    writeln!(settings, "\n[auth.openapi.sotto_token]\nbearer = \"{token}\"").unwrap();
    for (name, values) in there_is {
        writeln!(settings, "\n[dictionaries.{name}]\nvalues = {values:?}").unwrap();
    }
    std::fs::write(folder.join("schemathesis.toml"), settings).unwrap();
}
