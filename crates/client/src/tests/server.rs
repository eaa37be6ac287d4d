//! A server of a few lines, on a port of its own: what it says, and what it hides, is
//! decided by the test.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use serde_json::{Value, json};
use sotto_identity::{Sig, SignedOp, pow, prekeys::Prekeys, replay};
use sotto_ids::AccountId;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{Client, ClientConfig, FixedToken, StoreKey};

/// The server: shared by its connections and the test.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

/// Changes an answer on its way.
pub(super) type Lie = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// What it knows, and how it is told to behave.
#[derive(Default)]
pub(super) struct State {
    pub(super) chains: HashMap<AccountId, Vec<SignedOp>>,
    pub(super) slots: HashMap<String, Vec<u8>>,
    pub(super) expired: HashSet<String>,
    /// Prekeys by kind and id: `signed`, `last_resort`, `one_time_ec`, `one_time_kyber`.
    pub(super) prekeys: BTreeMap<(&'static str, u32), Vec<u8>>,
    /// KeyPackages, and that of last resort.
    pub(super) key_packages: Vec<Vec<u8>>,
    pub(super) last_resort_key_package: Option<Vec<u8>>,
    pub(super) work_bits: Option<u8>,
    pub(super) invite: Option<&'static str>,
    /// Answers that come before any other, by method and start of the path.
    pub(super) refusals: Vec<(String, u16, Value)>,
    /// What waits for whoever asks, and what was acknowledged and sent.
    pub(super) waiting: Vec<Value>,
    pub(super) acknowledged: Vec<String>,
    pub(super) sent: Vec<Value>,
    /// What becomes of identity documents on their way.
    pub(super) lie: Option<Lie>,
    /// Requests that came, by method and path.
    pub(super) log: Vec<String>,
}

struct Request {
    method: String,
    path: Vec<String>,
    query: HashMap<String, String>,
    body: Vec<u8>,
}

enum Answer {
    Json(u16, Value),
    Bytes(Vec<u8>),
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = Self { url, state: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A client of a new device, with a store of its own.
    pub(super) async fn client(&self) -> (Client, TempDir) {
        let dir = TempDir::new().unwrap();
        (self.client_at(&dir, |_| {}).await, dir)
    }

    pub(super) async fn client_at(
        &self,
        dir: &TempDir,
        change: impl FnOnce(&mut ClientConfig),
    ) -> Client {
        let socket = "ws://127.0.0.1:9/v1/socket".parse().unwrap();
        let mut config = ClientConfig::new(
            "lumen.chat",
            self.url.parse().unwrap(),
            vec![socket],
            dir.path().join("store.db"),
            StoreKey::new([7; 32]),
        );
        let tuning = &mut config.tuning;
        tuning.retry_min = std::time::Duration::from_millis(1);
        tuning.retry_max = std::time::Duration::from_millis(20);
        tuning.approval_poll = std::time::Duration::from_millis(5);
        tuning.link_time = std::time::Duration::from_secs(10);
        tuning.prekey_target = 4;
        tuning.prekey_low = 2;
        change(&mut config);
        Client::open(config, Arc::new(FixedToken("app".to_owned()))).await.unwrap()
    }

    /// Refuses the next request of this method and path.
    pub(super) fn refuse(&self, what: &str, status: u16, problem: Value) {
        self.state().refusals.push((what.to_owned(), status, problem));
    }

    pub(super) fn ops(&self, account: AccountId) -> Vec<SignedOp> {
        self.state().chains[&account].clone()
    }

    /// What an honest server says of who goes by this handle.
    pub(super) fn document(&self, handle: &str) -> Option<Value> {
        let chains = self.state().chains.clone();
        let mut states = chains.values().map(|ops| replay(ops).unwrap());
        let state = states.find(|state| {
            state.handle.as_ref().is_some_and(|claimed| claimed.as_str() == handle)
        })?;
        let id = state.account_id.to_string();
        let devices = state.live_devices().map(|device| {
            json!({
                "id": device.id,
                "identity_key": STANDARD.encode(device.identity_key.as_bytes()),
                "mls_key": STANDARD.encode(device.mls_key),
                "suites": ["PQXDH-1"],
            })
        });
        let endpoints = state.endpoints.iter();
        let endpoints =
            endpoints.map(|place| json!({ "type": place.kind.as_str(), "url": place.url }));
        Some(json!({
            "v": 1,
            "handle": format!("{handle}@{}", state.home),
            "account": id,
            "uuid": state.account_id.uuid().to_string(),
            "home": state.home,
            "head": { "seq": state.seq, "hash": STANDARD.encode(state.head.as_bytes()) },
            "chain": format!("https://{}/v1/accounts/{id}/ops", state.home),
            "account_key": STANDARD.encode(state.account_key),
            "devices": devices.collect::<Value>(),
            "endpoints": endpoints.collect::<Value>(),
        }))
    }

    fn say_who(&self, name: &str) -> Answer {
        let handle = name.strip_suffix("@lumen.chat").unwrap_or(name);
        let Some(document) = self.document(handle) else { return problem(404, "unknown_handle") };
        let mut bytes = document.to_string().into_bytes();
        if let Some(lie) = &mut self.state().lie {
            lie(&mut bytes);
        }
        Answer::Bytes(bytes)
    }

    async fn serve(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream).await {
            let answer = self.answer(&request).await;
            let (status, kind, body) = match answer {
                Answer::Json(status, value) => {
                    (status, "application/json", value.to_string().into())
                }
                Answer::Bytes(bytes) => (200, "application/octet-stream", bytes),
            };
            let head = format!(
                "HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let done = stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).await;
            if done.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, request: &Request) -> Answer {
        let line = format!("{} /{}", request.method, request.path.join("/"));
        let refused = {
            let mut state = self.state();
            state.log.push(line.clone());
            let at = state.refusals.iter().position(|(what, ..)| line.starts_with(what.as_str()));
            at.map(|at| state.refusals.remove(at))
        };
        if let Some((_, status, problem)) = refused {
            return Answer::Json(status, problem);
        }
        let path: Vec<_> = request.path.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["v1", "link", id, slot]) => self.read_slot(id, slot).await,
            ("GET", ["v1", "messages"]) => self.poll(request).await,
            ("GET", [".well-known", "chat-identity"]) => self.say_who(&request.query["handle"]),
            (_, ["v1", rest @ ..]) => {
                let mut state = self.state();
                state.answer(request, rest)
            }
            _ => not_found(),
        }
    }

    /// Waits for the message as long as anybody would.
    async fn read_slot(&self, id: &str, slot: &str) -> Answer {
        loop {
            {
                let state = self.state();
                if state.expired.contains(id) {
                    return not_found();
                }
                if let Some(message) = state.slots.get(&format!("{id}/{slot}")) {
                    return Answer::Bytes(message.clone());
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn poll(&self, request: &Request) -> Answer {
        let wait_ms: u64 = request.query["wait_ms"].parse().unwrap();
        for _ in 0..=wait_ms.min(200) {
            let waiting = self.state().waiting.clone();
            if !waiting.is_empty() {
                return Answer::Json(200, json!({ "envelopes": waiting, "last": true }));
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        Answer::Json(200, json!({ "envelopes": [], "last": true }))
    }
}

impl State {
    fn answer(&mut self, request: &Request, path: &[&str]) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        match (request.method.as_str(), path) {
            ("POST", ["accounts", "challenge"]) => Answer::Json(200, self.challenge()),
            ("POST", ["accounts"]) => self.register(&body),
            ("GET", ["accounts", name, "ops"]) => self.chain(name, &request.query["from"]),
            ("POST", ["accounts", name, "ops"]) => self.append(name, &body),
            ("POST", ["auth", "challenge"]) => {
                let challenge = STANDARD.encode([1; 32]);
                Answer::Json(200, json!({ "challenge": challenge, "expires_in_ms": 60_000 }))
            }
            ("POST", ["auth", "token"]) => {
                let account: AccountId = body["account_id"].as_str().unwrap().parse().unwrap();
                let uuid = account.uuid().to_string();
                let token =
                    json!({ "token": "t", "expires_at_ms": u64::MAX, "account_uuid": uuid });
                Answer::Json(200, token)
            }
            ("PUT", ["keys", kind]) => self.put_keys(kind, &body),
            ("GET", ["keys", "count"]) => Answer::Json(200, self.count()),
            ("GET", ["keys", "digest"]) => Answer::Json(200, self.digest()),
            ("POST", ["link"]) => {
                let id = format!("link-{}", self.log.len());
                Answer::Json(201, json!({ "link_id": id, "expires_at_ms": 0 }))
            }
            ("PUT", ["link", id, slot]) => self.put_slot(id, slot, &request.body),
            ("PUT", ["messages", _]) => {
                self.sent.push(body);
                Answer::Json(200, json!({ "server_time_ms": super::START_MS }))
            }
            ("POST", ["messages", "ack"]) => {
                for id in body["envelope_ids"].as_array().unwrap() {
                    let id = id.as_str().unwrap().to_owned();
                    self.waiting.retain(|envelope| envelope["id"] != id.as_str());
                    self.acknowledged.push(id);
                }
                Answer::Json(200, Value::Null)
            }
            _ => not_found(),
        }
    }

    fn challenge(&self) -> Value {
        match (self.invite, self.work_bits) {
            (Some(_), _) => json!({ "required": "invite" }),
            (_, Some(bits)) => {
                let challenge = STANDARD.encode([3; 32]);
                json!({ "required": "proof_of_work", "challenge": challenge, "bits": bits })
            }
            _ => json!({ "required": "none" }),
        }
    }

    fn register(&mut self, body: &Value) -> Answer {
        if let Some(bits) = self.work_bits {
            let nonce = bytes(&body["proof_of_work"]["nonce"]).try_into();
            if !nonce.is_ok_and(|nonce| pow::is_proof(&[3; 32], &nonce, bits)) {
                return problem(403, "proof_of_work_invalid");
            }
        }
        if self.invite.is_some_and(|invite| body["invite"] != invite) {
            return problem(403, "invite_required");
        }
        let mut ops = vec![op(&body["genesis"])];
        ops.extend(body["ops"].as_array().into_iter().flatten().map(op));
        let account = replay(&ops).unwrap().account_id;
        self.chains.entry(account).or_insert(ops);
        Answer::Json(201, Value::Null)
    }

    fn account(&self, name: &str) -> Option<AccountId> {
        let is =
            |account: &AccountId| account.to_string() == name || account.uuid().to_string() == name;
        self.chains.keys().copied().find(is)
    }

    fn chain(&self, name: &str, from: &str) -> Answer {
        let Some(account) = self.account(name) else { return not_found() };
        let ops = self.chains[&account].iter().skip(from.parse().unwrap());
        Answer::Bytes(ops.flat_map(SignedOp::encode_length_delimited_to_vec).collect())
    }

    fn append(&mut self, name: &str, body: &Value) -> Answer {
        let Some(account) = self.account(name) else { return not_found() };
        let new: Vec<_> = body["ops"].as_array().unwrap().iter().map(op).collect();
        let held = self.chains.get_mut(&account).unwrap();
        let state = replay(&*held).unwrap();
        match state.apply_all(&new) {
            Ok(_) => {
                held.extend(new);
                Answer::Json(200, Value::Null)
            }
            Err(error) if matches!(error.reason(), "wrong_seq" | "wrong_prev") => {
                problem(409, "head_moved")
            }
            Err(error) => problem(422, error.reason()),
        }
    }

    fn put_keys(&mut self, kind: &str, body: &Value) -> Answer {
        let mut put = |kind, key: &Value| {
            let id = u32::try_from(key["key_id"].as_u64().unwrap()).unwrap();
            self.prekeys.insert((kind, id), bytes(&key["public_key"]));
        };
        let each = |keys: &Value| keys.as_array().cloned().unwrap_or_default();
        match kind {
            "signed" => put("signed", body),
            "one-time" => each(&body["keys"]).iter().for_each(|key| put("one_time_ec", key)),
            "packages" => {
                self.key_packages.extend(each(&body["one_time"]).iter().map(bytes));
                if !body["last_resort"].is_null() {
                    self.last_resort_key_package = Some(bytes(&body["last_resort"]));
                }
            }
            _ => {
                for key in each(&body["one_time"]) {
                    put("one_time_kyber", &key);
                }
                if !body["last_resort"].is_null() {
                    put("last_resort", &body["last_resort"]);
                }
            }
        }
        Answer::Json(200, Value::Null)
    }

    fn of_kind(&self, kind: &str) -> Vec<(u32, &[u8])> {
        let keys = self.prekeys.iter().filter(|((of, _), _)| *of == kind);
        keys.map(|((_, id), key)| (*id, key.as_slice())).collect()
    }

    fn count(&self) -> Value {
        json!({
            "one_time_ec": self.of_kind("one_time_ec").len(),
            "one_time_kyber": self.of_kind("one_time_kyber").len(),
            "signed_ec": self.of_kind("signed").last().map(|key| key.0),
            "last_resort_kyber": self.of_kind("last_resort").last().map(|key| key.0),
            "key_packages": self.key_packages.len(),
            "last_resort_key_package": self.last_resort_key_package.is_some(),
        })
    }

    fn digest(&self) -> Value {
        let keys = Prekeys {
            signed_ec: self.of_kind("signed").pop(),
            last_resort_kyber: self.of_kind("last_resort").pop(),
            one_time_ec: self.of_kind("one_time_ec"),
            one_time_kyber: self.of_kind("one_time_kyber"),
        };
        let ids = |keys: &[(u32, &[u8])]| keys.iter().map(|key| key.0).collect::<Vec<_>>();
        json!({
            "digest": STANDARD.encode(keys.digest()),
            "signed_ec": keys.signed_ec.map(|key| key.0),
            "last_resort_kyber": keys.last_resort_kyber.map(|key| key.0),
            "one_time_ec": ids(&keys.one_time_ec),
            "one_time_kyber": ids(&keys.one_time_kyber),
        })
    }

    fn put_slot(&mut self, id: &str, slot: &str, message: &[u8]) -> Answer {
        let name = format!("{id}/{slot}");
        if self.expired.contains(id) {
            return not_found();
        }
        if self.slots.contains_key(&name) {
            return problem(409, "link_slot_taken");
        }
        self.slots.insert(name, message.to_vec());
        Answer::Json(200, Value::Null)
    }
}

fn not_found() -> Answer {
    problem(404, "not_found")
}

fn problem(status: u16, reason: &str) -> Answer {
    Answer::Json(status, json!({ "reason": reason }))
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

fn op(value: &Value) -> SignedOp {
    let sig = |sig: &Value| Sig { key: bytes(&sig["key"]), sig: bytes(&sig["sig"]) };
    let sigs = value["sigs"].as_array().unwrap().iter().map(sig).collect();
    SignedOp { payload: bytes(&value["payload"]), sigs }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    let mut head = Vec::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            text => head.push(text.to_owned()),
        }
    }
    let mut first = head.first()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let length = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await.ok()?;
    let url = url::Url::parse("http://x").unwrap().join(&target).unwrap();
    Some(Request {
        method,
        path: url.path_segments()?.map(|part| part.replace("%3A", ":")).collect(),
        query: url.query_pairs().into_owned().collect(),
        body,
    })
}
