//! What the server must not have.

use rusqlite::Connection;
use sotto_e2e::{PATIENCE, Person, person::STORE_KEY, spans::Collector};
use sotto_testkit::{
    Cluster,
    search::{self, Needles, Overheard, Searched},
    wait_for,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const PLANTED: [&str; 3] = [
    "planted-first-message-marzipan-5d1c",
    "planted-live-answer-bergamotte-77af",
    "planted-while-offline-kardamom-0e9b",
];

/// I-5: planted text, private keys, recovery words and tokens are found in no row of
/// Postgres, no value of Redis nor any command that it was given, no log line and no
/// span; each as it is, in hex and in base64.
///
/// The search itself is checked too: it does find an account's id in the database, and
/// the names of spans among the spans.
#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_are_found_nowhere() {
    let collector = Collector::start().await.unwrap();
    let cluster = Cluster::builder()
        .gateways(2)
        .messages(2)
        .spans_to(&collector.endpoint())
        .setting("telemetry.log_level", "debug")
        .start()
        .await
        .unwrap();
    let overheard = Overheard::start(cluster.redis_url()).await.unwrap();
    let (alice, bob, carol) = a_conversation(&cluster).await;

    wait_for(PATIENCE, "spans of every kind of request", || async {
        let names = collector.names();
        let all = ["http.request", "grpc.request", "messages.commit"]
            .iter()
            .all(|wanted| names.iter().any(|name| name == wanted));
        if all { Ok(()) } else { Err(names) }
    })
    .await;

    let needles = secrets_of(&[&alice, &bob, &carol]).await;
    let mut finds = search::postgres(cluster.database_url(), &needles).await.unwrap().finds;
    finds.extend(search::redis(cluster.redis_url(), &needles).await.unwrap().finds);
    finds.extend(overheard.search(&needles).finds);
    finds.extend(search::files(cluster.logs(), &needles).unwrap().finds);
    finds.extend(collector.search(&needles).finds);
    assert!(finds.is_empty(), "{finds:#?}");

    let control = Needles::new([("the control", alice.account.as_bytes())]);
    let rows = search::postgres(cluster.database_url(), &control).await.unwrap();
    assert!(!rows.finds.is_empty(), "a search that does not find what is there is blind");
    let name = Needles::new([("a span", b"messages.commit")]);
    assert!(!collector.search(&name).finds.is_empty(), "nor may that of spans be blind");
    cluster.stop().await.unwrap();
}

/// No log line, span or metric names a person, a device or a message, whatever its form.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_named_in_logs_spans_and_metrics() {
    let collector = Collector::start().await.unwrap();
    let cluster = Cluster::builder()
        .spans_to(&collector.endpoint())
        .setting("telemetry.log_level", "debug")
        .start()
        .await
        .unwrap();
    let (alice, bob, carol) = a_conversation(&cluster).await;
    let account = alice.account;
    for clumsy in [
        format!("POST /v1/accounts/{account}/ops"),
        format!("GET /v1/accounts/{account}/ops?from=minus-one"),
        format!("GET /v1/u/{}%20", HANDLES[0]),
        format!("GET /nowhere/{}", account.uuid()),
    ] {
        refused(&cluster, &clumsy).await;
    }
    wait_for(PATIENCE, "spans", || async {
        let names = collector.names();
        if names.iter().any(|name| name == "messages.commit") { Ok(()) } else { Err(names) }
    })
    .await;

    let mut names: Vec<(String, Vec<u8>)> = Vec::new();
    for person in [&alice, &bob, &carol] {
        let uuid = person.account.uuid();
        names.push(("an account".into(), person.account.as_bytes().to_vec()));
        names.push(("an account's text".into(), person.account.to_string().into_bytes()));
        names.push(("an account UUID".into(), uuid.as_bytes().to_vec()));
        names.push(("an account UUID's text".into(), uuid.to_string().into_bytes()));
    }
    names.extend(HANDLES.map(|handle| ("a handle".to_owned(), handle.as_bytes().to_vec())));
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

const HANDLES: [&str; 3] = ["quilliam", "borogove", "jabberwock"];

/// A first contact, live messages both ways, and one that is still waiting.
async fn a_conversation(cluster: &Cluster) -> (Person, Person, Person) {
    let alice = Person::register(cluster, "socialink", HANDLES[0], 0).await;
    let bob = Person::register(cluster, "vignette", HANDLES[1], 1 % cluster.socket_urls().len());
    let bob = bob.await;
    let carol = Person::register(cluster, "vignette", HANDLES[2], 0).await;
    let (bob_id, carol_id) = (alice.meet(HANDLES[1]).await, alice.meet(HANDLES[2]).await);
    let [first, answer, waiting] = PLANTED;
    alice.go_online().await;
    alice.send(bob_id, first).await;
    bob.go_online().await;
    bob.receives(1).await;
    bob.send(alice.account, answer).await;
    alice.receives(1).await;
    alice.send(carol_id, waiting).await;
    (alice, bob, carol)
}

/// Sends a request that cannot be understood, whose path names somebody.
async fn refused(cluster: &Cluster, request: &str) {
    let address = cluster.rest_url().replace("http://", "");
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

/// The words that were planted, and every secret of these people's devices.
async fn secrets_of(people: &[&Person]) -> Needles {
    let mut secrets: Vec<(String, Vec<u8>)> =
        PLANTED.iter().map(|text| ("a text".to_owned(), text.as_bytes().to_vec())).collect();
    secrets.push(("the key of a store".into(), STORE_KEY.to_vec()));
    for person in people {
        secrets.push(("recovery words".into(), person.words.clone().into_bytes()));
        secrets.push(("an app's token".into(), person.app_token.clone().into_bytes()));
        // The client has its store to itself.
        person.client.clone().close().await;
        secrets.extend(private_keys_of(person));
    }
    Needles::new(secrets)
}

/// The private keys in a device's store, read behind the back of the client.
fn private_keys_of(person: &Person) -> Vec<(String, Vec<u8>)> {
    let store = Connection::open(person.store_file()).unwrap();
    let key = STORE_KEY.map(|byte| format!("{byte:02x}")).concat();
    store.pragma_update(None, "key", format!("x'{key}'")).unwrap();
    let columns = ["account_secret", "device_secret", "identity_secret", "mls_secret"];
    columns
        .into_iter()
        .map(|column| {
            let select = format!("SELECT {column} FROM self");
            let secret: Vec<u8> = store.query_row(&select, [], |row| row.get(0)).unwrap();
            assert!(secret.len() >= 32, "{column} is a key");
            (column.to_owned(), secret)
        })
        .collect()
}
