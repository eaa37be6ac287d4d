//! Groups of OpenMLS with our configuration: members, and a server that follows them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod commits;
mod harness;
mod joining;
mod metadata;
