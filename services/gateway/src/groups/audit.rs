//! What finds out that a hint was lost, and what tidies up.

use std::{sync::PoisonError, time::Duration};

use sotto_ids::GroupId;
use sotto_proto::groups::{ReadHeads, uplink::Item};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Groups, watching::bytes_of};
use crate::metrics;

/// How often it is looked what is overdue.
const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// How many of those looks pass between two at what is not urgent.
const SELDOM: u32 = 10;

impl Groups {
    /// Asks for an audit at once: a stream was lost, and what was published on it.
    pub(super) fn request_audit(&self) {
        self.audit.notify_one();
    }

    /// Reads the ends of all logs that sockets here are in, again and again, each time at
    /// another replica.
    pub(super) async fn audit(&self, first: Duration) {
        let (mut pause, mut turn) = (first, 0_usize);
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.audit.notified() => {}
            }
            pause = self.config.audit_interval;
            let ids: Vec<GroupId> = self
                .watched
                .iter()
                .filter(|group| group.is_used())
                .map(|group| *group.key())
                .collect();
            for ids in ids.chunks(self.config.audit_batch) {
                turn = turn.wrapping_add(1);
                let Some(link) = self.links.take_turn(turn) else { break };
                let request = self.next_request();
                let item = Item::ReadHeads(ReadHeads { request, groups: bytes_of(ids) });
                // Where it is lost by now, the next audit comes soon.
                drop(link.send(Box::new(item)).await);
            }
        }
    }

    /// Looks for what is overdue, again and again.
    pub(super) async fn sweep(&self) {
        let mut interval = tokio::time::interval(SWEEP_EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0_u32;
        loop {
            interval.tick().await;
            let now = Instant::now();
            self.repair(now);
            if round.is_multiple_of(SELDOM) {
                self.unwatch(now);
                self.list_due(now);
            }
            round = round.wrapping_add(1);
        }
    }

    /// Has sockets told where a log ends of which something stays missing.
    pub(super) fn repair(&self, now: Instant) {
        let doubtful =
            std::mem::take(&mut *self.doubtful.lock().unwrap_or_else(PoisonError::into_inner));
        for id in doubtful {
            if self.find(id).is_some_and(|group| group.repair(self.config.gap_patience, now)) {
                self.doubt(id);
            }
        }
    }

    /// Ends the watches of groups that everybody has left for a while.
    pub(super) fn unwatch(&self, now: Instant) {
        let patience = self.config.unwatch_after;
        loop {
            let id = {
                let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
                let due = |(since, _): &(Instant, GroupId)| {
                    now.saturating_duration_since(*since) >= patience
                };
                match left.front() {
                    Some(first) if due(first) => left.pop_front().map(|(_, id)| id),
                    _ => None,
                }
            };
            let Some(id) = id else { return };
            if self.watched.remove_if(&id, |_, group| group.is_left(patience, now)).is_some() {
                metrics::groups_watched().decrement(1.0);
                self.watchers.mark(id);
            }
        }
    }
}
