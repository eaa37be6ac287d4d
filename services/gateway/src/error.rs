//! What can go wrong outside of a socket.

use sotto_kit::fault::{Code, Fault};

use crate::{links::MalformedReplicas, transport::http1::HandshakeError};

/// Why the gateway cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A text in `links.messages` is no address.
    #[error(transparent)]
    Messages(#[from] MalformedReplicas),
}

/// Why a request does not become a socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("the request is no upgrade to a WebSocket: {0}")]
    NotAnUpgrade(#[from] HandshakeError),

    #[error("offer the subprotocol sotto.v1.proto or sotto.v1.json")]
    SubprotocolRequired,

    #[error("this gateway is about to end")]
    Draining,

    #[error("this gateway has as many sockets as it takes")]
    TooManySockets,
}

impl Fault for UpgradeError {
    fn code(&self) -> Code {
        match self {
            Self::NotAnUpgrade(_) | Self::SubprotocolRequired => Code::InvalidInput,
            Self::Draining | Self::TooManySockets => Code::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotAnUpgrade(_) => "not_an_upgrade",
            Self::SubprotocolRequired => "subprotocol_required",
            Self::Draining => "draining",
            Self::TooManySockets => "too_many_sockets",
        }
    }
}
