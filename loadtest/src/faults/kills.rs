//! Carries out the plan.

use std::{collections::HashMap, time::Duration};

use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};

use super::{
    schedule::{Kill, Victim},
    stage::Stage,
};
use crate::{oracle::Oracle, screen::Screen, screen::clock};

/// How often it is looked whether all messages of before have arrived.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One kill, and how the system came out of it. Times in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Killed {
    /// What was killed.
    pub victim: Victim,
    /// When, from the beginning of the traffic.
    pub at_ms: u64,
    /// Whether it ran when it was killed.
    pub ran: bool,
    /// How long it was down before it was started again.
    pub down_ms: u64,
    /// From then on, until it was ready.
    pub ready_after_ms: u64,
    /// How often it ended while it started, since what it needs was down.
    pub ended_at_start: u32,
    /// From the kill until all that was written before it was ready again had been shown;
    /// `None` where that was only after the traffic had ended.
    pub caught_up_after_ms: Option<u64>,
    /// What else was down when it was killed.
    pub together_with: Vec<String>,
}

/// Carries out all kills of a plan, counted from `start`. Ends once everything runs again.
///
/// # Errors
///
/// When something does not come up again.
pub(super) async fn carry_out(
    plan: Vec<Kill>,
    start: Instant,
    until: Instant,
    stage: &Stage,
    oracle: &Oracle,
    screen: &Screen,
) -> anyhow::Result<Vec<Killed>> {
    // A process that takes long to come up is not killed again before it has.
    let turns: HashMap<Victim, Mutex<()>> =
        plan.iter().map(|kill| (kill.victim, Mutex::default())).collect();
    let none = Mutex::default();
    let kills = plan.into_iter().map(|kill| {
        let turn = turns.get(&kill.victim).unwrap_or(&none);
        async move {
            tokio::time::sleep_until(start + kill.at).await;
            let alone = turn.lock().await;
            let together_with = stage.down().iter().map(ToString::to_string).collect();
            let began = Instant::now();
            let ran = stage.kill(kill.victim).await?;
            let killed = Instant::now();
            screen.line(format_args!("{}  {} killed", clock(began - start), kill.victim));
            tokio::time::sleep(kill.down).await;
            let raising = Instant::now();
            let raised = stage.raise(kill.victim).await?;
            drop(alone);
            screen.line(format_args!(
                "{}  {} back {:.1} s after the kill",
                clock(raised.ready - start),
                kill.victim,
                (raised.ready - began).as_secs_f64(),
            ));
            let mark = oracle.mark();
            while !oracle.is_settled(mark) && Instant::now() < until {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let caught_up = oracle.is_settled(mark).then(|| began.elapsed());
            anyhow::Ok(Killed {
                victim: kill.victim,
                at_ms: millis(began - start),
                ran,
                down_ms: millis(raising - killed),
                ready_after_ms: millis(raised.ready - raising),
                ended_at_start: raised.ended_at_start,
                caught_up_after_ms: caught_up.map(millis),
                together_with,
            })
        }
    });
    let mut done = try_join_all(kills).await?;
    done.sort_by_key(|kill| kill.at_ms);
    Ok(done)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
