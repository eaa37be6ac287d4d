//! Close codes: why the gateway ends a socket, and what the device does about it.
//!
//! 4000 to 4499 mean: come back. 4500 to 4999 mean: do not, something else has to
//! happen first. `docs/reference/close-codes.md` is this table, held equal by a test.

use std::fmt::Write as _;

/// Why the gateway closes a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// The process ends.
    ServiceRestart,
    /// The time of the token is over.
    TokenExpired,
    /// Two pings went without an answer.
    HeartbeatLost,
    /// The peer did not take what was written.
    TooSlow,
    /// No token was shown in time.
    AuthenticationTimeout,
    /// The gateway lacks something it needs for this socket.
    Unavailable,
    /// The device leaves an envelope unacknowledged however often it is delivered.
    Unacknowledged,
    /// The device sends more frames than a socket may.
    TooManyFrames,
    /// The device has opened another socket.
    Displaced,
    /// The token, or the lack of one, is not acceptable.
    AuthenticationFailed,
    /// The device is no longer one of its account.
    DeviceRevoked,
    /// A frame is none of the protocol.
    MalformedFrame,
    /// A frame is too large.
    FrameTooLarge,
    /// Text on the binary subprotocol, or binary on the text one.
    WrongFrameKind,
}

impl CloseCode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::ServiceRestart,
        Self::TokenExpired,
        Self::HeartbeatLost,
        Self::TooSlow,
        Self::AuthenticationTimeout,
        Self::Unavailable,
        Self::Unacknowledged,
        Self::TooManyFrames,
        Self::Displaced,
        Self::AuthenticationFailed,
        Self::DeviceRevoked,
        Self::MalformedFrame,
        Self::FrameTooLarge,
        Self::WrongFrameKind,
    ];

    /// The number in the Close frame (RFC 6455 section 7.4).
    pub const fn number(self) -> u16 {
        match self {
            Self::ServiceRestart => 1012,
            Self::TokenExpired => 4001,
            Self::HeartbeatLost => 4002,
            Self::TooSlow => 4003,
            Self::AuthenticationTimeout => 4004,
            Self::Unavailable => 4005,
            Self::Unacknowledged => 4006,
            Self::TooManyFrames => 4007,
            Self::Displaced => 4500,
            Self::AuthenticationFailed => 4501,
            Self::DeviceRevoked => 4502,
            Self::MalformedFrame => 4503,
            Self::FrameTooLarge => 4504,
            Self::WrongFrameKind => 4505,
        }
    }

    /// The stable word, in the Close frame and in the Goodbye before it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ServiceRestart => "service_restart",
            Self::TokenExpired => "token_expired",
            Self::HeartbeatLost => "heartbeat_lost",
            Self::TooSlow => "too_slow",
            Self::AuthenticationTimeout => "authentication_timeout",
            Self::Unavailable => "unavailable",
            Self::Unacknowledged => "unacknowledged",
            Self::TooManyFrames => "too_many_frames",
            Self::Displaced => "displaced",
            Self::AuthenticationFailed => "authentication_failed",
            Self::DeviceRevoked => "device_revoked",
            Self::MalformedFrame => "malformed_frame",
            Self::FrameTooLarge => "frame_too_large",
            Self::WrongFrameKind => "wrong_frame_kind",
        }
    }

    /// Whether the device should connect again by itself.
    pub const fn reconnect(self) -> bool {
        self.number() < 4500
    }

    /// What the device does about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::ServiceRestart => {
                "Wait for the `reconnect_after_ms` of the Goodbye, then connect."
            }
            Self::TokenExpired => "Get a new token, then connect.",
            Self::HeartbeatLost | Self::TooSlow => "Connect.",
            Self::AuthenticationTimeout => {
                "Connect, and show a token in the upgrade or as the first frame."
            }
            Self::Unavailable => {
                "Connect after a pause that grows with each attempt, and not before the \
                 `reconnect_after_ms` of the Goodbye."
            }
            Self::Unacknowledged => {
                "Connect, and acknowledge each envelope once it is stored, also one that comes \
                 again and one that cannot be read."
            }
            Self::TooManyFrames => {
                "Wait for the `reconnect_after_ms` of the Goodbye, then connect, and send less: \
                 several envelopes fit one Ack."
            }
            Self::Displaced => {
                "Nothing: the same device has opened another socket, which is the one in use."
            }
            Self::AuthenticationFailed => "Get another token; this one is of no use here.",
            Self::DeviceRevoked => "Nothing: the device is no longer one of its account.",
            Self::MalformedFrame | Self::WrongFrameKind => "Mend the program.",
            Self::FrameTooLarge => {
                "Send less at once: the `max_frame_bytes` of the Hello is the bound, and \
                 `gateway.max_unauthenticated_frame` (16 KiB) before there was one."
            }
        }
    }
}

/// The table of `docs/reference/close-codes.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Close codes of the socket\n\n\
         How `GET /v1/socket` ends. Every close by the gateway follows a Goodbye frame with the \
         same reason, unless the socket can no longer be written to. 1012 and 4000 to 4499: \
         connect again. 4500 to 4999: do not, something else has to happen first.\n\n\
         | code | reason | reconnect | what to do |\n|---|---|---|---|\n",
    );
    for code in CloseCode::ALL {
        let reconnect = if code.reconnect() { "yes" } else { "no" };
        let _ = writeln!(
            text,
            "| {} | `{}` | {reconnect} | {} |",
            code.number(),
            code.reason(),
            code.advice()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_close_codes_are_these() {
        // Tests run in the folder of their package.
        let path = "../../docs/reference/close-codes.md";
        let documented = std::fs::read_to_string(path).unwrap_or_default();
        assert!(documented == reference(), "{path} should be:\n{}", reference());
    }

    #[test]
    fn numbers_rise_and_none_is_given_twice() {
        assert!(CloseCode::ALL.is_sorted_by(|a, b| a.number() < b.number()));
    }
}
