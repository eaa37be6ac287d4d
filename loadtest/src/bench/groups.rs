//! What the measurements of groups have in common.

use std::{collections::BTreeMap, sync::Arc};

use super::{Bench, Figure, Unit};
use crate::{
    groups::{Crew, Member},
    usage::{Cpu, count_as_f64},
};

/// Devices that are registered for all of them: the largest group.
pub(super) const DEVICES: u32 = 1_500;

/// With what the names of processes begin.
pub(super) const GROUPS: &str = "groups";
pub(super) const POSTGRES: &str = "postgres";
pub(super) const REDIS: &str = "redis";
pub(super) const GATEWAY: &str = "gateway";

impl Bench<'_> {
    /// The devices, registered when they are first needed.
    pub(super) async fn crew(&self) -> anyhow::Result<Arc<Crew>> {
        let make = async || {
            self.screen.line(format_args!("  registering {DEVICES} devices"));
            Crew::register(DEVICES, self.cluster, self.screen).await.map(Arc::new)
        };
        self.crew.get_or_try_init(make).await.cloned()
    }
}

/// So many of them, spread evenly.
pub(super) fn spread(members: &[Arc<Member>], count: usize) -> Vec<Arc<Member>> {
    let count = count.min(members.len());
    (0..count).filter_map(|turn| members.get(turn * members.len() / count)).cloned().collect()
}

/// Processor time of all processes of a kind.
pub(super) fn sum(cpu: &BTreeMap<String, f64>, kind: &str) -> f64 {
    cpu.iter().filter(|(name, _)| name.starts_with(kind)).map(|(_, us)| us).sum()
}

/// What was sent and heard, and what it cost.
pub(super) struct Traffic {
    pub(super) sends: u64,
    pub(super) deliveries: u64,
    pub(super) seconds: f64,
    /// Processor time of each process for all of it, in microseconds.
    pub(super) cpu: BTreeMap<String, f64>,
}

impl Traffic {
    /// What the processor did since.
    pub(super) fn since(
        before: &Cpu,
        bench: &Bench<'_>,
        sends: u64,
        deliveries: u64,
        seconds: f64,
    ) -> Self {
        let cpu = Cpu::now(bench.cluster).micros_each_since(before, 1);
        Self { sends, deliveries, seconds, cpu }
    }

    /// The same for each send.
    pub(super) fn cpu_us_each(&self) -> BTreeMap<String, f64> {
        let sends = count_as_f64(self.sends.max(1));
        self.cpu.iter().map(|(name, us)| (name.clone(), us / sends)).collect()
    }

    /// Rates, and the processor time of the sender's path and of deliveries.
    pub(super) fn figures(&self, of: &str) -> Vec<Figure> {
        let each = |kinds: &[&str], count: u64| {
            let us: f64 = kinds.iter().map(|kind| sum(&self.cpu, kind)).sum();
            us / count_as_f64(count.max(1))
        };
        let us = Unit::Microseconds;
        let rate = |count: u64| count_as_f64(count) / self.seconds;
        vec![
            Figure::plain(format!("messages, {of}"), rate(self.sends), Unit::PerSecond),
            Figure::plain(format!("deliveries, {of}"), rate(self.deliveries), Unit::PerSecond),
            Figure::plain(
                format!("groups, Postgres, Redis for a send, {of}"),
                each(&[GROUPS, POSTGRES, REDIS], self.sends),
                us,
            ),
            Figure::plain(format!("gateways for a send, {of}"), each(&[GATEWAY], self.sends), us),
            Figure::plain(
                format!("gateways for a delivery, {of}"),
                each(&[GATEWAY], self.deliveries),
                us,
            ),
        ]
    }
}
