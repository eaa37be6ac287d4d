//! Frames of the gateway.

use std::time::Duration;

use sotto_kit::clock::millis;
use sotto_proto::{
    groups,
    messages::outcome,
    socket::{Error, ServerFrame, server_frame},
};

use super::io::Action;

/// When a device that was told `unavailable` may send again.
pub(crate) const RETRY_AFTER_MS: u32 = 1_000;

/// A frame of the gateway.
pub(crate) const fn frame(in_reply_to: u64, body: server_frame::Body) -> ServerFrame {
    ServerFrame { in_reply_to, body: Some(body) }
}

/// The outcome of a send that could not be handed on.
pub(crate) fn unavailable() -> outcome::Result {
    outcome::Result::Error(unavailable_error())
}

/// The same of a send to a group.
pub(crate) fn group_unavailable() -> groups::outcome::Result {
    groups::outcome::Result::Error(unavailable_error())
}

fn unavailable_error() -> Error {
    Error {
        reason: "unavailable".to_owned(),
        detail: "the service could not complete the request".to_owned(),
        retry_after_ms: RETRY_AFTER_MS,
        server_time_ms: 0,
    }
}

/// What answers a send beyond what its device, or its app, may send.
pub(crate) fn rate_limited(retry_after: Duration) -> Error {
    Error {
        reason: "rate_limited".to_owned(),
        detail: "this device, or its app, sends too much".to_owned(),
        retry_after_ms: saturate(millis(retry_after)).max(1),
        server_time_ms: 0,
    }
}

pub(super) const fn reply(in_reply_to: u64, body: server_frame::Body) -> Action {
    Action::Send(frame(in_reply_to, body))
}

/// An error that the same request will meet again.
pub(super) fn error(in_reply_to: u64, reason: &str, detail: &str) -> Action {
    error_for_now(in_reply_to, reason, detail, Duration::ZERO)
}

/// An error that the same request may not meet after a time.
pub(super) fn error_for_now(
    in_reply_to: u64,
    reason: &str,
    detail: &str,
    retry_after: Duration,
) -> Action {
    let error = Error {
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        retry_after_ms: saturate(millis(retry_after)),
        server_time_ms: 0,
    };
    reply(in_reply_to, server_frame::Body::Error(error))
}

pub(super) fn saturate(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
