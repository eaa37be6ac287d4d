use std::{sync::Arc, time::Instant};

use sotto_ids::DeviceAddress;
use sotto_kit::clock::millis;
use sotto_proto::{messages as pb, socket};
use tokio::sync::mpsc;
use tracing::Instrument as _;
use uuid::Uuid;

use super::Messages;
use crate::{
    db::{
        self,
        overflows::{Overflow, Telling},
        queue::PageBounds,
    },
    domain,
    gateways::{Gateway, PageSlot, stored},
    metrics,
};

/// A wish for the oldest envelopes of a device.
#[derive(Debug)]
pub(crate) struct PullRequest {
    connection: u64,
    /// `None` where the gateway named no valid device.
    device: Option<DeviceAddress>,
    in_flight: Vec<Uuid>,
    limit: u32,
}

impl From<pb::Pull> for PullRequest {
    fn from(pull: pb::Pull) -> Self {
        Self {
            connection: pull.connection,
            device: pull.device.as_ref().and_then(domain::device),
            in_flight: pull.in_flight.iter().filter_map(|id| Uuid::from_slice(id).ok()).collect(),
            limit: pull.limit,
        }
    }
}

impl Messages {
    /// Reads the pages that a gateway asks for, several at once, until it asks no
    /// more.
    ///
    /// A page takes its room on the way to the gateway before it takes a turn at the
    /// database: a gateway that does not read keeps no other from reading.
    pub(crate) async fn read_pages(
        &self,
        gateway: &Arc<Gateway>,
        mut pulls: mpsc::Receiver<PullRequest>,
    ) {
        while let Some(pull) = pulls.recv().await {
            if self.lifecycle.is_draining() || gateway.is_due() {
                // It asks again wherever it attaches next.
                return;
            }
            let Some(slot) = gateway.page_slot().await else { return };
            let mut turns = vec![(pull, slot)];
            while let Some(slot) = gateway.free_page_slot()
                && let Ok(pull) = pulls.try_recv()
            {
                turns.push((pull, slot));
            }
            let messages = self.clone();
            self.lifecycle.spawn("messages.pages", async move { messages.pages(turns).await });
        }
    }

    /// Judges these pulls together, so that keys is asked once, and reads their pages.
    async fn pages(&self, turns: Vec<(PullRequest, PageSlot)>) {
        let gone = self.gone(turns.iter().filter_map(|(pull, _)| pull.device)).await;
        let pages = turns.into_iter().map(|(pull, slot)| {
            let is_gone = pull.device.is_some_and(|device| gone.contains(&device));
            async move {
                let page = if is_gone {
                    metrics::page_revoked();
                    pb::Page { connection: pull.connection, revoked: true, ..pb::Page::default() }
                } else {
                    self.page(pull).await
                };
                slot.fill(page);
            }
        });
        futures_util::future::join_all(pages).await;
    }

    async fn page(&self, pull: PullRequest) -> pb::Page {
        let failed = pb::Page { connection: pull.connection, failed: true, ..pb::Page::default() };
        let Some(device) = pull.device else {
            return failed;
        };
        // It is never closed; and if it were, the page would only be unmetered.
        let _turn = self.page_turns.acquire().await;

        let mut excluded = pull.in_flight;
        excluded.extend(self.acks.of(device));
        let most = self.config.pages.envelopes;
        let bounds = PageBounds {
            envelopes: if pull.limit == 0 { most } else { pull.limit.min(most) },
            bytes: self.config.pages.bytes.0,
        };
        let started = Instant::now();
        let read = db::queue::page(device, &excluded, self.clock.now_ms(), bounds, &self.db);
        let span = tracing::info_span!("messages.page");
        let Ok((waiting, last)) = self.in_time(read).instrument(span).await else {
            metrics::page_failed();
            return failed;
        };
        metrics::page_read(started.elapsed());
        pb::Page {
            connection: pull.connection,
            envelopes: waiting.into_iter().map(|row| stored(row.id, row.envelope)).collect(),
            last,
            overflow: if last { self.overflow(device).await } else { None },
            ..pb::Page::default()
        }
    }

    /// What a device is told at the end of its queue. Nobody acknowledges it, so that it
    /// is told more than once. Where it cannot be read or noted now, it is told later.
    async fn overflow(&self, device: DeviceAddress) -> Option<socket::QueueOverflow> {
        let now_ms = self.clock.now_ms();
        let telling = Telling {
            first_after_ms: self.told_before_ms(),
            last_before_ms: now_ms.saturating_sub(millis(self.config.queue.overflow_told_every)),
        };
        let is_due = db::overflows::is_due(device, telling, &self.db);
        if !self.in_time(is_due).await.ok()? || self.read_only.check().is_err() {
            return None;
        }
        let tell = db::overflows::tell(device, telling, now_ms, &self.db);
        let Overflow { since_ms, turned_away } = self.in_time(tell).await.ok()??;
        Some(socket::QueueOverflow { since_ms, turned_away })
    }

    /// What devices were told before this is told no more.
    pub(crate) fn told_before_ms(&self) -> u64 {
        self.clock.now_ms().saturating_sub(millis(self.config.queue.overflow_told_for))
    }
}
