use std::time::Duration;

use sotto_ids::limits::{MAX_CIPHERTEXT_BYTES, MAX_LIVE_DEVICES};
use sotto_kit::{
    fault::{Code, Fault},
    read_only::ReadOnlyError,
};
use sotto_proto::socket;

/// When a neighbour that was away is worth another try.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(1);

/// When a queue that was full is worth another try.
const QUEUE_MAY_HAVE_ROOM: Duration = Duration::from_mins(1);

/// Why a send or a retraction was not taken. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The gateway named no valid device.
    #[error("the sending device is malformed")]
    MalformedSender,

    #[error("the sending device is none of its account")]
    UnknownSender,

    #[error("the client message id is not 16 bytes of a UUIDv7")]
    MalformedMessageId,

    #[error("the time in the client message id is too far from the server's")]
    ClockSkew { server_time_ms: u64 },

    #[error("the recipient is not an account UUID of 16 bytes")]
    MalformedRecipient,

    #[error("there is no such account")]
    UnknownRecipient,

    #[error("the recipient is of no app that this one may write to")]
    NotInteroperable,

    #[error("the send has no message for any device")]
    NoMessages,

    #[error("a send is for at most {MAX_LIVE_DEVICES} devices")]
    TooManyDevices,

    #[error("a device id is a number from 1 to 127")]
    MalformedDeviceId,

    #[error("a device is named twice")]
    DuplicateDevice,

    #[error("the kind of a ciphertext is not known")]
    UnknownCiphertextType,

    #[error("a ciphertext is empty")]
    EmptyCiphertext,

    #[error("a ciphertext has at most {MAX_CIPHERTEXT_BYTES} bytes")]
    CiphertextTooLarge,

    #[error("no envelope waits that long: the longest is {max_seconds} seconds")]
    TtlTooLong { max_seconds: u64 },

    #[error("the class of the message is not known")]
    UnknownClass,

    #[error("what is not stored has no time to live")]
    EphemeralTtl,

    #[error("a ciphertext that is not stored has at most {max_bytes} bytes")]
    EphemeralTooLarge { max_bytes: usize },

    #[error("the retraction names no device")]
    NoDevices,

    /// The queue of every device that it is for is full.
    #[error("the queues of the recipient are full")]
    QueueFull,

    /// Nothing is changed for now.
    #[error(transparent)]
    ReadOnly(#[from] ReadOnlyError),

    /// Keys or the database could not be asked. The same send may pass later.
    #[error("the service could not complete the request")]
    Unavailable,
}

impl Fault for Refusal {
    fn code(&self) -> Code {
        match self {
            Self::UnknownRecipient => Code::NotFound,
            Self::NotInteroperable | Self::UnknownSender => Code::Forbidden,
            Self::QueueFull => Code::TooManyRequests,
            Self::Unavailable | Self::ReadOnly(_) => Code::Unavailable,
            _ => Code::InvalidInput,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::MalformedSender => "malformed_sender",
            Self::UnknownSender => "unknown_sender",
            Self::MalformedMessageId => "malformed_message_id",
            Self::ClockSkew { .. } => "clock_skew",
            Self::MalformedRecipient => "malformed_recipient",
            Self::UnknownRecipient => "unknown_recipient",
            Self::NotInteroperable => "not_interoperable",
            Self::NoMessages => "no_messages",
            Self::TooManyDevices => "too_many_devices",
            Self::MalformedDeviceId => "malformed_device_id",
            Self::DuplicateDevice => "duplicate_device",
            Self::UnknownCiphertextType => "unknown_ciphertext_type",
            Self::EmptyCiphertext => "empty_ciphertext",
            Self::CiphertextTooLarge => "ciphertext_too_large",
            Self::TtlTooLong { .. } => "ttl_too_long",
            Self::UnknownClass => "unknown_class",
            Self::EphemeralTtl => "ephemeral_ttl",
            Self::EphemeralTooLarge { .. } => "ephemeral_too_large",
            Self::NoDevices => "no_devices",
            Self::QueueFull => "queue_full",
            Self::ReadOnly(_) => "read_only",
            Self::Unavailable => "unavailable",
        }
    }

    /// None of them says anything of our insides.
    fn public_message(&self) -> String {
        self.to_string()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ReadOnly(refused) => refused.retry_after(),
            Self::QueueFull => Some(QUEUE_MAY_HAVE_ROOM),
            Self::Unavailable => Some(UNAVAILABLE_FOR),
            _ => None,
        }
    }
}

impl From<Refusal> for socket::Error {
    fn from(refusal: Refusal) -> Self {
        let server_time_ms = match &refusal {
            Refusal::ClockSkew { server_time_ms } => *server_time_ms,
            _ => 0,
        };
        Self {
            reason: refusal.reason().to_owned(),
            detail: refusal.public_message(),
            retry_after_ms: refusal.retry_after().map_or(0, whole_millis),
            server_time_ms,
        }
    }
}

fn whole_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_for_now_says_when_to_come_again() {
        let read_only = Refusal::ReadOnly(ReadOnlyError::of_database());
        for for_now in [Refusal::Unavailable, Refusal::QueueFull, read_only] {
            assert_ne!(socket::Error::from(for_now).retry_after_ms, 0);
        }
        assert_eq!(socket::Error::from(Refusal::NoMessages).retry_after_ms, 0);
        assert_eq!(socket::Error::from(Refusal::UnknownSender).retry_after_ms, 0);
    }

    #[test]
    fn clock_skew_tells_the_servers_time() {
        let error = socket::Error::from(Refusal::ClockSkew { server_time_ms: 17 });
        assert_eq!((error.reason.as_str(), error.server_time_ms), ("clock_skew", 17));
    }
}
