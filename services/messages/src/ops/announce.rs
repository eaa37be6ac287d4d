use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sotto_ids::DeviceAddress;
use sotto_store::places::{Place, Places};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::Messages;
use crate::{
    domain::Row,
    metrics::{self, Hint},
    outage::Outage,
};

/// Tells gateways of envelopes that have just become durable.
///
/// An announcement is a hint. Whatever goes wrong here, the row stands, and its
/// device gets it when it next asks. So nothing here makes a writer wait.
#[derive(Debug)]
pub(super) struct Announcer(mpsc::Sender<Vec<Row>>);

impl Announcer {
    /// Starts the task that looks places up. Each writer has its own, so that
    /// envelopes of one sender are announced in their order.
    pub(super) fn start(messages: &Messages, places: Places, outage: Arc<Outage>) -> Self {
        let (sender, batches) = mpsc::channel(messages.config.commit.hints_waiting);
        let task = announce(messages.clone(), places, outage, batches);
        messages.lifecycle.spawn("messages.announcer", task);
        Self(sender)
    }

    pub(super) fn announce(&self, rows: Vec<Row>) {
        if let Err(full) = self.0.try_send(rows) {
            count(Hint::Crowded, full.into_inner().len());
        }
    }
}

/// Ends when the writer has.
async fn announce(
    messages: Messages,
    places: Places,
    outage: Arc<Outage>,
    mut batches: mpsc::Receiver<Vec<Row>>,
) {
    while let Some(rows) = batches.recv().await {
        let devices: HashSet<DeviceAddress> = rows.iter().map(|row| row.recipient).collect();
        let devices: Vec<DeviceAddress> = devices.into_iter().collect();
        let span = tracing::info_span!("messages.announce", devices = devices.len());
        match places.lookup_many(&devices).instrument(span).await {
            Ok(found) => {
                outage.ends();
                let known = devices.into_iter().zip(found);
                let at = known.filter_map(|(device, place)| Some((device, place?))).collect();
                deliver(&messages, rows, &at);
            }
            Err(error) => {
                outage.begins(&error);
                count(Hint::PlacesAway, rows.len());
            }
        }
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
        count(hint, 1);
    }
}

fn count(hint: Hint, envelopes: usize) {
    metrics::hinted(hint, u64::try_from(envelopes).unwrap_or(u64::MAX));
}
