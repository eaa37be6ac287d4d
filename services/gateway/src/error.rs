//! What can go wrong outside of a socket.

use std::time::Duration;

use sotto_kit::fault::{Code, Fault};

use crate::{links::MalformedReplicas, transport::http1};

/// Why the gateway cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A text in `links.messages` or `links.groups` is no address.
    #[error(transparent)]
    Replicas(#[from] MalformedReplicas),
}

/// Why a request does not become a socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("the request is no upgrade to a WebSocket: {0}")]
    NotAnUpgrade(#[from] http1::NotAnUpgrade),

    #[error("offer the subprotocol sotto.v1.proto or sotto.v1.json")]
    SubprotocolRequired,

    #[error("this gateway is about to end")]
    Draining { retry_after: Duration },

    #[error("this gateway has as many sockets as it takes")]
    TooManySockets { retry_after: Duration },

    #[error("too many devices connect at the moment")]
    TooManyConnections { retry_after: Duration },
}

impl Fault for UpgradeError {
    fn code(&self) -> Code {
        match self {
            Self::NotAnUpgrade(_) | Self::SubprotocolRequired => Code::InvalidInput,
            Self::Draining { .. }
            | Self::TooManySockets { .. }
            | Self::TooManyConnections { .. } => Code::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotAnUpgrade(_) => "not_an_upgrade",
            Self::SubprotocolRequired => "subprotocol_required",
            Self::Draining { .. } => "draining",
            Self::TooManySockets { .. } => "too_many_sockets",
            Self::TooManyConnections { .. } => "too_many_connections",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Draining { retry_after }
            | Self::TooManySockets { retry_after }
            | Self::TooManyConnections { retry_after } => Some(*retry_after),
            Self::NotAnUpgrade(_) | Self::SubprotocolRequired => None,
        }
    }
}
