use std::time::Duration;

use serde::Serialize;

use super::Measured;
use crate::{machine::Machine, outcome::Outcome, screen::Screen};

/// All measurements of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether everything held and was near enough to its target.
    pub outcome: Outcome,
    /// How long each measurement took.
    pub seconds: u64,
    /// The measurements.
    pub measured: Vec<Measured>,
}

impl Report {
    pub(super) fn of(measured: Vec<Measured>, duration: Duration) -> Self {
        let all = |of: fn(&Measured) -> Vec<String>| -> Vec<String> {
            measured.iter().flat_map(of).collect()
        };
        let mut flaws = all(Measured::flaws);
        if Machine::here().build == "debug" {
            flaws.push("this is a build without optimisations; `./dev bench` makes one".to_owned());
        }
        let missed = all(Measured::missed);
        let outcome = match Outcome::of(all(Measured::violations), flaws) {
            Outcome::Held if !missed.is_empty() => Outcome::Missed(missed),
            outcome => outcome,
        };
        Self { outcome, seconds: duration.as_secs(), measured }
    }

    /// Shows what it comes to; the measurements were shown as they were taken.
    pub fn show(&self, screen: &Screen) {
        let machine = Machine::here();
        screen.heading(format_args!(
            "On {} × {}, {} MiB, Linux {}, {} build of {}",
            machine.processors,
            machine.processor,
            machine.memory_mib,
            machine.kernel,
            machine.build,
            machine.commit
        ));
        match &self.outcome {
            Outcome::Held => screen.fine("every target was met"),
            other => other.show(screen),
        }
    }
}
