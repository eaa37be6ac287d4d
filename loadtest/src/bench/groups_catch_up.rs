//! How long a member that was away needs until it has everything.

use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::{Bench, Figure, Measured, Unit};
use crate::{
    groups::{Intent, Ledger, Text},
    usage::{Cpu, count_as_f64},
};

/// Members of the group.
const MEMBERS: usize = 50;

/// Commits while one of them is away, and messages after each.
const COMMITS: u64 = 500;
const MESSAGES_EACH: u64 = 10;

/// Others that were away as long, so that there is more than one number.
const AWAY: usize = 5;

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let crew = bench.crew().await?;
    let members = crew.some(0..MEMBERS);
    let (group, _) = crew.build(members).await?;
    let away = crew.some(1..AWAY + 1);
    let away = away.to_vec();
    crew.all_join(&away, group, bench.screen).await?;
    let maker = members.first().ok_or_else(|| anyhow::anyhow!("nobody"))?;
    let mut ledger = Ledger::default();
    for turn in 0..COMMITS {
        crew.commit(maker, group, Intent::Update).await?;
        let mut written = Vec::new();
        for message in 0..MESSAGES_EACH {
            let text = Text { from: maker.number, number: turn * MESSAGES_EACH + message };
            let id = maker.new_id();
            written.push((id, text, crew.encrypt(maker, group, id, text).await?));
        }
        let sends = written.iter().map(async |(id, text, written)| {
            let sent =
                crew.api.send(group, *id, written.at, &written.message, maker.token()).await?;
            anyhow::Ok((sent, *text))
        });
        for (seq, text) in try_join_all(sends).await? {
            ledger.accepted(seq, text);
        }
        if (turn + 1) % 100 == 0 {
            bench.screen.line(format_args!("  {} of {COMMITS} commits", turn + 1));
        }
        crew.read_log(maker, group).await?;
    }

    let before = Cpu::now(bench.cluster);
    let mut times = Vec::new();
    for member in &away {
        let started = Instant::now();
        crew.read_log(member, group).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let cpu_us_each = Cpu::now(bench.cluster).micros_each_since(&before, AWAY as u64);
    let back: Vec<_> = std::iter::once(maker).chain(&away).cloned().collect();
    let verdict = ledger.judge(&back, group);
    anyhow::ensure!(verdict.wrong.is_empty(), "{:?}", verdict.wrong);

    times.sort_by(f64::total_cmp);
    let entries = COMMITS + COMMITS * MESSAGES_EACH;
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    Ok(Measured {
        figures: vec![
            Figure::plain("away for 500 commits and 5,000 messages", middle, Unit::Milliseconds),
            Figure::plain("the same, the slowest", longest, Unit::Milliseconds),
            Figure::plain(
                "entries taken in",
                count_as_f64(entries) / (middle / 1e3),
                Unit::PerSecond,
            ),
        ],
        cpu_us_each,
        notes: vec![format!(
            "a group of {MEMBERS}; {AWAY} members, one after the other, each from an old state \
             to the end of the log, all of it decrypted in memory and gap-free; processor time is \
             for one member"
        )],
        ..Measured::default()
    })
}
