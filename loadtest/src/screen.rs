//! What a person sees of a run: lines, as it goes on and at its end.

use std::{fmt::Display, time::Duration};

use console::{Term, measure_text_width, style};

/// Where everything is shown.
#[derive(Debug, Clone)]
pub struct Screen {
    /// `None` shows nothing.
    term: Option<Term>,
}

impl Screen {
    /// Standard output.
    pub fn stdout() -> Self {
        Self { term: Some(Term::stdout()) }
    }

    /// Shows nothing, for tests.
    pub fn silent() -> Self {
        Self { term: None }
    }

    /// Writes a line. That nobody reads it any more is no reason to stop.
    pub fn line(&self, line: impl Display) {
        if let Some(term) = &self.term {
            term.write_line(&line.to_string()).ok();
        }
    }

    /// Writes a heading.
    pub fn heading(&self, text: impl Display) {
        self.line("");
        self.line(style(text).bold());
    }

    /// Writes what is as it should be.
    pub fn fine(&self, text: impl Display) {
        self.line(format_args!("{} {text}", style("✓").green()));
    }

    /// Writes what is not.
    pub fn wrong(&self, text: impl Display) {
        self.line(format_args!("{} {text}", style("✗").red().bold()));
    }

    /// Writes rows under a row of headings, each column as wide as its widest cell.
    pub fn table(&self, headings: &[&str], rows: &[Vec<String>]) {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
            cells.chain(headings.get(column).copied()).map(measure_text_width).max().unwrap_or(0)
        };
        let line = |cells: Vec<&str>| {
            let padded: Vec<String> = cells
                .into_iter()
                .enumerate()
                .map(|(column, cell)| {
                    let pad = width(column).saturating_sub(measure_text_width(cell));
                    format!("{cell}{:pad$}", "")
                })
                .collect();
            format!("  {}", padded.join("  ").trim_end())
        };
        self.line(style(line(headings.to_vec())).dim());
        for row in rows {
            self.line(line(row.iter().map(String::as_str).collect()));
        }
    }
}

/// `02:05`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// `1.3 s`, or `-` for nothing.
pub fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}
