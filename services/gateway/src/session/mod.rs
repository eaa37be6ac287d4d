//! One socket, from its upgrade to its end.
//!
//! [`machine`] decides and has no socket in it; [`task`] does what it says.

pub(crate) mod close;
pub(crate) mod codec;
mod intake;
pub(crate) mod io;
pub(crate) mod machine;
mod outbox;
pub(crate) mod task;
#[cfg(test)]
mod tests;
mod uplink;
mod window;
