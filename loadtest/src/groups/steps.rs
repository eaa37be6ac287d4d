//! The steps of a story, each with its time.

use serde::Serialize;
use tokio::time::Instant;

use crate::screen::Screen;

/// A step, after it was taken.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What was done.
    pub what: String,
    /// How long it took.
    pub seconds: f64,
    /// What a reader should know besides.
    pub note: String,
}

/// The steps so far.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    screen: &'a Screen,
    taken: Vec<Step>,
    begun: Instant,
}

impl<'a> Steps<'a> {
    pub(super) fn new(screen: &'a Screen) -> Self {
        Self { screen, taken: Vec::new(), begun: Instant::now() }
    }

    /// The step that began with the end of the one before is done.
    pub(super) fn done(&mut self, what: impl Into<String>, note: impl Into<String>) {
        let (what, note) = (what.into(), note.into());
        let seconds = self.begun.elapsed().as_secs_f64();
        self.screen.line(format_args!("  {seconds:>6.1} s  {what}  {note}"));
        self.taken.push(Step { what, seconds, note });
        self.begun = Instant::now();
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.taken
    }
}
