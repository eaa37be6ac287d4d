use std::time::Duration;

use serde_json::{Map, json};
use sotto_kit::fault::{Code, Fault, Problem};
use sotto_proto::socket::{DeviceMismatch, Error};

/// Why a request for messages is refused by the gateway itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestError {
    /// This process is about to end; another one answers.
    #[error("this gateway is about to end")]
    Draining,
    /// There are as many sockets and waiting requests as there may be.
    #[error("this gateway has as many sockets as it takes")]
    TooManySockets,
    /// As many devices as may are on their way in.
    #[error("too many devices connect at once")]
    TooManyConnections {
        /// When to come again; another time for each that is turned away.
        retry_after: Duration,
    },
    /// The device has opened a socket, or asked again, and is served there.
    #[error("the device is served by a later socket or request")]
    Displaced,
    /// The device is none of its account any more.
    #[error("the device is no longer one of its account")]
    Revoked,
    /// The queue could not be read, or no messages replica is there.
    #[error("the service could not complete the request")]
    Unavailable,
    /// The recipient is neither an account id nor an account UUID.
    #[error("the recipient is neither an account id nor an account UUID")]
    MalformedRecipient,
    /// The `client_msg_id` is not the text of a UUIDv7.
    #[error("the client message id is not the text of a UUIDv7")]
    MalformedMessageId,
    /// An id is not the text of an envelope's UUIDv7.
    #[error("an envelope id is not the text of a UUIDv7")]
    MalformedEnvelopeId,
    /// An acknowledgement names too many envelopes.
    #[error("an acknowledgement names at most {most} envelopes")]
    TooManyIds {
        /// How many it may name.
        most: usize,
    },
    /// A send or retraction is for more devices than an account can have.
    #[error("a send is for at most {most} devices")]
    TooManyDevices {
        /// How many it may be for.
        most: usize,
    },
    /// `device_ids` is not a list of numbers from 1 to 127, with commas.
    #[error("device_ids is a list of numbers from 1 to 127, with commas")]
    MalformedDeviceId,
}

impl Fault for RestError {
    fn code(&self) -> Code {
        match self {
            Self::Draining
            | Self::TooManySockets
            | Self::TooManyConnections { .. }
            | Self::Unavailable => Code::Unavailable,
            Self::Displaced => Code::Conflict,
            Self::Revoked => Code::Forbidden,
            _ => Code::InvalidInput,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::TooManySockets => "too_many_sockets",
            Self::TooManyConnections { .. } => "too_many_connections",
            Self::Displaced => "displaced",
            Self::Revoked => "device_revoked",
            Self::Unavailable => "unavailable",
            Self::MalformedRecipient => "malformed_recipient",
            Self::MalformedMessageId => "malformed_message_id",
            Self::MalformedEnvelopeId => "malformed_envelope_id",
            Self::TooManyIds { .. } => "too_many_ids",
            Self::TooManyDevices { .. } => "too_many_devices",
            Self::MalformedDeviceId => "malformed_device_id",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyConnections { retry_after } => Some(*retry_after),
            _ => (self.code() == Code::Unavailable).then_some(Duration::from_secs(1)),
        }
    }
}

/// What the messages service says of a send, as a problem document.
pub(super) fn refused(error: Error) -> Problem {
    let retry_after =
        (error.retry_after_ms > 0).then(|| Duration::from_millis(u64::from(error.retry_after_ms)));
    let mut extra = Map::new();
    if error.server_time_ms > 0 {
        extra.insert("server_time_ms".into(), error.server_time_ms.into());
    }
    Problem::relayed(code(&error.reason), error.reason, error.detail, retry_after, extra)
}

/// The codes of the reasons that are no fault of the request's form.
fn code(reason: &str) -> Code {
    match reason {
        "unknown_recipient" => Code::NotFound,
        "not_interoperable" | "unknown_sender" => Code::Forbidden,
        "rate_limited" | "queue_full" => Code::TooManyRequests,
        "unavailable" | "read_only" => Code::Unavailable,
        _ => Code::InvalidInput,
    }
}

/// The devices of a send are not those that the recipient has: 409, naming them.
pub(super) fn mismatch(mismatch: DeviceMismatch) -> Problem {
    let DeviceMismatch { missing, extra, stale } = mismatch;
    let members = [("missing", missing), ("extra", extra), ("stale", stale)]
        .map(|(name, devices)| (name.to_owned(), json!(devices)));
    Problem::relayed(
        Code::Conflict,
        "device_mismatch".to_owned(),
        "the devices of the send are not those that the recipient has".to_owned(),
        None,
        members.into_iter().collect(),
    )
}
