//! Steps that take their time: a spinner while they do, a line once they are done.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use console::style;
use indicatif::{ProgressBar, ProgressStyle};

use crate::screen::Screen;

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(80);

/// A row of steps; each ends when the next begins.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    screen: &'a Screen,
    current: RefCell<Option<Step>>,
}

#[derive(Debug)]
struct Step {
    what: String,
    begun: Instant,
    spinner: Option<ProgressBar>,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(screen: &'a Screen) -> Self {
        Self { screen, current: RefCell::new(None) }
    }

    /// Begins a step; the one before is done.
    pub(crate) fn begin(&self, what: &str) {
        self.done();
        let spinner = self.screen.is_terminal().then(|| spinner(what));
        let step = Step { what: what.to_owned(), begun: Instant::now(), spinner };
        self.current.replace(Some(step));
    }

    /// Ends the step that runs.
    pub(crate) fn done(&self) {
        if let Some(step) = self.current.take() {
            if let Some(spinner) = &step.spinner {
                spinner.finish_and_clear();
            }
            let took = format!("{:.1} s", step.begun.elapsed().as_secs_f64());
            self.screen.fine(format_args!("{} {}", step.what, style(took).dim()));
        }
    }
}

impl Drop for Steps<'_> {
    /// A step that was not done has failed: its spinner goes without a check mark.
    fn drop(&mut self) {
        if let Some(Step { spinner: Some(spinner), .. }) = self.current.take() {
            spinner.finish_and_clear();
        }
    }
}

/// A bar over `count` things; hidden where nobody watches.
pub(crate) fn bar(what: &'static str, count: u64, screen: &Screen) -> ProgressBar {
    if !screen.is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count).with_message(what);
    if let Ok(style) =
        ProgressStyle::with_template("  {msg:<34} {bar:30.cyan/dim} {pos}/{len}  {per_sec}")
    {
        bar.set_style(style);
    }
    bar
}

fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(TICK);
    spinner
}
