//! Load, faults and measurements: what a Sotto does when many use it, and when parts of
//! it die.
//!
//! # What it does
//!
//! - [`faults`] kills every part of a running system again and again, under traffic of
//!   real clients, and says whether a message was lost, shown twice or shown out of order.
//! - [`drain`] ends a gateway that has thousands of sockets, and shows how its devices
//!   come back.
//! - [`groups`] has groups of 1,500 real members of MLS live through everything that
//!   happens to groups, and holds what each of them saw against what it was entitled to.
//! - [`bench`] measures latencies, throughput and memory, beside their targets.
//!
//! # What it promises
//!
//! - Nothing is called lost before the system had its time to deliver ([`oracle`]).
//! - Latency counts from when something was meant to happen, not from when the generator
//!   got round to it ([`pace`]); a run in which the generator was late says that it shows
//!   nothing.
//! - It names devices and messages by numbers of its own; no account, key or token is in
//!   what it prints or writes.
//!
//! # What it does not do
//!
//! It knows the system from outside only: its executable, its ports, and, to count what
//! still waits, its database.

pub mod bench;
pub mod drain;
pub mod faults;
pub mod groups;
pub mod latency;
pub mod light;
pub mod limits;
pub mod machine;
pub mod oracle;
pub mod outcome;
pub mod pace;
pub mod queue;
pub mod results;
pub mod screen;
pub mod sdk;
pub mod settings;
pub mod usage;
