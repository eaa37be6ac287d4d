use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

/// Logs that a neighbour is away, and that it is back: once each, however many
/// requests find out.
#[derive(Debug)]
pub(crate) struct Outage {
    neighbour: &'static str,
    lasts: AtomicBool,
}

impl Outage {
    pub(crate) const fn new(neighbour: &'static str) -> Self {
        Self { neighbour, lasts: AtomicBool::new(false) }
    }

    pub(crate) fn begins(&self, error: &dyn fmt::Display) {
        if !self.lasts.swap(true, Ordering::Relaxed) {
            tracing::error!(neighbour = self.neighbour, error = %error, "neighbour is away");
        }
    }

    /// Whether it was away until now. Of all who find it back, one is told so.
    pub(crate) fn ends(&self) -> bool {
        // Read first: the common case must not write to a line that all cores share.
        let ends = self.lasts() && self.lasts.swap(false, Ordering::Relaxed);
        if ends {
            tracing::info!(neighbour = self.neighbour, "neighbour is back");
        }
        ends
    }

    pub(crate) fn lasts(&self) -> bool {
        self.lasts.load(Ordering::Relaxed)
    }
}
