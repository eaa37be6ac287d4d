//! The sigchain from outside: chains with real signatures, and what they are
//! refused for.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod devices;
mod endpoints;
mod genesis;
mod harness;
mod libsignal;
mod pins;
mod place;
mod privacy;
mod properties;
mod recovery;
mod rotation;
mod signatures;
mod vectors;
mod xeddsa;
