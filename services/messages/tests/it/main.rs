//! The messages service from outside: real Postgres, real Redis, gRPC on port 0, and
//! a keys service that the test plays.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod acknowledge;
mod attach;
mod crowd;
mod deliver;
mod drain;
mod harness;
mod neighbours;
mod partitions;
mod pull;
mod refuse;
mod submit;
