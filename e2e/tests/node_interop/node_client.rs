//! Drives the client in `e2e/node` by lines of JSON.

use std::{collections::VecDeque, process::Stdio, time::Duration};

use serde_json::{Value, json};
use sotto_testkit::Cluster;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long the other side may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running client, which ends with its handle.
pub(crate) struct NodeClient {
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    events: VecDeque<Value>,
    last_id: u64,
}

impl NodeClient {
    /// Starts one. `None`, and a word about it, where there is no Node, unless this is
    /// continuous integration: there the test must not be passed over.
    #[expect(clippy::print_stderr, reason = "whoever runs the test should know what it did not do")]
    #[expect(clippy::disallowed_methods, reason = "CI is set by whoever runs the tests")]
    pub(crate) async fn start() -> Option<Self> {
        let version = Command::new("node").arg("--version").output().await;
        if !version.is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "this test needs Node, from 18 on");
            eprintln!("passed over: this test needs Node, from 18 on (Debian: nodejs and npm)");
            return None;
        }
        // Tests run in the folder of their package.
        let folder = std::env::current_dir().unwrap().join("node");
        assert!(
            folder.join("node_modules").is_dir(),
            "the packages are missing: run `npm ci --ignore-scripts` in {}",
            folder.display()
        );
        let mut child = Command::new("node")
            .arg(folder.join("main.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Some(Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
            events: VecDeque::new(),
            last_id: 0,
            _child: child,
        })
    }

    /// Opens an account with prekeys published and a token bought; gives its id.
    pub(crate) async fn register(&mut self, cluster: &Cluster, app: &str, user: &str) -> String {
        self.register_through(cluster, &cluster.rest_url(), app, user).await
    }

    /// The same, by the REST API at another address.
    pub(crate) async fn register_through(
        &mut self,
        cluster: &Cluster,
        rest: &str,
        app: &str,
        user: &str,
    ) -> String {
        let app_token = cluster.app_token(app, user);
        let account = self
            .ask(
                "register",
                json!({
                    "rest": rest,
                    "socket": cluster.socket_url(0),
                    "domain": cluster.domain(),
                    "app_token": app_token,
                }),
            )
            .await;
        self.ask("login", json!({ "app_token": app_token })).await;
        let counts = self.ask("publish_keys", json!({ "count": 20 })).await;
        assert_eq!((&counts["one_time_ec"], &counts["one_time_kyber"]), (&json!(20), &json!(20)));
        account["account_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn connect(&mut self) {
        self.ask("connect", json!({})).await;
    }

    pub(crate) async fn send(&mut self, to: &str, text: &str) {
        self.ask("send", json!({ "to": to, "text": text })).await;
    }

    /// The next message that arrives: who wrote it, and what.
    pub(crate) async fn receive(&mut self) -> (String, String) {
        let event = self.event("message").await;
        let word = |name: &str| event[name].as_str().unwrap().to_owned();
        (word("from"), word("text"))
    }

    /// Waits until all that was queued has come.
    pub(crate) async fn drained(&mut self) {
        self.event("queue_empty").await;
    }

    /// How many one-time keys it still has on the server: EC, Kyber.
    pub(crate) async fn one_time_keys(&mut self) -> (u64, u64) {
        let counts = self.ask("count_keys", json!({})).await;
        let count = |name: &str| counts[name].as_u64().unwrap();
        (count("one_time_ec"), count("one_time_kyber"))
    }

    /// Has a command done, and gives its answer.
    pub(crate) async fn ask(&mut self, command: &str, mut arguments: Value) -> Value {
        self.last_id += 1;
        arguments["id"] = json!(self.last_id);
        arguments["do"] = json!(command);
        self.stdin.write_all(format!("{arguments}\n").as_bytes()).await.unwrap();
        loop {
            let line = self.line(command).await;
            if line["id"] == json!(self.last_id) {
                assert!(line["error"].is_null(), "{command}: {}", line["error"]);
                return line["ok"].clone();
            }
            self.events.push_back(line);
        }
    }

    /// The next event of a kind.
    pub(crate) async fn event(&mut self, kind: &str) -> Value {
        loop {
            if let Some(place) = self.events.iter().position(|event| event["event"] == kind) {
                return self.events.remove(place).unwrap();
            }
            let line = self.line(kind).await;
            assert_ne!(line["event"], "fault", "{}", line["error"]);
            self.events.push_back(line);
        }
    }

    async fn line(&mut self, wanted: &str) -> Value {
        let line = timeout(PATIENCE, self.stdout.next_line())
            .await
            .unwrap_or_else(|_| panic!("waited for {wanted}; at hand was {:?}", self.events))
            .unwrap()
            .unwrap_or_else(|| panic!("it ended while {wanted} was waited for"));
        serde_json::from_str(&line).unwrap()
    }
}

/// Runs a file of tests that are written in JavaScript.
pub(crate) async fn run_tests(file: &str) {
    let path = std::env::current_dir().unwrap().join("node").join(file);
    let run = Command::new("node").arg("--test").arg(path).output();
    let output = timeout(PATIENCE, run).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
