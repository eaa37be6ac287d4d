use std::collections::{HashMap, HashSet};

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

/// Sends that are passed on together, so that Redis is asked once for all of them.
const AT_ONCE: usize = 256;

/// Passes on what is never stored, to the gateways of the devices that are on a socket.
///
/// What finds no room or no place on its way is dropped, and nobody looks for it.
#[derive(Debug)]
pub(super) struct Passing(mpsc::Sender<Vec<Row>>);

impl Passing {
    pub(super) fn new(waiting: usize) -> (Self, mpsc::Receiver<Vec<Row>>) {
        let (sender, inbox) = mpsc::channel(waiting);
        (Self(sender), inbox)
    }

    pub(super) fn pass_on(&self, rows: Vec<Row>) {
        if let Err(full) = self.0.try_send(rows) {
            metrics::passed_on(Hint::Crowded, full.into_inner().len());
        }
    }
}

/// Ends with the service.
pub(super) async fn pass_on(
    messages: Messages,
    places: Places,
    mut inbox: mpsc::Receiver<Vec<Row>>,
) {
    let outage = Outage::new("places of those who get what is not stored");
    let mut sends = Vec::with_capacity(AT_ONCE);
    loop {
        tokio::select! {
            _ = inbox.recv_many(&mut sends, AT_ONCE) => {}
            () = messages.finishing.cancelled() => return,
        }
        let rows: Vec<Row> = sends.drain(..).flatten().collect();
        let devices: HashSet<DeviceAddress> = rows.iter().map(|row| row.recipient).collect();
        let devices: Vec<DeviceAddress> = devices.into_iter().collect();
        let span = tracing::info_span!("messages.pass_on", devices = devices.len());
        match places.lookup_many(&devices).instrument(span).await {
            Ok(found) => {
                outage.ends();
                let known = devices.into_iter().zip(found);
                let at = known.filter_map(|(device, place)| Some((device, place?))).collect();
                deliver(&messages, rows, &at);
            }
            Err(error) => {
                outage.begins(&error);
                metrics::passed_on(Hint::PlacesAway, rows.len());
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
                    gateway.pass_on(place.connection.0, row.id, row.envelope)
                })
            }
        };
        metrics::passed_on(hint, 1);
    }
}
