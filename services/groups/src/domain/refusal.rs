use std::time::Duration;

use sotto_ids::limits::MAX_GROUP_MESSAGE_BYTES;
use sotto_kit::{
    fault::{Code, Fault},
    read_only::ReadOnlyError,
};
use sotto_proto::socket;

/// When a neighbour that was away is worth another try.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(1);

/// Why a message to a group was not taken. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The gateway named no valid device.
    #[error("the sending device is malformed")]
    MalformedSender,

    #[error("the sending device is none of its account")]
    UnknownSender,

    #[error("the client message id is not 16 bytes of a UUIDv7")]
    MalformedMessageId,

    #[error("there is no such group")]
    NoSuchGroup,

    #[error("the device is not in the group")]
    NotAMember,

    #[error("the message is no PrivateMessage with application data of this group and epoch")]
    MalformedGroupMessage,

    #[error("a message to a group has at most {MAX_GROUP_MESSAGE_BYTES} bytes")]
    MessageTooLarge,

    /// Nothing is changed for now.
    #[error(transparent)]
    ReadOnly(#[from] ReadOnlyError),

    /// Keys or the database could not be asked. The same message may pass later.
    #[error("the service could not complete the request")]
    Unavailable,
}

impl Fault for Refusal {
    fn code(&self) -> Code {
        match self {
            Self::NoSuchGroup => Code::NotFound,
            Self::NotAMember | Self::UnknownSender => Code::Forbidden,
            Self::Unavailable | Self::ReadOnly(_) => Code::Unavailable,
            _ => Code::InvalidInput,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::MalformedSender => "malformed_sender",
            Self::UnknownSender => "unknown_sender",
            Self::MalformedMessageId => "malformed_message_id",
            Self::NoSuchGroup => "no_such_group",
            Self::NotAMember => "not_a_member",
            Self::MalformedGroupMessage => "malformed_group_message",
            Self::MessageTooLarge => "message_too_large",
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
            Self::Unavailable => Some(UNAVAILABLE_FOR),
            _ => None,
        }
    }
}

impl From<&Refusal> for socket::Error {
    fn from(refusal: &Refusal) -> Self {
        Self {
            reason: refusal.reason().to_owned(),
            detail: refusal.public_message(),
            retry_after_ms: refusal.retry_after().map_or(0, whole_millis),
            server_time_ms: 0,
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
        for for_now in [Refusal::Unavailable, ReadOnlyError::of_database().into()] {
            assert_ne!(socket::Error::from(&for_now).retry_after_ms, 0);
        }
        for for_good in [Refusal::NotAMember, Refusal::UnknownSender, Refusal::MessageTooLarge] {
            assert_eq!(socket::Error::from(&for_good).retry_after_ms, 0);
        }
    }
}
