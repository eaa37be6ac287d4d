//! One socket, from its upgrade to its end.
//!
//! [`machine`] decides and has no socket in it; [`task`] does what it says. [`line`] and
//! [`identify`] know nothing of sockets either.

pub(crate) mod close;
pub(crate) mod codec;
mod ending;
mod entering;
mod following;
pub(crate) mod identify;
mod intake;
pub(crate) mod io;
pub(crate) mod lane;
mod limits;
pub(crate) mod line;
pub(crate) mod machine;
mod outbox;
pub(crate) mod replies;
pub(crate) mod task;
#[cfg(test)]
mod tests;
pub(crate) mod uplink;
mod window;
