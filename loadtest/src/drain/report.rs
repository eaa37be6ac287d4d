use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::Options;
use crate::{
    latency::{Latency, Percentiles},
    light::Seen,
    oracle::Verdict,
    outcome::Outcome,
    screen::Screen,
};

/// Parts into which the time of the return is cut for people to see.
const SLICES: u32 = 20;

/// The share of all sockets, in percent, that may come back within one slice. With closes
/// and times to come back that are both even, the fullest slice has ten at most.
const FULLEST: u64 = 20;

/// A run in which a smaller share than this was told when to come back shows nothing of the
/// spread.
const TOLD_PERCENT: u64 = 95;

/// Width of the longest bar.
const BAR: u64 = 40;

/// A device that came back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Return {
    /// How long after the signal.
    pub(super) after: Duration,
    /// After how long the gateway had told it to, where it had.
    pub(super) told: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) verdict: Verdict,
    pub(super) lag: Percentiles,
    pub(super) at_gateway: usize,
    pub(super) returns: Vec<Return>,
    pub(super) gateway_took: Duration,
}

/// What a run has shown.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether what was promised held.
    pub outcome: Outcome,
    /// Sockets that were asked for.
    pub sockets: u32,
    /// Sockets that the gateway had when it was told to end.
    pub at_gateway: usize,
    /// Of those, how many came back elsewhere.
    pub returned: u64,
    /// Those of them that had been told when.
    pub told: u64,
    /// From the signal to the hello of another gateway.
    pub return_after: Percentiles,
    /// How many came back in each twentieth of the documented time, and after it.
    pub spread: Vec<u64>,
    /// The length of a twentieth.
    pub slice_ms: u64,
    /// From the signal to the end of the process.
    pub gateway_took_ms: u64,
    /// What became of the messages.
    pub verdict: Verdict,
    /// Envelopes that came again, and were dropped.
    pub redelivered: u64,
    /// From when messages were meant to be written to when they were there.
    pub delivery: Percentiles,
    /// How late the generator was.
    pub lag: Percentiles,
    /// What devices reported besides, by its reason.
    pub troubles: BTreeMap<String, u64>,
}

impl Report {
    pub(super) fn of(options: &Options, evidence: Evidence, seen: &Seen) -> Self {
        let Evidence { verdict, lag, at_gateway, returns, gateway_took } = evidence;
        let after = Latency::new();
        for back in &returns {
            after.record(back.after);
        }
        let most = options.spread_over();
        let mut report = Self {
            outcome: Outcome::Held,
            sockets: options.sockets,
            at_gateway,
            returned: returns.len() as u64,
            told: returns.iter().filter(|back| back.told.is_some()).count() as u64,
            return_after: after.percentiles(),
            spread: after.spread(most, SLICES),
            slice_ms: millis(most / SLICES),
            gateway_took_ms: millis(gateway_took),
            redelivered: seen.redelivered(),
            delivery: seen.delivery.percentiles(),
            troubles: seen.troubles(),
            verdict,
            lag,
        };
        report.outcome = Outcome::of(report.violations(), report.flaws());
        report
    }

    /// Shows it.
    pub fn show(&self, screen: &Screen) {
        screen.heading(format_args!(
            "{} of {} sockets came back, {} of them when they were told",
            self.returned, self.sockets, self.told
        ));
        let fullest = self.spread.iter().copied().max().unwrap_or_default().max(1);
        let rows: Vec<Vec<String>> = (0..)
            .zip(&self.spread)
            .map(|(slice, &count): (u64, _)| {
                let from = Duration::from_millis(slice * self.slice_ms);
                let bar = "█".repeat(usize::try_from(count * BAR / fullest).unwrap_or_default());
                vec![format!("{:.1} s", from.as_secs_f64()), count.to_string(), bar]
            })
            .collect();
        screen.table(&["from", "came back", ""], &rows);
        screen.line(format_args!(
            "  half were back after {:.1} s, the last after {:.1} s; the gateway ended after {:.1} s",
            self.return_after.p50_ms / 1e3,
            self.return_after.max_ms / 1e3,
            Duration::from_millis(self.gateway_took_ms).as_secs_f64(),
        ));
        screen.heading("What became of the messages");
        let verdict = &self.verdict;
        screen.table(
            &["written", "accepted", "shown", "lost", "twice", "queued", "came again"],
            &[[
                verdict.offered,
                verdict.accepted,
                verdict.shown,
                verdict.lost.count,
                verdict.twice.count,
                verdict.queued,
                self.redelivered,
            ]
            .map(|count| count.to_string())
            .to_vec()],
        );
        for (what, count) in &self.troubles {
            screen.line(format_args!("  {count} times: {what}"));
        }
        screen.line("");
        match &self.outcome {
            Outcome::Held => {
                screen.fine("everybody is back, spread as documented; nothing is lost");
            }
            other => other.show(screen),
        }
    }

    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let missing = u64::from(self.sockets).saturating_sub(self.returned);
        if missing > 0 {
            found.push(format!("{missing} devices did not come back"));
        }
        for (what, finding) in [
            ("lost", &self.verdict.lost),
            ("shown twice", &self.verdict.twice),
            ("never sent, though everything runs", &self.verdict.unsent),
        ] {
            if finding.count > 0 {
                found.push(format!("{} messages {what}: {:?}", finding.count, finding.which));
            }
        }
        if self.verdict.queued > 0 {
            found.push(format!("{} messages still queued", self.verdict.queued));
        }
        let fullest = self.spread.iter().copied().max().unwrap_or_default();
        if fullest * 100 > u64::from(self.sockets) * FULLEST {
            found.push(format!("{fullest} devices came back within {} ms", self.slice_ms));
        }
        if let Some(late) = self.spread.last().filter(|late| **late * 100 > self.returned) {
            found.push(format!("{late} devices came back after the documented time"));
        }
        found
    }

    fn flaws(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.at_gateway < usize::try_from(self.sockets).unwrap_or(usize::MAX) {
            found.push(format!("only {} sockets were at the gateway", self.at_gateway));
        }
        if self.verdict.accepted == 0 {
            found.push("there was no traffic".to_owned());
        }
        if self.told * 100 < self.returned * TOLD_PERCENT {
            found.push(format!("only {} devices were told when to come back", self.told));
        }
        found
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
