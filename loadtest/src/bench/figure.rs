use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{latency::Percentiles, oracle::Verdict, screen::Screen};

/// A generator that was later than this in its worst hundredth has measured itself.
const LATEST_MS: f64 = 10.0;

/// The share of the machine that others may take, in percent, before figures are theirs.
const OTHERS: f64 = 15.0;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Things a second.
    PerSecond,
    /// Kibibytes.
    Kibibytes,
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
}

/// One number, beside its target where there is one.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// The number.
    pub value: f64,
    /// What it counts.
    pub unit: Unit,
    /// It should be below this.
    pub below: Option<f64>,
    /// It should be at least this.
    pub above: Option<f64>,
}

/// What a measurement has brought.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Measured {
    /// Which measurement it was.
    pub name: String,
    /// Its numbers.
    pub figures: Vec<Figure>,
    /// All percentiles of what was timed.
    pub latency: Option<Percentiles>,
    /// How late the generator was, where it had a timetable.
    pub lag: Option<Percentiles>,
    /// Processor time of each process for each thing that was done, in microseconds.
    pub cpu_us_each: BTreeMap<String, f64>,
    /// The share of the machine that others took, in percent.
    pub others_percent: f64,
    /// What became of the messages.
    pub verdict: Option<Verdict>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

impl Figure {
    /// A number that should be below a target.
    pub fn below(what: impl Into<String>, value: f64, unit: Unit, target: f64) -> Self {
        Self { what: what.into(), value, unit, below: Some(target), above: None }
    }

    /// A number that should be a target at least.
    pub fn above(what: impl Into<String>, value: f64, unit: Unit, target: f64) -> Self {
        Self { what: what.into(), value, unit, below: None, above: Some(target) }
    }

    /// A number without a target.
    pub fn plain(what: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self { what: what.into(), value, unit, below: None, above: None }
    }

    /// Whether its target was met; `None` where it has none.
    pub fn is_met(&self) -> Option<bool> {
        let below = self.below.map(|target| self.value < target);
        below.or_else(|| self.above.map(|target| self.value >= target))
    }

    /// Its target, for people.
    fn target(&self) -> String {
        match (self.below, self.above) {
            (Some(target), _) => format!("below {}", self.unit.of(target)),
            (None, Some(target)) => format!("at least {}", self.unit.of(target)),
            (None, None) => String::new(),
        }
    }
}

impl Measured {
    /// What does not fit the promises of the system.
    pub fn violations(&self) -> Vec<String> {
        let Some(verdict) = &self.verdict else { return Vec::new() };
        let found = [("lost", verdict.lost.count), ("shown twice", verdict.twice.count)];
        found
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{}: {count} messages {what}", self.name))
            .collect()
    }

    /// What makes the numbers worth nothing.
    pub fn flaws(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(lag) = self.lag.filter(|lag| lag.p99_ms > LATEST_MS) {
            found.push(format!(
                "{}: the generator was late, p99 {:.1} ms, more than {LATEST_MS} ms",
                self.name, lag.p99_ms
            ));
        }
        if self.others_percent > OTHERS {
            found.push(format!(
                "{}: others took {:.0} percent of the machine, more than {OTHERS}",
                self.name, self.others_percent
            ));
        }
        found
    }

    /// Targets that were missed.
    pub fn missed(&self) -> Vec<String> {
        self.figures
            .iter()
            .filter(|figure| figure.is_met() == Some(false))
            .map(|figure| format!("{}: {figure}", figure.what))
            .collect()
    }

    /// Shows it.
    pub fn show(&self, screen: &Screen) {
        let rows: Vec<Vec<String>> = self
            .figures
            .iter()
            .map(|figure| {
                let mark = match figure.is_met() {
                    Some(true) => "✓",
                    Some(false) => "✗",
                    None => "",
                };
                vec![figure.what.clone(), figure.to_string(), figure.target(), mark.to_owned()]
            })
            .collect();
        screen.table(&["", "measured", "target", ""], &rows);
        if !self.cpu_us_each.is_empty() {
            let each: Vec<String> =
                self.cpu_us_each.iter().map(|(name, us)| format!("{name} {us:.0}")).collect();
            let sum: f64 = self.cpu_us_each.values().sum();
            screen.line(format_args!(
                "  processor time for each, in µs: {} (sum {sum:.0})",
                each.join(", ")
            ));
        }
        if let Some(lag) = &self.lag {
            screen.line(format_args!("  generator lag p99 {:.1} ms", lag.p99_ms));
        }
        for note in &self.notes {
            screen.line(format_args!("  {note}"));
        }
    }
}

impl Unit {
    fn of(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Kibibytes => format!("{value:.1} KiB"),
            Self::Microseconds => format!("{value:.0} µs"),
            Self::Bytes => format!("{value:.0} B"),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.unit.of(self.value))
    }
}
