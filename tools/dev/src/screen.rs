//! The terminal, or the file that stands in its place.

use std::fmt::Display;

use console::{Term, measure_text_width, style};

/// Where there is no terminal to ask.
const WIDTH_OF_NO_TERMINAL: usize = 100;

/// Lines longer than this are hard to read, however wide the terminal is.
const WIDEST: usize = 130;

/// Where everything is shown.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    term: Term,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { term: Term::stdout() }
    }

    /// Whether somebody watches, so that things may move.
    pub(crate) fn is_terminal(&self) -> bool {
        self.term.is_term()
    }

    /// How many characters a line may have.
    pub(crate) fn width(&self) -> usize {
        if self.is_terminal() {
            usize::from(self.term.size().1).clamp(60, WIDEST)
        } else {
            WIDTH_OF_NO_TERMINAL
        }
    }

    /// Writes a line. That nobody reads it any more is no reason to stop.
    pub(crate) fn line(&self, line: impl Display) {
        self.term.write_line(&line.to_string()).ok();
    }

    /// Writes an empty line.
    pub(crate) fn gap(&self) {
        self.line("");
    }

    /// Writes a heading.
    pub(crate) fn heading(&self, text: impl Display) {
        self.gap();
        self.line(style(text).bold());
    }

    /// Writes what went right.
    pub(crate) fn fine(&self, text: impl Display) {
        self.line(format_args!("{} {text}", style("✓").green()));
    }

    /// Writes what went wrong.
    pub(crate) fn wrong(&self, text: impl Display) {
        self.line(format_args!("{} {text}", style("✗").red().bold()));
    }

    /// Writes what somebody may want to look at.
    pub(crate) fn warning(&self, text: impl Display) {
        self.line(format_args!("{} {text}", style("!").yellow().bold()));
    }

    /// Writes names and values, one pair a line; a value without a name belongs to the
    /// one above.
    pub(crate) fn table<'a>(&self, rows: impl IntoIterator<Item = (&'a str, String)>) {
        let rows: Vec<(&str, String)> = rows.into_iter().collect();
        let widest = rows.iter().map(|(name, _)| measure_text_width(name)).max().unwrap_or(0);
        for (name, value) in rows {
            let pad = widest - measure_text_width(name);
            self.line(format_args!("  {}{:pad$}  {value}", style(name).dim(), ""));
        }
    }

    /// Writes why a command failed, one cause a line.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.gap();
        self.wrong(style(error).bold());
        for cause in error.chain().skip(1) {
            self.line(format_args!("  because: {cause}"));
        }
    }
}
