//! The keys service from outside: REST and gRPC on real sockets, a real Postgres and
//! a real Redis.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

mod bundles;
mod chain;
mod claim_limits;
mod claims;
mod device_life;
mod device_sets;
mod digest;
mod handles;
mod harness;
mod hints;
mod key_package_claim_limits;
mod key_package_claims;
mod key_packages;
mod key_sets;
mod limits;
mod login;
mod mailbox;
mod mls_devices;
mod prekeys;
mod recovery;
mod registration;
mod registration_control;
mod token_keys;
mod token_pitfalls;
mod well_known;
