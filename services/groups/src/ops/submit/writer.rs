use std::{
    collections::{HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use sotto_ids::{DeviceAddress, GroupId};
use sotto_proto::socket::{GroupEntry, GroupEntryKind};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{
    super::Groups,
    batch::{self, Fate, Pending},
    store::Stored,
};
use crate::{
    db,
    domain::{Epoch, Head, Send},
    gateways::{Answer, Stale, entry_bytes},
    metrics,
};

/// Makes messages durable, many in one transaction.
///
/// A commit costs about the same for one message and for hundreds, so a writer collects
/// for a few milliseconds before each. While a commit runs, the next batch gathers.
#[derive(Debug)]
pub(in crate::ops) struct Writer {
    groups: Groups,
    inbox: mpsc::Receiver<Pending>,
}

/// What one who was late is told, by group and the epoch in which he was.
type Missed = HashMap<(GroupId, Epoch), (Vec<GroupEntry>, bool)>;

impl Writer {
    pub(in crate::ops) const fn new(groups: Groups, inbox: mpsc::Receiver<Pending>) -> Self {
        Self { groups, inbox }
    }

    /// Ends when the service does and all that waited has been taken.
    pub(in crate::ops) async fn run(mut self) {
        loop {
            let batch = self.collect().await;
            if batch.is_empty() {
                return;
            }
            self.commit(batch).await;
        }
    }

    /// Waits for messages. Comes back with none only at the end.
    async fn collect(&mut self) -> Vec<Pending> {
        let mut batch = Vec::new();
        let Some(first) = self.first().await else { return batch };
        let mut bytes = first.send.message.len();
        batch.push(first);

        let config = &self.groups.config.sends;
        let time_is_up = tokio::time::sleep(config.collect);
        tokio::pin!(time_is_up);
        while batch.len() < config.messages && bytes < config.bytes.0 {
            let next = tokio::select! {
                biased;
                next = self.inbox.recv() => next,
                () = &mut time_is_up => None,
            };
            let Some(next) = next else { break };
            bytes += next.send.message.len();
            batch.push(next);
        }
        batch
    }

    async fn first(&mut self) -> Option<Pending> {
        tokio::select! {
            biased;
            first = self.inbox.recv() => first,
            () = self.groups.delivery.finishing.cancelled() => {
                self.inbox.close();
                self.inbox.recv().await
            }
        }
    }

    /// Stores, and only then answers and publishes.
    async fn commit(&self, batch: Vec<Pending>) {
        let groups = batch::groups(&batch).len();
        let span = tracing::info_span!("groups.store", messages = batch.len(), groups);
        let started = Instant::now();
        let stored = self.groups.in_time(self.groups.store(&batch)).instrument(span).await;
        let Stored { fates, publications } = match stored {
            Ok(stored) => stored,
            Err(fault) => {
                metrics::store_failed();
                // Whether it was stored is not known if the answer was lost. The same
                // message again finds where it stands.
                for pending in batch {
                    pending.ticket.refused(fault.into());
                }
                return;
            }
        };
        count(&fates, groups, started.elapsed());
        for (turn, entries) in publications {
            turn.publish(entries, false);
        }
        let mut late = Vec::new();
        for (pending, fate) in batch.into_iter().zip(fates) {
            match fate {
                Fate::Stands { seq, server_time_ms, .. } => {
                    pending.ticket.answer(Answer::Accepted { seq, server_time_ms });
                }
                Fate::Refused(refusal) => pending.ticket.refused(refusal),
                Fate::Stale { head } => late.push((pending, head)),
            }
        }
        self.tell_late(late).await;
    }

    /// Answers those whose epoch is over with what they have missed. It is read after the
    /// transaction, which holds up others; what is in the log stays there.
    async fn tell_late(&self, late: Vec<(Pending, Head)>) {
        if late.is_empty() {
            return;
        }
        let senders: Vec<(GroupId, DeviceAddress)> =
            late.iter().map(|(pending, _)| (pending.send.group, pending.send.sender)).collect();
        let joined = db::append::list_joined(&senders, &self.groups.db);
        let joined = self.groups.in_time(joined).await.unwrap_or_default();
        let mut missed = Missed::new();
        for (pending, head) in late {
            let Send { group, sender, at, .. } = pending.send;
            let (mut entries, mut more) = match missed.entry((group, at)) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(unknown) => unknown.insert(self.missed(at, head).await).clone(),
            };
            // Nobody is told what was before it came, whatever epoch it claims to be in.
            let joined_seq = joined.get(&(group, sender)).copied().unwrap_or(u64::MAX);
            let before = entries.len();
            entries.retain(|entry| entry.seq >= joined_seq);
            more |= entries.len() < before;
            pending.ticket.answer(Answer::Stale(Stale { now: head.at, entries, more }));
        }
    }

    /// What changed the epoch since `from`, within bounds, and whether that is not all of
    /// it. Where it cannot be read, the device finds it in the log.
    async fn missed(&self, from: Epoch, head: Head) -> (Vec<GroupEntry>, bool) {
        if from > head.at {
            // It never was there, and is told where the group is.
            return (Vec::new(), false);
        }
        let bounds = &self.groups.config.commits;
        // One more shows that there is more; and the first may be how the epoch began.
        let limit = bounds.refusal_entries;
        let read = db::log::list_handshakes(head.group, from, head.seq, limit + 2, &self.groups.db);
        let Ok(mut entries) = self.groups.in_time(read).await else {
            return (Vec::new(), true);
        };
        let is_at =
            |entry: &GroupEntry| (entry.generation, entry.epoch) == (from.generation, from.epoch);
        entries.retain(|entry| entry.kind() != GroupEntryKind::Reset || !is_at(entry));
        let begins = entries.first().is_some_and(is_at);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut more = !begins || entries.len() > limit;
        entries.truncate(limit);
        while entries.len() > 1 && entry_bytes(&entries) > bounds.refusal_bytes.0 {
            entries.pop();
            more = true;
        }
        (entries, more)
    }
}

fn count(fates: &[Fate], groups: usize, took: Duration) {
    let new = fates.iter().filter(|fate| matches!(fate, Fate::Stands { new: true, .. })).count();
    let again = fates.iter().filter(|fate| matches!(fate, Fate::Stands { new: false, .. })).count();
    metrics::stored(new, again, groups, took);
    metrics::stale(fates.iter().filter(|fate| matches!(fate, Fate::Stale { .. })).count());
}
