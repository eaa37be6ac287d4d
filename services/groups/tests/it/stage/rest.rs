use prost::Message as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sotto_ids::Base64Bytes;
use sotto_proto::groups::LogPage;

use super::{Device, Group, Letter, Replica, keys::token};

/// A device at the REST face of a replica.
pub(crate) struct Caller {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Caller {
    pub(crate) fn new(replica: &Replica, device: Device) -> Self {
        Self { base: replica.http.clone(), token: token(&device), http: reqwest::Client::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/v1/groups{path}", self.base)).bearer_auth(&self.token)
    }

    /// A page of the log, or the reason why there is none.
    pub(crate) async fn log(
        &self,
        group: Group,
        after: u64,
        limit: u32,
    ) -> Result<LogPage, (StatusCode, String)> {
        let path = format!("/{}/log?after={after}&limit={limit}", group.0);
        let response = self.request(Method::GET, &path).send().await.unwrap();
        let status = response.status();
        if status != StatusCode::OK {
            let problem: Value = response.json().await.unwrap();
            return Err((status, problem["reason"].as_str().unwrap().to_owned()));
        }
        Ok(LogPage::decode(response.bytes().await.unwrap()).unwrap())
    }

    /// The whole log that the device may read, page by page.
    pub(crate) async fn whole_log(&self, group: Group, limit: u32) -> Vec<u64> {
        let mut seqs: Vec<u64> = Vec::new();
        loop {
            let after = seqs.last().copied().unwrap_or_default();
            let page = self.log(group, after, limit).await.unwrap();
            seqs.extend(page.entries.iter().map(|entry| entry.seq));
            if page.entries.is_empty() || seqs.last() == Some(&page.head_seq) {
                return seqs;
            }
        }
    }

    pub(crate) async fn send(&self, letter: &Letter) -> (StatusCode, Value) {
        let send = letter.send();
        let body = json!({
            "client_msg_id": letter.id.to_string(),
            "generation": send.generation,
            "epoch": send.epoch,
            "message": Base64Bytes(send.message.to_vec()),
        });
        let path = format!("/{}/messages", letter.group.0);
        let response = self.request(Method::POST, &path).json(&body).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub(crate) async fn put_cursors(&self, cursors: &[(Group, u64)]) -> StatusCode {
        let cursor =
            |(group, seq): &(Group, u64)| json!({"group": group.0.to_string(), "seq": seq});
        let cursors: Vec<Value> = cursors.iter().map(cursor).collect();
        let body = json!({ "cursors": cursors });
        self.request(Method::PUT, "/cursors").json(&body).send().await.unwrap().status()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.request(Method::GET, path).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }
}
