use reqwest::StatusCode;
use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, String::from_utf8_lossy(&self.bytes)))
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    #[track_caller]
    pub(crate) fn created(self) -> Value {
        assert_eq!(self.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// A refusal with this status and reason. Returns the problem document.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, reason: &str) -> Value {
        let problem = self.json();
        assert_eq!((self.status.as_u16(), problem["reason"].as_str()), (status, Some(reason)));
        problem
    }
}
