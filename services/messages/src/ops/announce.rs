use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use sotto_ids::DeviceAddress;
use sotto_store::places::{Place, Places};
use tokio::sync::{Notify, mpsc};
use tracing::Instrument as _;

use super::{Messages, writers::Retracting};
use crate::{
    domain::{Refusal, Row},
    metrics::{self, Hint},
    outage::Outage,
};

/// How often places are asked again after hints were lost, where nothing new asks.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Tells gateways of envelopes that have just become durable.
///
/// An announcement is a hint. Whatever goes wrong here, the row stands, and its
/// device gets it when it next asks. So nothing here makes a writer wait. Where hints
/// were lost and it is not known whose, every gateway is made to attach again, so
/// that devices ask soon: at the end of the outage, or of the crowd.
#[derive(Debug)]
pub(super) struct Announcer {
    batches: mpsc::Sender<Announcement>,
    crowded: Arc<Notify>,
}

/// What a writer has done.
#[derive(Debug)]
pub(super) struct Announcement {
    pub(super) rows: Vec<Row>,
    /// Retractions whose rows are gone. They are answered when everything that was
    /// announced before has been given to its gateway: from then on nothing of them is.
    pub(super) retracted: Vec<Retracting>,
}

impl Announcer {
    /// Starts the task that looks places up. Each writer has its own, so that
    /// envelopes of one sender are announced in their order.
    pub(super) fn start(messages: &Messages, places: Places, outage: Arc<Outage>) -> Self {
        let (sender, batches) = mpsc::channel(messages.config.commit.hints_waiting);
        let crowded = Arc::new(Notify::new());
        let task = announce(messages.clone(), places, outage, batches, Arc::clone(&crowded));
        messages.lifecycle.spawn("messages.announcer", task);
        Self { batches: sender, crowded }
    }

    pub(super) fn announce(&self, done: Announcement) {
        if done.rows.is_empty() && done.retracted.is_empty() {
            return;
        }
        if let Err(full) = self.batches.try_send(done) {
            let Announcement { rows, retracted } = full.into_inner();
            metrics::hinted(Hint::Crowded, rows.len());
            self.crowded.notify_one();
            // Asking again finds nothing left to delete.
            for retracting in retracted {
                retracting.ticket.refused(Refusal::Unavailable);
            }
        }
    }
}

/// Ends when the writer has.
async fn announce(
    messages: Messages,
    places: Places,
    outage: Arc<Outage>,
    mut batches: mpsc::Receiver<Announcement>,
    crowded: Arc<Notify>,
) {
    // One of those whose hints were lost: the question whether places are back.
    let mut lost: Option<DeviceAddress> = None;
    loop {
        let Announcement { rows, retracted } = tokio::select! {
            done = batches.recv() => match done {
                Some(done) => done,
                None => return,
            },
            // During an outage it would be too early.
            () = crowded.notified(), if !outage.lasts() => {
                messages.gateways.lose_hints();
                continue;
            }
            () = tokio::time::sleep(ASK_AGAIN), if lost.is_some() => {
                Announcement { rows: Vec::new(), retracted: Vec::new() }
            }
        };
        let mut devices: HashSet<DeviceAddress> = rows.iter().map(|row| row.recipient).collect();
        devices.extend(lost);
        let devices: Vec<DeviceAddress> = devices.into_iter().collect();
        if devices.is_empty() {
            answer(retracted);
            continue;
        }
        let span = tracing::info_span!("messages.announce", devices = devices.len());
        match places.lookup_many(&devices).instrument(span).await {
            Ok(found) => {
                lost = None;
                if outage.ends() {
                    messages.gateways.lose_hints();
                }
                let known = devices.into_iter().zip(found);
                let at = known.filter_map(|(device, place)| Some((device, place?))).collect();
                deliver(&messages, rows, &at);
            }
            Err(error) => {
                outage.begins(&error);
                lost = devices.first().copied();
                metrics::hinted(Hint::PlacesAway, rows.len());
            }
        }
        answer(retracted);
    }
}

fn answer(retracted: Vec<Retracting>) {
    for retracting in retracted {
        retracting.ticket.retracted();
    }
}

fn deliver(messages: &Messages, rows: Vec<Row>, at: &HashMap<DeviceAddress, Place>) {
    for row in rows {
        let hint = match at.get(&row.recipient) {
            None => Hint::Offline,
            Some(place) => {
                messages.gateways.find(&place.gateway).map_or(Hint::NotAttached, |gateway| {
                    gateway.deliver(place.connection.0, row.id, row.envelope)
                })
            }
        };
        metrics::hinted(hint, 1);
    }
}
