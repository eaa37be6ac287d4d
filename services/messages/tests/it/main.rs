//! The messages service from outside: real Postgres, real Redis, gRPC on port 0, and
//! a keys service that the test plays.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod acknowledge;
mod attach;
mod bad_input;
mod classes;
mod crowd;
mod deliver;
mod drain;
mod expiry;
mod full;
mod harness;
mod neighbours;
mod partitions;
mod pull;
mod read_only;
mod refuse;
mod retract;
mod revoke;
mod submit;
