//! The keys service from outside: REST and gRPC on real sockets, a real Postgres and
//! a real Redis.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

mod app_tokens;
mod bundles;
mod chain;
mod claims;
mod device_sets;
mod handles;
mod harness;
mod hints;
mod login;
mod prekeys;
mod registration;
mod token_keys;
