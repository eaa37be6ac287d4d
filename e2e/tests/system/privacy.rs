//! What the server must not have.

mod scene;

use sotto_e2e::{PATIENCE, Person, spans::Collector};
use sotto_testkit::{
    Cluster, cluster,
    search::{self, Needles, Overheard, Searched},
    wait_for,
};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use self::scene::{HANDLES, Scene, talkative};

/// I-5: planted text, names, pictures and keys of groups, private keys, recovery words and
/// tokens are found in no row of
/// Postgres, no value of Redis nor any command that it was given, no log line and no
/// span; each as it is, in hex and in base64.
///
/// The search itself is checked too: it does find an account's id in the database, the
/// mailbox of the link among the commands to Redis, and the names of spans among the spans.
///
/// Caught: a login that logs the token of the app, at the level `debug`.
#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_are_found_nowhere() {
    let collector = Collector::start().await.unwrap();
    let cluster = talkative(&collector.endpoint()).start().await.unwrap();
    let overheard = Overheard::start(cluster.redis_url()).await.unwrap();
    let scene = Scene::play(&cluster).await;

    wait_for(PATIENCE, "spans of every kind of request", || async {
        let names = collector.names();
        let all = ["http.request", "grpc.request", "messages.commit", "groups.commit"]
            .iter()
            .all(|wanted| names.iter().any(|name| name == wanted));
        if all { Ok(()) } else { Err(names) }
    })
    .await;

    let needles = scene.secrets().await;
    let mut finds = search::postgres(cluster.database_url(), &needles).await.unwrap().finds;
    finds.extend(search::redis(cluster.redis_url(), &needles).await.unwrap().finds);
    finds.extend(overheard.search(&needles).finds);
    finds.extend(search::files(cluster.logs(), &needles).unwrap().finds);
    finds.extend(collector.search(&needles).finds);
    assert!(finds.is_empty(), "{finds:#?}");

    let [alice, ..] = &scene.devices;
    let control = Needles::new([("the control", alice.account.as_bytes())]);
    let rows = search::postgres(cluster.database_url(), &control).await.unwrap();
    assert!(!rows.finds.is_empty(), "a search that does not find what is there is blind");
    let slot = Needles::new([("a mailbox", b"\"answer\"")]);
    assert!(!overheard.search(&slot).finds.is_empty(), "nor may that of Redis be blind");
    let name = Needles::new([("a span", b"messages.commit")]);
    assert!(!collector.search(&name).finds.is_empty(), "nor may that of spans be blind");
    cluster.stop().await.unwrap();
}

/// I-5: who has an invite may open an account, so that nobody but its owner has it either.
///
/// Caught: a registration that logs what it brings.
#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_found_nowhere() {
    let collector = Collector::start().await.unwrap();
    let cluster = Cluster::builder()
        .spans_to(&collector.endpoint())
        .setting("telemetry.log_level", "debug")
        .setting("keys.registration.mode", "invite")
        .start()
        .await
        .unwrap();
    let overheard = Overheard::start(cluster.redis_url()).await.unwrap();
    let made = Command::new(cluster::executable().unwrap())
        .args(["invite", "--count", "2", "--config"])
        .arg(cluster.dir().join("sotto.toml"))
        .output()
        .await
        .unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let invites: Vec<_> = made.lines().collect();
    assert_eq!(invites.len(), 2);

    // One of the two is used.
    Person::register_invited(&cluster, "socialink", HANDLES[0], invites[0]).await;
    wait_for(PATIENCE, "the span of the registration", || async {
        let names = collector.names();
        if names.iter().any(|name| name == "keys.register") { Ok(()) } else { Err(names) }
    })
    .await;

    let bare = invites.iter().map(|invite| invite.replace('-', ""));
    let upper = bare.clone().map(|invite| invite.to_uppercase());
    let forms = bare.chain(upper).chain(invites.iter().map(|&invite| invite.to_owned()));
    let needles = Needles::new(forms.map(|invite| ("an invite", invite)));
    let mut finds = search::postgres(cluster.database_url(), &needles).await.unwrap().finds;
    finds.extend(overheard.search(&needles).finds);
    finds.extend(search::files(cluster.logs(), &needles).unwrap().finds);
    finds.extend(collector.search(&needles).finds);
    assert!(finds.is_empty(), "{finds:#?}");
    cluster.stop().await.unwrap();
}

/// I-5: no log line, span or metric names a person, a device, a group or a message, whatever
/// its form.
///
/// Caught: a login that logs the address of the device: its account is found in the log and
/// in the spans.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_named_in_logs_spans_and_metrics() {
    let collector = Collector::start().await.unwrap();
    let cluster = talkative(&collector.endpoint()).start().await.unwrap();
    let scene = Scene::play(&cluster).await;
    let account = scene.devices[0].account;
    for clumsy in [
        format!("POST /v1/accounts/{account}/ops"),
        format!("GET /v1/accounts/{account}/ops?from=minus-one"),
        format!("GET /v1/u/{}%20", HANDLES[0]),
        format!("GET /nowhere/{}", account.uuid()),
    ] {
        refused(&cluster.rest_url(), &clumsy).await;
    }
    let group = scene.group;
    for clumsy in [
        format!("GET /v1/groups/{group}/log?after=minus-one"),
        format!("GET /v1/groups/{group}/nowhere"),
        format!("POST /v1/groups/{group}/commits"),
        format!("PUT /v1/groups/{group}%20/metadata"),
    ] {
        refused(&cluster.groups_url(0), &clumsy).await;
    }
    wait_for(PATIENCE, "spans", || async {
        let names = collector.names();
        if names.iter().any(|name| name == "messages.commit") { Ok(()) } else { Err(names) }
    })
    .await;

    let mut names: Vec<(String, Vec<u8>)> = Vec::new();
    for device in &scene.devices {
        let uuid = device.account.uuid();
        names.push(("an account".into(), device.account.as_bytes().to_vec()));
        names.push(("an account's text".into(), device.account.to_string().into_bytes()));
        names.push(("an account UUID".into(), uuid.as_bytes().to_vec()));
        names.push(("an account UUID's text".into(), uuid.to_string().into_bytes()));
    }
    names.extend(HANDLES.map(|handle| ("a handle".to_owned(), handle.as_bytes().to_vec())));
    names.push(("a group".into(), group.as_bytes().to_vec()));
    names.push(("a group's text".into(), group.to_string().into_bytes()));
    names.push(("a group of MLS".into(), group.mls_id(0).to_vec()));
    for message in &scene.messages {
        names.push(("a message".into(), message.as_bytes().to_vec()));
        names.push(("a message's text".into(), message.to_string().into_bytes()));
    }
    for envelope in envelopes(&cluster).await {
        names.push(("an envelope".into(), envelope.as_bytes().to_vec()));
        names.push(("an envelope's text".into(), envelope.to_string().into_bytes()));
    }
    let needles = Needles::new(names);

    let mut finds = search::files(cluster.logs(), &needles).unwrap().finds;
    finds.extend(collector.search(&needles).finds);
    for process in cluster.roles() {
        let metrics = cluster.metrics(process.role(), process.index()).await.unwrap();
        let mut searched = Searched::default();
        searched.look(&needles, "metrics", metrics.as_bytes());
        finds.extend(searched.finds);
    }
    assert!(finds.is_empty(), "{finds:#?}");
    cluster.stop().await.unwrap();
}

/// Those that wait in a queue.
async fn envelopes(cluster: &Cluster) -> Vec<uuid::Uuid> {
    let mut db = PgConnection::connect(cluster.database_url()).await.unwrap();
    let all: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM messages.queue").fetch_all(&mut db).await.unwrap();
    assert!(!all.is_empty(), "somebody is away");
    all
}

/// Sends a request that cannot be understood, whose path names somebody.
async fn refused(url: &str, request: &str) {
    let address = url.replace("http://", "");
    let mut socket = TcpStream::connect(address.trim_end_matches('/')).await.unwrap();
    let whole = format!(
        "{request} HTTP/1.1\r\nhost: sotto\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 1\r\n\r\n{{"
    );
    socket.write_all(whole.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}
