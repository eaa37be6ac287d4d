//! The seam between a session and the socket that it is on.
//!
//! [`http1`] is the one transport: an upgraded connection of actix-web. A leaner one
//! (the upgrade service of `actix_http`) would be a second module beside it.

pub(crate) mod frames;
pub(crate) mod http1;
mod pipe;
pub(crate) mod wire;

use bytes::Bytes;

pub(crate) use frames::{Broken, Budget, Incoming};

/// The peer takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// An open socket. Dropping it closes the connection once what was written is out.
pub(crate) trait Transport {
    /// The next message of the peer. May be dropped while it waits; nothing is lost.
    async fn next(&mut self) -> Result<Incoming, Broken>;

    /// Takes messages of at most so many bytes from now on.
    fn bound_frames(&mut self, largest: usize);

    /// Hands over frames as they go over the wire, once the ones before are on their
    /// way.
    async fn write(&mut self, wire: Bytes) -> Result<(), Gone>;

    /// Returns when the connection is gone. For when nobody calls `next`.
    async fn gone(&mut self);

    /// Whether the connection is gone, or what has arrived has the peer's Close in it.
    /// Nothing of what has arrived is lost.
    fn has_left(&mut self) -> bool;
}
