use std::collections::BTreeMap;

use serde::Serialize;

use super::{Options, device::Diverged, ledger::Verdict, race::Races, steps::Step, story::Told};
use crate::{latency::Percentiles, outcome::Outcome, screen::Screen};

/// What a run has seen.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) told: Told,
    pub(super) races: Races,
    pub(super) put_off: u64,
    pub(super) troubles: BTreeMap<String, u64>,
}

/// What a run has shown.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether what was promised held.
    pub outcome: Outcome,
    /// Members of the group once it was made.
    pub members: usize,
    /// Those of them that heard of everything by sockets.
    pub live: usize,
    /// What was done, and how long it took.
    pub steps: Vec<Step>,
    /// What the members of the large group have seen.
    pub verdict: Verdict,
    /// How long the server took for a commit of the large group.
    pub commits: Percentiles,
    /// From when a message was written to when it was accepted, retries included.
    pub sends: Percentiles,
    /// Times that a committer found another first.
    pub lost_races: u64,
    /// Messages that were encrypted again, as the group had moved on.
    pub stale: u64,
    /// Entries that members heard by their sockets.
    pub heard: u64,
    /// Times that one of those read the log, since something had not come.
    pub log_reads: u64,
    /// Requests that were put off, and asked again.
    pub put_off: u64,
    /// What members reported besides, by its reason.
    pub troubles: BTreeMap<String, u64>,
    /// All members of another group at once (I-4).
    pub races: Races,
}

impl Report {
    pub(super) fn of(options: &Options, evidence: Evidence) -> Self {
        let Evidence { told, races, put_off, troubles } = evidence;
        let mut report = Self {
            outcome: Outcome::Held,
            members: options.members,
            live: options.live,
            steps: told.steps,
            verdict: told.verdict,
            commits: told.commits,
            sends: told.sends,
            lost_races: told.lost_races,
            stale: told.stale,
            heard: told.heard,
            log_reads: told.log_reads,
            put_off,
            troubles,
            races,
        };
        report.outcome = Outcome::of(report.violations(), report.flaws());
        report
    }

    /// A run that ended because a member could not follow the log, which is what it was to
    /// find out. Other errors stay what they are.
    pub(super) fn diverged(options: &Options, error: anyhow::Error) -> anyhow::Result<Self> {
        if !error.is::<Diverged>() {
            return Err(error);
        }
        let mut told = Told::default();
        told.verdict.wrong.push(format!("{error:#}"));
        let (races, troubles) = (Races::default(), BTreeMap::new());
        Ok(Self::of(options, Evidence { told, races, put_off: 0, troubles }))
    }

    /// Shows what it comes to; the steps were shown as they were taken.
    pub fn show(&self, screen: &Screen) {
        let (verdict, races) = (&self.verdict, &self.races);
        screen.heading("What the members have seen");
        screen.table(
            &["", "members", "epoch", "messages", "entitled to", "seen"],
            &[("the large group", verdict), ("the races", &races.verdict)].map(
                |(what, verdict)| {
                    let cells = [
                        verdict.members as u64,
                        verdict.epoch,
                        verdict.accepted as u64,
                        verdict.entitled,
                        verdict.shown,
                    ];
                    std::iter::once(what.to_owned())
                        .chain(cells.map(|count| count.to_string()))
                        .collect::<Vec<_>>()
                },
            ),
        );
        screen.line(format_args!(
            "  a commit took the server {:.0} ms (p50) and {:.0} ms at most; a message {:.0} ms \
             (p50) and {:.0} ms (p99)",
            self.commits.p50_ms, self.commits.max_ms, self.sends.p50_ms, self.sends.p99_ms
        ));
        screen.line(format_args!(
            "  others were first {} times, {} messages were encrypted again, {} requests put off",
            self.lost_races, self.stale, self.put_off
        ));
        screen.line(format_args!(
            "  {} entries were heard by sockets; {} times the log was read for what was not",
            self.heard, self.log_reads
        ));
        screen.line(format_args!(
            "  {} messages were tried by those who came later or went before, in vain",
            verdict.tried_in_vain
        ));
        screen.line(format_args!(
            "  races: {} commits offered, {} got in, {} refusals brought the one that did; {} \
             messages came late and got in anew",
            races.offered, races.won, races.brought, races.stale
        ));
        for (what, count) in &self.troubles {
            screen.line(format_args!("  {count} times: {what}"));
        }
        screen.line("");
        match &self.outcome {
            Outcome::Held => screen.fine(
                "every member is in the same epoch, and has what it was entitled to, once and \
                 in its order",
            ),
            other => other.show(screen),
        }
    }

    fn violations(&self) -> Vec<String> {
        let races = &self.races;
        let mut found = self.verdict.wrong.clone();
        found.extend(races.verdict.wrong.iter().cloned());
        if races.won != u64::from(races.epochs) {
            found.push(format!("{} commits got in, in {} epochs", races.won, races.epochs));
        }
        if races.stale != u64::from(races.epochs) {
            found.push(format!("{} messages were refused as stale", races.stale));
        }
        found
    }

    fn flaws(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.verdict.accepted == 0 {
            found.push("nobody wrote anything".to_owned());
        }
        if self.live > 0 && self.heard == 0 {
            found.push("nobody heard anything by a socket".to_owned());
        }
        found
    }
}
