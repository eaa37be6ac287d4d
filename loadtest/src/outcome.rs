//! How a run ends, for people and for scripts.

use std::process::ExitCode;

use serde::Serialize;

use crate::screen::Screen;

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "because")]
pub enum Outcome {
    /// Everything that was promised held.
    Held,
    /// Something did not: what, one a line.
    Violated(Vec<String>),
    /// Everything held, but a target was missed: which, one a line.
    Missed(Vec<String>),
    /// The run itself was no good, so that it shows nothing: why, one a line.
    Invalid(Vec<String>),
}

impl Outcome {
    /// Violations weigh more than a run that was no good: what was seen was seen.
    pub fn of(violations: Vec<String>, flaws: Vec<String>) -> Self {
        if !violations.is_empty() {
            Self::Violated(violations)
        } else if flaws.is_empty() {
            Self::Held
        } else {
            Self::Invalid(flaws)
        }
    }

    /// Whether everything held.
    pub fn is_held(&self) -> bool {
        *self == Self::Held
    }

    /// Shows what was not as it should be, if anything.
    pub fn show(&self, screen: &Screen) {
        match self {
            Self::Held => {}
            Self::Violated(lines) | Self::Missed(lines) => {
                for line in lines {
                    screen.wrong(line);
                }
            }
            Self::Invalid(lines) => {
                screen.wrong("this run shows nothing:");
                for line in lines {
                    screen.wrong(line);
                }
            }
        }
    }

    /// The process's exit code: 0, 1, 99, 3.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Held => ExitCode::SUCCESS,
            Self::Violated(_) => ExitCode::from(1),
            Self::Missed(_) => ExitCode::from(99),
            Self::Invalid(_) => ExitCode::from(3),
        }
    }
}

/// The exit code where the system could not be started or reached.
pub const UNREACHABLE: u8 = 4;
