use std::{sync::Arc, time::Instant};

use sotto_ids::DeviceAddress;
use sotto_proto::messages as pb;
use tokio::sync::mpsc;
use tracing::Instrument as _;
use uuid::Uuid;

use super::Messages;
use crate::{
    db::{self, queue::PageBounds},
    domain,
    gateways::{Gateway, stored},
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
            let messages = self.clone();
            self.lifecycle.spawn("messages.page", async move {
                slot.fill(messages.page(pull).await);
            });
        }
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
            ..pb::Page::default()
        }
    }
}
