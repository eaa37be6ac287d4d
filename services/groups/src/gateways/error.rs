use sotto_kit::fault::{Code, Fault, status};
use tonic::Status;

/// Why a stream with a gateway does not begin, or ends. What becomes of one send on it is an
/// outcome instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the first batch of a gateway attaches it")]
    AttachFirst,

    #[error("a gateway's name is 1 to 64 characters without a slash")]
    MalformedGateway,

    #[error("the gateway has more submits without an outcome than its credit")]
    CreditExceeded,

    /// Only one of the two can be told what happens; the later one knows which sockets
    /// there are.
    #[error("the gateway has attached anew")]
    Replaced,

    #[error("the replica is about to end")]
    Draining,
}

impl Fault for StreamError {
    fn code(&self) -> Code {
        match self {
            Self::AttachFirst | Self::MalformedGateway | Self::CreditExceeded => Code::InvalidInput,
            Self::Replaced => Code::Conflict,
            Self::Draining => Code::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::AttachFirst => "attach_first",
            Self::MalformedGateway => "malformed_gateway",
            Self::CreditExceeded => "credit_exceeded",
            Self::Replaced => "replaced",
            Self::Draining => "draining",
        }
    }
}

impl From<StreamError> for Status {
    fn from(error: StreamError) -> Self {
        status(&error)
    }
}
