//! The gateway from outside: real sockets, a real Redis, a keys service and messages
//! replicas that live in the test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod admission;
mod authentication;
mod bad_input;
mod delivery;
mod draining;
mod frames;
mod group_repair;
mod group_sends;
mod groups;
mod harness;
mod limits;
mod places;
mod rest;
mod resuming;
mod sending;
mod upgrade;
