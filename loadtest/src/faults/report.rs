use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Generated, Killed, Options, PARTS};
use crate::{
    latency::Percentiles,
    oracle::{Drain, Finding, Verdict},
    outcome::Outcome,
    screen::{Screen, seconds},
    sdk::Heard,
};

/// A generator that is this late, in its worst hundredth, did not offer the load that was
/// asked for. Not a bound for measurements: nothing is measured here but what is lost.
const LATEST: Duration = Duration::from_secs(2);

/// All that a run has brought to light.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) verdict: Verdict,
    pub(super) by_stores: Verdict,
    pub(super) drain: Drain,
    pub(super) generated: Generated,
    pub(super) killed: Vec<Killed>,
    pub(super) ended: Vec<String>,
    pub(super) is_durable: bool,
}

/// What a run has shown.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether what was promised held.
    pub outcome: Outcome,
    /// What everything left to chance followed from.
    pub seed: u64,
    /// How long there was traffic.
    pub seconds: u64,
    /// Devices.
    pub clients: usize,
    /// The oracle's, by what was told as it happened.
    pub verdict: Verdict,
    /// The oracle's, by what stands in the stores of the devices.
    pub by_stores: Verdict,
    /// How long it took until everything had arrived, the quiet time included.
    pub drained_after_ms: u64,
    /// From when messages were meant to be written to when they were shown.
    pub delivery: Percentiles,
    /// How the generator did.
    pub generated: Generated,
    /// Every kill.
    pub kills: Vec<Killed>,
    /// What devices reported besides, by its reason.
    pub troubles: BTreeMap<String, u64>,
}

impl Report {
    pub(super) fn of(options: &Options, evidence: Evidence, heard: &Heard) -> Self {
        let violations = violations(&evidence, heard);
        let flaws = flaws(options, &evidence, heard);
        Self {
            outcome: Outcome::of(violations, flaws),
            seed: options.seed,
            seconds: options.duration.as_secs(),
            clients: options.clients,
            verdict: evidence.verdict,
            by_stores: evidence.by_stores,
            drained_after_ms: u64::try_from(evidence.drain.took().as_millis()).unwrap_or(u64::MAX),
            delivery: heard.delivery.percentiles(),
            generated: evidence.generated,
            kills: evidence.killed,
            troubles: heard.troubles(),
        }
    }

    /// Shows it.
    pub fn show(&self, screen: &Screen) {
        self.show_kills(screen);
        screen.heading("What became of the messages");
        let row = |name: &str, of: &dyn Fn(&Verdict) -> u64| {
            vec![name.to_owned(), of(&self.verdict).to_string(), of(&self.by_stores).to_string()]
        };
        screen.table(
            &["", "as told", "as stored"],
            &[
                row("written", &|verdict| verdict.offered),
                row("accepted", &|verdict| verdict.accepted),
                row("shown", &|verdict| verdict.shown),
                row("lost", &|verdict| verdict.lost.count),
                row("shown twice", &|verdict| verdict.twice.count),
                row("out of order", &|verdict| verdict.disordered.count),
                row("still queued", &|verdict| verdict.queued),
                row("shown, and queued still", &|verdict| verdict.left_over),
                row("never sent", &|verdict| verdict.unsent.count),
                row("refused", &|verdict| verdict.refused),
            ],
        );
        screen.line(format_args!(
            "  delivery p50 {:.0} ms, p99 {:.0} ms, longest {:.1} s (kills included); generator \
             lag p99 {:.1} ms; seed {}",
            self.delivery.p50_ms,
            self.delivery.p99_ms,
            self.delivery.max_ms / 1e3,
            self.generated.lag.p99_ms,
            self.seed,
        ));
        for (what, count) in &self.troubles {
            screen.line(format_args!("  {count} times: {what}"));
        }
        screen.line("");
        match &self.outcome {
            Outcome::Held => {
                screen.fine("every message that was accepted was shown once, and in its order");
            }
            other => other.show(screen),
        }
    }

    fn show_kills(&self, screen: &Screen) {
        screen.heading("What was killed, and how it came back");
        let ms = |ms: u64| seconds(Some(Duration::from_millis(ms)));
        let rows: Vec<Vec<String>> = self
            .kills
            .iter()
            .map(|kill| {
                vec![
                    seconds(Some(Duration::from_millis(kill.at_ms))),
                    kill.victim.to_string(),
                    ms(kill.down_ms),
                    ms(kill.ready_after_ms),
                    kill.caught_up_after_ms.map_or_else(|| "at the end".to_owned(), ms),
                    kill.together_with.join(", "),
                ]
            })
            .collect();
        screen.table(
            &["at", "killed", "down for", "ready after", "caught up after", "down with it"],
            &rows,
        );
    }
}

fn violations(evidence: &Evidence, heard: &Heard) -> Vec<String> {
    let mut found = Vec::new();
    for (witness, verdict) in [("as told", &evidence.verdict), ("as stored", &evidence.by_stores)] {
        for (what, finding) in [
            ("lost", &verdict.lost),
            ("shown twice", &verdict.twice),
            ("out of order", &verdict.disordered),
            ("never sent, though everything runs", &verdict.unsent),
        ] {
            if finding.count > 0 {
                found.push(format!("{} {what} ({witness}): {}", finding.count, named(finding)));
            }
        }
        if verdict.queued > 0 {
            found.push(format!(
                "{} still queued for devices that are connected ({witness})",
                verdict.queued
            ));
        }
        if verdict.unknown > 0 {
            found.push(format!("{} shown that nobody wrote ({witness})", verdict.unknown));
        }
    }
    if shown(&evidence.verdict) != shown(&evidence.by_stores) {
        found.push("what was told and what is stored are not the same".to_owned());
    }
    found.extend(
        heard
            .troubles()
            .into_iter()
            .filter(|(what, _)| what.starts_with("unreadable") || what.starts_with("fork"))
            .map(|(what, count)| format!("{count} times {what}")),
    );
    found.extend(evidence.ended.iter().map(|process| format!("{process} ended by itself")));
    found
}

/// Everything that was shown, whether or not its sender heard that it was accepted.
fn shown(verdict: &Verdict) -> u64 {
    verdict.shown + verdict.unconfirmed
}

fn flaws(options: &Options, evidence: &Evidence, heard: &Heard) -> Vec<String> {
    let mut found = Vec::new();
    if !evidence.is_durable {
        found.push("Postgres does not sync what it confirms".to_owned());
    }
    for part in PARTS {
        let kills =
            evidence.killed.iter().filter(|kill| kill.ran && kill.victim.part == part).count();
        if kills < options.kills_each {
            found
                .push(format!("{part} was killed {kills} times instead of {}", options.kills_each));
        }
    }
    let lag_ms = evidence.generated.lag.p99_ms;
    if lag_ms > LATEST.as_secs_f64() * 1e3 || evidence.generated.skipped > 0 {
        found.push(format!(
            "the generator did not keep up: lag p99 {lag_ms:.0} ms, {} messages skipped",
            evidence.generated.skipped
        ));
    }
    if heard.missed() > 0 {
        found.push(format!("devices missed {} events", heard.missed()));
    }
    found
}

/// The first messages of a finding: sender, receiver, number.
fn named(finding: &Finding) -> String {
    let shown: Vec<String> = finding
        .which
        .iter()
        .take(5)
        .map(|letter| format!("{}→{} #{}", letter.from, letter.to, letter.number))
        .collect();
    shown.join(", ")
}
