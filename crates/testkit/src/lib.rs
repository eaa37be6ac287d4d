//! A whole Sotto to speak to from outside, on real servers.
//!
//! # What it does
//!
//! - [`servers`] finds the installed `postgres` and `redis-server`, starts private
//!   ones on free loopback ports, kills and restarts them. No container engine.
//! - [`cluster`] starts every role of the `sotto` executable as its own process,
//!   kills any of them with SIGKILL, and starts it again on the same ports.
//! - [`apps`] makes the signing keys of apps, and tokens of their users.
//! - [`search`] looks for planted bytes in everything that a server keeps.
//! - [`wait`] waits for conditions, and shows the last state when one never comes.
//!
//! # What it promises
//!
//! What it starts ends with it, even where the process that uses it is killed.
//!
//! # What it does not do
//!
//! It knows no service from inside: all it has is the executable, its configuration,
//! and the ports. It is for tests and for `./dev`, never part of a server.

pub mod apps;
pub mod cluster;
pub mod environment;
pub mod ports;
pub mod process;
pub mod search;
pub mod servers;
pub mod wait;

pub use cluster::{Cluster, Role};
pub use wait::wait_for;
