//! Whole-system tests: real processes, real stores, the real client library, and
//! nothing else. Here are the people who act in them; the stories are in `tests/`.
//!
//! Beside the people there are callers with real keys who say what no client would
//! ([`raw`]), and the [`rows`] that show whether it changed anything.

pub mod front;
pub mod person;
pub mod raw;
pub mod rows;
pub mod spans;

pub use front::{Answer, Front};
pub use person::Person;

use std::time::Duration;

/// How long anything may take that a story waits for. Far longer than it should: a
/// busy machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(60);
