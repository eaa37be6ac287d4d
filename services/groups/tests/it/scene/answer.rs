use prost::Message as _;
use reqwest::StatusCode;
use serde_json::Value;
use sotto_ids::Base64Bytes;
use sotto_proto::socket::GroupEntry;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        Self { status: response.status(), bytes: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, String::from_utf8_lossy(&self.bytes)))
    }

    /// What a success says.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}", String::from_utf8_lossy(&self.bytes));
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The same where it is no text.
    #[track_caller]
    pub(crate) fn octets(self) -> Vec<u8> {
        assert!(self.status.is_success(), "{}", String::from_utf8_lossy(&self.bytes));
        self.bytes
    }

    /// A refusal with this status and reason. Returns the problem document.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, reason: &str) -> Value {
        let problem = self.json();
        let said = (self.status.as_u16(), problem["reason"].as_str());
        assert_eq!(said, (status, Some(reason)), "{problem}");
        problem
    }

    /// The entries that a refusal carries.
    pub(crate) fn entries(&self) -> Vec<GroupEntry> {
        let entries = self.json()["entries"].clone();
        let entries: Vec<Base64Bytes> = serde_json::from_value(entries).unwrap();
        entries.iter().map(|entry| GroupEntry::decode(entry.0.as_slice()).unwrap()).collect()
    }
}

/// Bytes of a field of an answer.
#[track_caller]
pub(crate) fn bytes_of(value: &Value) -> Vec<u8> {
    serde_json::from_value::<Base64Bytes>(value.clone()).unwrap().0
}
