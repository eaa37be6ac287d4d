//! `sotto-cli` as a script uses it.

use std::{
    ffi::OsStr,
    process::{Output, Stdio},
};

use serde_json::Value;
use sotto_e2e::PATIENCE;
use sotto_testkit::{Cluster, cluster, wait_for};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// A device on the terminal: a profile, and what every command is told.
pub(super) struct Terminal {
    profile: TempDir,
    rest: String,
    sockets: String,
    domain: &'static str,
    app_token: String,
}

impl Terminal {
    pub(super) fn new(cluster: &Cluster, app: &str, user: &str) -> Self {
        Self {
            profile: TempDir::new().unwrap(),
            rest: cluster.rest_url(),
            sockets: cluster.socket_urls().join(","),
            domain: cluster.domain(),
            app_token: cluster.app_token(app, user),
        }
    }

    /// The same, with the REST API at another address.
    pub(super) fn by(self, rest: &str) -> Self {
        Self { rest: rest.to_owned(), ..self }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let program = cluster::executable().unwrap().with_file_name("sotto-cli");
        let mut command = Command::new(program);
        command
            .arg("--json")
            .args(arguments.iter().map(OsStr::new))
            .env("SOTTO_PROFILE", self.profile.path())
            .env("SOTTO_DOMAIN", self.domain)
            .env("SOTTO_REST", &self.rest)
            .env("SOTTO_SOCKET", &self.sockets)
            .env("SOTTO_APP_TOKEN", &self.app_token)
            .kill_on_drop(true);
        command
    }

    async fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    /// What a command prints, one object a line.
    pub(super) async fn run(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.output(arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts a command that waits for something, and gives the first thing it prints.
    pub(super) async fn begin(&self, arguments: &[&str]) -> (Value, Child) {
        let mut child = self.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
        (serde_json::from_str(&line).unwrap(), child)
    }

    /// The reason and the exit code of a command that fails.
    pub(super) async fn fails(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let output = self.output(arguments).await;
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        (error["error"].as_str().unwrap().to_owned(), output.status.code())
    }
}

fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["text"].as_str()).collect()
}

/// C87: every command once, by two people and a second device, on the terminal alone.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_and_a_second_device_get_by_with_commands_alone() {
    let cluster = Cluster::builder().gateways(2).start().await.unwrap();
    let alice = Terminal::new(&cluster, "socialink", "alice");
    let bob = Terminal::new(&cluster, "vignette", "bob");
    let laptop = Terminal::new(&cluster, "vignette", "bob");

    let words = alice.run(&["register", "--handle", "alice"]).await;
    assert_eq!(words[0]["words"].as_str().unwrap().split(' ').count(), 24);
    let registered = bob.run(&["register", "--handle", "bob"]).await;
    assert_eq!(registered[1]["phase"], "ready");
    assert_eq!(alice.run(&["add", "bob"]).await[0]["account"], registered[1]["account"]);

    alice.run(&["send", "bob", "one"]).await;
    alice.run(&["send", "bob", "two"]).await;
    assert_eq!(texts(&bob.run(&["listen", "--drain"]).await), ["one", "two"]);
    bob.run(&["send", "alice", "three"]).await;
    assert_eq!(texts(&alice.run(&["listen", "--count", "1"]).await), ["three"]);

    let (hers, his) = (alice.run(&["verify", "bob"]).await, bob.run(&["verify", "alice"]).await);
    assert_eq!(hers[0]["digits"], his[0]["digits"]);
    let request = laptop.run(&["device", "request", "bob"]).await;
    assert_eq!(laptop.fails(&["device", "finish"]).await, ("request_pending".into(), Some(3)));
    let blob = request[0]["request"].as_str().unwrap();
    assert_eq!(bob.run(&["device", "approve", blob]).await[0]["device"], 2);
    assert_eq!(laptop.run(&["device", "finish"]).await[0]["phase"], "ready");
    alice.run(&["send", "bob", "to both"]).await;
    assert_eq!(texts(&laptop.run(&["listen", "--drain"]).await), ["to both"]);
    assert_eq!(texts(&bob.run(&["listen", "--drain"]).await), ["to both"]);

    // What comes in under another command is printed by the next listen.
    alice.run(&["send", "bob", "meanwhile"]).await;
    wait_for(PATIENCE, "the message to come in while bob sends", || async {
        bob.run(&["send", "alice", "busy"]).await;
        let said = bob.run(&["history", "alice"]).await;
        if texts(&said).contains(&"meanwhile") { Ok(()) } else { Err(said.len()) }
    })
    .await;
    assert_eq!(texts(&bob.run(&["listen", "--drain"]).await), ["meanwhile"]);

    let said = bob.run(&["history", "alice"]).await;
    let texts: Vec<_> = texts(&said).into_iter().filter(|text| *text != "busy").collect();
    assert_eq!(texts, ["one", "two", "three", "to both", "meanwhile"]);
    assert_eq!(bob.run(&["conversations"]).await[0]["unread"], 4);
    let chain = alice.run(&["chain", "show", "bob"]).await;
    assert_eq!(chain[0]["devices"].as_array().unwrap().len(), 2);
    cluster.stop().await.unwrap();
}

/// A mistake gets a named error and an exit code, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_on_the_terminal_get_a_name_and_an_exit_code() {
    let cluster = Cluster::builder().start().await.unwrap();
    let alice = Terminal::new(&cluster, "socialink", "alice");

    assert_eq!(alice.fails(&["send", "bob", "hi"]).await, ("unknown_account".into(), Some(4)));
    alice.run(&["register", "--handle", "alice"]).await;
    assert_eq!(alice.fails(&["add", "nobody.at.all"]).await, ("unknown_account".into(), Some(4)));
    assert_eq!(alice.fails(&["register"]).await.1, Some(3));
    let long = "x".repeat(10_001);
    assert_eq!(alice.fails(&["send", "alice", &long]).await.1, Some(2));
    cluster.stop().await.unwrap();
}
