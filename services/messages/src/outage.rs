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

    pub(crate) fn ends(&self) {
        // Read first: the common case must not write to a line that all cores share.
        if self.lasts.load(Ordering::Relaxed) && self.lasts.swap(false, Ordering::Relaxed) {
            tracing::info!(neighbour = self.neighbour, "neighbour is back");
        }
    }
}
