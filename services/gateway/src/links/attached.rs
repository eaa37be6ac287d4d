//! One stream, from its attachment to its end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sotto_ids::{ConnectionId, EnvelopeId};
use sotto_kit::grpc;
use sotto_proto::messages::{
    self, AttachGateway, Downlink, GatewayBatch, MessagesBatch, StoredEnvelope, Uplink, downlink,
    messages_service_client::MessagesServiceClient, uplink::Item,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    Link, Links, cost,
    outstanding::{Outstanding, Unanswered},
};
use crate::{
    config::LinksConfig,
    registry::Registry,
    resync::Resync,
    session::{
        io::{Event, Page, Stored},
        replies::unavailable,
    },
};

/// Batches between the gathering and the connection.
const BATCHES_AHEAD: usize = 2;

/// Where fewer wait than this, the next batch is given time to gather.
const NO_PAUSE_ABOVE: usize = 256;

/// How often it is looked whether an answer is overdue.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a stream could not be attached, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the replica cannot be reached")]
    Unreachable(#[from] grpc::MalformedAddress),
    #[error("the replica refused or broke the stream")]
    Stream(#[from] Status),
    #[error("the replica ended the stream")]
    Ended,
    #[error("the replica did not answer in time")]
    Overdue,
    #[error("the replica sent something else than a welcome first")]
    NoWelcome,
}

/// What every stream of this process needs.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) gateway: String,
    pub(crate) config: LinksConfig,
    pub(crate) links: Arc<Links>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) resync: Arc<Resync>,
}

impl Attachment {
    /// Attaches to a replica and serves the stream until it ends. Cancelled by being
    /// dropped only where the process stops.
    pub(crate) async fn run(&self, replica: SocketAddr, key: u64) -> LinkError {
        let attach = timeout(self.config.attach_timeout, self.attach(replica));
        let (batches, downlinks, credit) = match attach.await {
            Ok(Ok(attached)) => attached,
            Ok(Err(error)) => return error,
            Err(_) => return LinkError::Overdue,
        };
        let (link, items) = Link::new(key, credit, self.config.queue);
        self.links.add(&link);
        tracing::info!(credit, "link attached");
        // Before this moment the replica could tell us nothing.
        self.resync.request();

        let outstanding = Outstanding::default();
        let (error, items) = self.serve(&link, items, &outstanding, batches, downlinks).await;

        self.links.remove(&link);
        self.abandon(&link, items, &outstanding).await;
        self.resync.request_later();
        error
    }

    async fn attach(
        &self,
        replica: SocketAddr,
    ) -> Result<(mpsc::Sender<GatewayBatch>, Streaming<MessagesBatch>, usize), LinkError> {
        let channel: Channel = grpc::channel(&format!("http://{replica}"))?;
        let mut client = MessagesServiceClient::new(channel)
            .max_decoding_message_size(grpc::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(grpc::MAX_MESSAGE_BYTES);
        let (batches, sent) = mpsc::channel(BATCHES_AHEAD);
        let attach = Some(AttachGateway { gateway: self.gateway.clone() });
        // There is room: this is the first of them.
        drop(batches.try_send(GatewayBatch { attach, items: Vec::new() }));
        let mut downlinks = client.attach(ReceiverStream::new(sent)).await?.into_inner();
        let first = downlinks.message().await?.ok_or(LinkError::Ended)?;
        let welcome = first.welcome.ok_or(LinkError::NoWelcome)?;
        let credit = usize::try_from(welcome.credit).unwrap_or(usize::MAX);
        Ok((batches, downlinks, credit))
    }

    async fn serve(
        &self,
        link: &Link,
        mut items: mpsc::Receiver<Item>,
        outstanding: &Outstanding,
        batches: mpsc::Sender<GatewayBatch>,
        downlinks: Streaming<MessagesBatch>,
    ) -> (LinkError, mpsc::Receiver<Item>) {
        let error = tokio::select! {
            error = self.send_up(&mut items, outstanding, batches) => error,
            error = self.hand_down(link, outstanding, downlinks) => error,
            error = self.watch(outstanding) => error,
        };
        (error, items)
    }

    /// Sends what sockets put on the link: what waits goes at once, and while it is on
    /// its way the next batch gathers.
    async fn send_up(
        &self,
        items: &mut mpsc::Receiver<Item>,
        outstanding: &Outstanding,
        batches: mpsc::Sender<GatewayBatch>,
    ) -> LinkError {
        let mut gathered = Vec::new();
        loop {
            if items.recv_many(&mut gathered, self.config.batch_items).await == 0 {
                return LinkError::Ended;
            }
            outstanding.note(&gathered, Instant::now());
            for items in cut(&mut gathered, self.config.batch_bytes.0) {
                if batches.send(GatewayBatch { attach: None, items }).await.is_err() {
                    return LinkError::Ended;
                }
            }
            if items.len() <= NO_PAUSE_ABOVE && !self.config.batch_pause.is_zero() {
                tokio::time::sleep(self.config.batch_pause).await;
            }
        }
    }

    /// Hands what the replica says to the mailboxes of the sockets. Waits for none.
    async fn hand_down(
        &self,
        link: &Link,
        outstanding: &Outstanding,
        mut downlinks: Streaming<MessagesBatch>,
    ) -> LinkError {
        loop {
            match downlinks.message().await {
                Ok(Some(batch)) => {
                    for item in batch.items.into_iter().filter_map(|Downlink { item }| item) {
                        self.hand_down_one(link, outstanding, item);
                    }
                }
                Ok(None) => return LinkError::Ended,
                Err(status) => return status.into(),
            }
        }
    }

    fn hand_down_one(&self, link: &Link, outstanding: &Outstanding, item: downlink::Item) {
        let (connection, event) = match item {
            downlink::Item::Outcome(outcome) => {
                let (connection, frame) = (outcome.connection, outcome.frame);
                if !outstanding.settle_submit(connection, frame) {
                    return;
                }
                link.give_back_credit();
                let result = outcome.result.unwrap_or_else(unavailable);
                (connection, Event::Outcome { frame, result })
            }
            downlink::Item::Delivery(delivery) => {
                let Some(stored) = delivery.envelope.as_ref().and_then(own) else {
                    return;
                };
                let event = if delivery.ephemeral {
                    Event::Ephemeral(stored.encoded)
                } else {
                    Event::Delivery(stored)
                };
                (delivery.connection, event)
            }
            downlink::Item::Page(page) => {
                if !outstanding.settle_pull(page.connection) {
                    return;
                }
                let envelopes = page.envelopes.iter().filter_map(own).collect();
                let messages::Page { connection, last, failed, revoked, overflow, .. } = page;
                (connection, Event::Page(Page { envelopes, last, failed, revoked, overflow }))
            }
        };
        // A socket that is gone needs no answer; its envelopes wait in their queue.
        self.registry.post(ConnectionId(connection), event);
    }

    async fn watch(&self, outstanding: &Outstanding) -> LinkError {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if outstanding.is_overdue(self.config.answer_timeout, Instant::now()) {
                return LinkError::Overdue;
            }
        }
    }

    /// Answers all that will get no answer any more.
    async fn abandon(
        &self,
        link: &Link,
        mut items: mpsc::Receiver<Item>,
        outstanding: &Outstanding,
    ) {
        link.close();
        items.close();
        let mut unanswered = outstanding.give_up();
        while let Some(item) = items.recv().await {
            unanswered.extend(Unanswered::of(&item));
        }
        for unanswered in unanswered {
            match unanswered {
                Unanswered::Submit { connection, frame } => {
                    let result = unavailable();
                    self.registry.post(connection, Event::Outcome { frame, result });
                }
                Unanswered::Pull { connection } => {
                    self.registry.post(connection, Event::Page(Page::failed()));
                }
            }
        }
    }
}

/// Cuts what has gathered into batches of about `most` bytes.
fn cut(gathered: &mut Vec<Item>, most: usize) -> Vec<Vec<Uplink>> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (Vec::with_capacity(gathered.len()), 0);
    for item in gathered.drain(..) {
        let cost = cost(&item);
        if bytes + cost > most && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += cost;
        batch.push(Uplink { item: Some(item) });
    }
    batches.push(batch);
    batches
}

/// An envelope with memory of its own. As it arrives it is a slice of the batch that
/// it came in, and would keep all of that for as long as a slow socket keeps it.
fn own(envelope: &StoredEnvelope) -> Option<Stored> {
    let Ok(id) = EnvelopeId::try_from(envelope.id.as_ref()) else {
        tracing::error!("a replica sent an envelope without a proper id");
        return None;
    };
    Some(Stored { id, encoded: bytes::Bytes::copy_from_slice(&envelope.encoded) })
}

#[cfg(test)]
mod tests {
    use sotto_proto::{
        messages::Submit,
        socket::{DeviceMessage, Send},
    };

    use super::*;

    fn submit(bytes: usize) -> Item {
        let message =
            DeviceMessage { ciphertext: vec![0; bytes].into(), ..DeviceMessage::default() };
        let send = Send { messages: vec![message], ..Send::default() };
        Item::Submit(Submit { send: Some(send), ..Submit::default() })
    }

    #[test]
    fn batches_are_cut_by_their_bytes() {
        let mut gathered: Vec<_> = [10, 10, 980, 200, 2_000, 10].map(submit).into();

        let batches = cut(&mut gathered, 1_000);

        let lengths: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1, 1, 1]);
        assert!(gathered.is_empty());
    }
}
