//! Three columns side by side: what the sender sees, what the receiver sees, what the
//! server saw.

use console::{Style, measure_text_width, truncate_str};

use crate::screen::Screen;

/// Between two columns.
const GUTTER: &str = " │ ";

/// How far the rest of a line is indented that was too long.
const INDENT: &str = "  ";

/// A line of a cell, before it is wrapped.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    text: String,
    style: Style,
}

/// What somebody does.
pub(crate) fn does(text: impl Into<String>) -> Line {
    Line { text: text.into(), style: Style::new() }
}

/// What somebody says or reads.
pub(crate) fn says(text: impl AsRef<str>) -> Line {
    Line { text: format!("“{}”", text.as_ref()), style: Style::new().green().bold() }
}

/// What the server has.
pub(crate) fn has(text: impl Into<String>) -> Line {
    Line { text: text.into(), style: Style::new().cyan() }
}

/// What is beside the point, or not there.
pub(crate) fn aside(text: impl Into<String>) -> Line {
    Line { text: text.into(), style: Style::new().dim() }
}

/// The three columns.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    screen: &'a Screen,
    heads: [&'static str; 3],
    widths: [usize; 3],
    scenes: usize,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(heads: [&'static str; 3], screen: &'a Screen) -> Self {
        Self { screen, heads, widths: widths(screen.width()), scenes: 0 }
    }

    /// From here on somebody else is in front.
    pub(crate) fn head(&mut self, heads: [&'static str; 3]) {
        self.heads = heads;
    }

    /// Shows a scene: its title, and what each of the three has to show for it.
    pub(crate) fn scene(
        &mut self,
        title: &str,
        sender: Vec<Line>,
        receiver: Vec<Line>,
        server: Vec<Line>,
    ) {
        self.scenes += 1;
        let title = format!("── {} · {title} ", self.scenes);
        let rule = "─".repeat(self.screen.width().saturating_sub(measure_text_width(&title)));
        self.screen.gap();
        self.screen.line(Style::new().bold().apply_to(title + &rule));
        let heads = self.heads.map(|head| vec![aside(head)]);
        for row in rows(&heads, self.widths) {
            self.screen.line(row);
        }
        for row in rows(&[sender, receiver, server], self.widths) {
            self.screen.line(row);
        }
    }
}

/// The last column gets more: ids and sizes are long.
fn widths(width: usize) -> [usize; 3] {
    let free = width.saturating_sub(2 * measure_text_width(GUTTER));
    let person = free * 3 / 10;
    [person, person, free - 2 * person]
}

fn rows(cells: &[Vec<Line>; 3], widths: [usize; 3]) -> Vec<String> {
    let mut columns = cells.iter().zip(widths).map(|(cell, width)| {
        cell.iter()
            .flat_map(|line| {
                wrap(&line.text, width).into_iter().map(|text| (text, line.style.clone()))
            })
            .collect::<Vec<_>>()
    });
    let columns: [Vec<(String, Style)>; 3] =
        std::array::from_fn(|_| columns.next().unwrap_or_default());
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    (0..height)
        .map(|row| {
            let parts: Vec<String> = columns
                .iter()
                .zip(widths)
                .map(|(column, width)| match column.get(row) {
                    Some((text, style)) => {
                        let pad = width.saturating_sub(measure_text_width(text));
                        format!("{}{:pad$}", style.apply_to(text), "")
                    }
                    None => " ".repeat(width),
                })
                .collect();
            parts.join(GUTTER).trim_end().to_owned()
        })
        .collect()
}

/// Breaks a line at its spaces; a word that is too long by itself is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let indent = text.len() - text.trim_start().len();
    let mut line = " ".repeat(indent);
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let room = width.saturating_sub(measure_text_width(&line));
        if !is_empty && measure_text_width(word) >= room {
            lines.push(std::mem::replace(&mut line, INDENT.repeat(1 + indent / INDENT.len())));
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        line = truncate_str(&line, width, "…").into_owned();
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_at_its_spaces() {
        assert_eq!(wrap("one two three", 9), ["one two", "  three"]);
        assert_eq!(wrap("one two", 7), ["one two"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("  one two three", 9), ["  one two", "    three"]);
    }

    #[test]
    fn a_word_that_is_too_long_is_cut() {
        assert_eq!(wrap("abcdefghij", 5), ["abcd…"]);
    }

    #[test]
    fn no_line_is_wider_than_its_column() {
        let text = "“Meet me at the observatory — bring the long coat, and nobody else.”";
        for width in 8..60 {
            for line in wrap(text, width) {
                assert!(measure_text_width(&line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn columns_stand_side_by_side() {
        let cells = [vec![aside("a")], vec![aside("b"), aside("c")], vec![]];

        let rows: Vec<String> = rows(&cells, [3, 3, 3])
            .iter()
            .map(|row| console::strip_ansi_codes(row).into_owned())
            .collect();

        assert_eq!(rows, ["a   │ b   │", "    │ c   │"]);
        assert_eq!(widths(100).iter().sum::<usize>() + 6, 100);
    }
}
