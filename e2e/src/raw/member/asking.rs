//! What a member asks of the server. What the server is about to answer while its parts die
//! is for the story: here everything has to work.

use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sotto_ids::{Base64Bytes, GroupId};
use sotto_mls::tree::{MAX_TREE_BYTES, decompress};
use sotto_proto::{groups::LogPage, socket::GroupEntry};

use super::{Change, Member};
use crate::raw::{Ask, Heard, Raw};

impl Member {
    /// A request of this device about its groups: `path` stands behind `/v1/groups`.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        Ask::new(method, format!("/v1/groups{path}")).token(Some(&self.token))
    }

    /// The same about the group that it is in.
    pub fn of_group(&self, method: Method, path: &str) -> Ask {
        self.ask(method, &format!("/{}/{path}", self.group().0))
    }

    /// A request with a commit.
    pub fn offer(&self, commit: &Value) -> Ask {
        self.of_group(Method::POST, "commits").json(commit)
    }

    /// Puts KeyPackages on the shelf of the device: so many for one use each, and one of last
    /// resort.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn publish(&self, count: usize, raw: &Raw) {
        let one_time: Vec<_> = (0..count).map(|_| Base64Bytes(self.key_package(false))).collect();
        let last_resort = Base64Bytes(self.key_package(true));
        let body = json!({ "one_time": one_time, "last_resort": last_resort });
        let ask = Ask::new(Method::PUT, "/v1/keys/packages").token(Some(&self.token));
        done(ask.json(&body), raw).await;
    }

    /// The key of the deployment that removes the leaves of revoked devices.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn external_sender(&self, raw: &Raw) -> [u8; 32] {
        let heard = done(self.ask(Method::GET, "/external-sender"), raw).await;
        bytes_of(&heard.body, "signature_key").try_into().expect("32 bytes")
    }

    /// Makes a group with itself alone.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn create(&mut self, raw: &Raw) -> GroupId {
        let group = new_group();
        let sender = self.external_sender(raw).await;
        let body = self.begin(group, 0, &sender);
        done(self.ask(Method::POST, "").json(&body), raw).await;
        self.cursor = 1;
        group
    }

    /// Changes the group by a commit.
    ///
    /// # Panics
    ///
    /// When it is not taken at once.
    pub async fn change(&mut self, change: &Change<'_>, raw: &Raw) {
        let body = self.commit(change);
        let heard = done(self.offer(&body), raw).await;
        self.committed(number_of(&heard.body, "seq"));
    }

    /// Adds others, and has them come in.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn bring_in(&mut self, others: &mut [Self], raw: &Raw) {
        let packages: Vec<_> = others.iter().map(|other| other.key_package(false)).collect();
        self.change(&Change::Add(&packages), raw).await;
        for other in others {
            assert!(other.join(raw).await, "a Welcome waits");
        }
    }

    /// Comes in by the newest Welcome that waits, if one does, and lets go of it.
    ///
    /// # Panics
    ///
    /// When it cannot be used.
    pub async fn join(&mut self, raw: &Raw) -> bool {
        let heard = done(self.ask(Method::GET, "/welcomes"), raw).await;
        let welcomes = heard.body.get("welcomes").and_then(Value::as_array);
        let Some(waiting) = welcomes.and_then(|all| all.last()).cloned() else { return false };
        let group = waiting.get("group").and_then(Value::as_str).expect("a group");
        let (generation, epoch) = (number_of(&waiting, "generation"), number_of(&waiting, "epoch"));
        let at = format!("generation={generation}&epoch={epoch}");
        let tree = self.tree(&format!("/{group}/tree?{at}"), raw).await;
        self.come_in(&bytes_of(&waiting, "welcome"), &tree, number_of(&waiting, "seq"));
        done(self.ask(Method::DELETE, &format!("/{group}/welcome?{at}")), raw).await;
        true
    }

    /// Prepares a commit from outside into a group.
    ///
    /// # Panics
    ///
    /// When the group cannot be read.
    pub async fn prepare_rejoin(&mut self, group: GroupId, raw: &Raw) -> Value {
        let info = done(self.ask(Method::GET, &format!("/{group}/info")), raw).await.body;
        let (generation, epoch) = (number_of(&info, "generation"), number_of(&info, "epoch"));
        let path = format!("/{group}/tree?generation={generation}&epoch={epoch}");
        let tree = self.tree(&path, raw).await;
        self.commit_from_outside(&bytes_of(&info, "group_info"), &tree)
    }

    async fn tree(&self, path: &str, raw: &Raw) -> Vec<u8> {
        let heard = done(self.ask(Method::GET, path), raw).await;
        decompress(&heard.bytes, MAX_TREE_BYTES).expect("a tree")
    }

    /// Reads the log to its end.
    ///
    /// # Panics
    ///
    /// When it does not work.
    pub async fn catch_up(&mut self, raw: &Raw) {
        loop {
            let path = format!("log?after={}&limit=500", self.cursor);
            let heard = done(self.of_group(Method::GET, &path), raw).await;
            let page = LogPage::decode(heard.bytes.as_slice()).expect("a page");
            self.take(&page.entries);
            if !self.is_in() || self.cursor >= page.head_seq {
                return;
            }
        }
    }
}

/// A group that nobody has made before.
pub fn new_group() -> GroupId {
    GroupId::new(StdRng::from_os_rng().random())
}

/// The entries that a refusal carries.
///
/// # Panics
///
/// When it carries none.
pub fn entries_of(heard: &Heard) -> Vec<GroupEntry> {
    let entries = heard.body.get("entries").and_then(Value::as_array).expect("entries");
    let decode = |entry: &Value| {
        let bytes: Base64Bytes = serde_json::from_value(entry.clone()).expect("base64");
        GroupEntry::decode(bytes.0.as_slice()).expect("an entry")
    };
    entries.iter().map(decode).collect()
}

/// Asks until the service says something of the matter, which has to be that it is done: it
/// may have lost its database a moment ago.
async fn done(ask: Ask, raw: &Raw) -> Heard {
    let heard = raw.answer(ask).await;
    assert!((200..300).contains(&heard.status), "{}: {:?}", heard.status, heard.body);
    heard
}

fn number_of(body: &Value, name: &str) -> u64 {
    body.get(name).and_then(Value::as_u64).expect("a number of this name")
}

fn bytes_of(body: &Value, name: &str) -> Vec<u8> {
    let value = body.get(name).cloned().unwrap_or_default();
    serde_json::from_value::<Base64Bytes>(value).expect("base64").0
}
