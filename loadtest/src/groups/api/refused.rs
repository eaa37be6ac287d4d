use std::time::Duration;

use reqwest::StatusCode;
use sotto_proto::socket::GroupEntry;

/// A request has not done what it was for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server said no.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// Nobody answered.
    #[error("the server did not answer")]
    Away(#[source] reqwest::Error),
    /// What came, or was to go, has not the form that it should have.
    #[error("{0} cannot be read")]
    Unreadable(&'static str),
}

impl ApiError {
    /// What the caller lacks, where the refusal is that the group has moved on.
    pub fn into_moved(self) -> Result<Moved, Self> {
        match self {
            Self::Refused(mut refused) => {
                refused.moved.take().ok_or_else(|| Self::Refused(refused))
            }
            other => Err(other),
        }
    }

    /// The server's stable word, where it said one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused(refused) => Some(&refused.reason),
            _ => None,
        }
    }
}

/// A refusal.
#[derive(Debug, thiserror::Error)]
#[error("{status}, {reason} {detail}")]
pub struct Refused {
    /// The status of the answer.
    pub status: StatusCode,
    /// The server's stable word for it.
    pub reason: String,
    /// The same for people.
    pub detail: String,
    /// When the same may pass, where the server said so.
    pub retry_after: Option<Duration>,
    /// What the caller lacks, where the group has moved on.
    pub moved: Option<Moved>,
}

impl Refused {
    pub(super) fn is_put_off(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// What a group has become since a request was made for it.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The server's word: `epoch_taken`, `stale_epoch`, ...
    pub reason: String,
    /// The epoch that the group is in.
    pub epoch: u64,
    /// What changed it, the oldest first; messages are not among them.
    pub entries: Vec<GroupEntry>,
    /// They are not all of it.
    pub more: bool,
}
