//! The gateway from outside: real sockets, a real Redis, a keys service and messages
//! replicas that live in the test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod authentication;
mod delivery;
mod draining;
mod frames;
mod harness;
mod places;
mod sending;
mod upgrade;
