//! The groups service from outside: real Postgres, real Redis, listeners on port 0, and a keys
//! service that the test plays.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod commits;
mod crowd;
mod cursors;
mod jobs;
mod log;
mod notices;
mod races;
mod refused;
mod revoked;
mod scene;
mod send;
mod stage;
mod stream;
mod sweep;
