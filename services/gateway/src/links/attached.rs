//! One stream to a messages replica, from its attachment to its end.

use std::{net::SocketAddr, sync::Arc};

use sotto_ids::{ConnectionId, EnvelopeId};
use sotto_kit::grpc;
use sotto_proto::messages::{
    self, AttachGateway, Downlink, GatewayBatch, MessagesBatch, StoredEnvelope, Uplink, downlink,
    messages_service_client::MessagesServiceClient, uplink,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::{
    Attach, BATCHES_AHEAD, Item, Link, LinkError, Links, Outstanding, overdue, send_up, unanswered,
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

/// What a messages replica owes an answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// A submit, or a retract: what an outcome answers.
    Outcome {
        connection: u64,
        frame: u64,
    },
    Page {
        connection: u64,
    },
}

impl Item for uplink::Item {
    type Question = Question;

    const ROLE: &'static str = "messages";

    fn question(&self) -> Option<Question> {
        let outcome = |connection, frame| Some(Question::Outcome { connection, frame });
        match self {
            Self::Submit(submit) => outcome(submit.connection, submit.frame),
            Self::Retract(retract) => outcome(retract.connection, retract.frame),
            Self::Pull(pull) => Some(Question::Page { connection: pull.connection }),
            Self::Acknowledge(_) => None,
        }
    }

    fn takes_credit(&self) -> bool {
        matches!(self, Self::Submit(_) | Self::Retract(_))
    }

    fn length(&self) -> usize {
        use prost::Message as _;

        match self {
            Self::Submit(submit) => submit.encoded_len(),
            Self::Acknowledge(acknowledge) => acknowledge.encoded_len(),
            Self::Pull(pull) => pull.encoded_len(),
            Self::Retract(retract) => retract.encoded_len(),
        }
    }
}

/// What every stream to a messages replica needs.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) gateway: String,
    pub(crate) config: LinksConfig,
    pub(crate) links: Arc<Links<uplink::Item>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) resync: Arc<Resync>,
}

impl Attach for Attachment {
    const ROLE: &'static str = <uplink::Item as Item>::ROLE;

    fn config(&self) -> &LinksConfig {
        &self.config
    }

    async fn run(&self, replica: SocketAddr, key: u64) -> LinkError {
        let attach = timeout(self.config.attach_timeout, self.attach(replica));
        let (batches, downlinks, credit) = match attach.await {
            Ok(Ok(attached)) => attached,
            Ok(Err(error)) => return error,
            Err(_) => return LinkError::Overdue,
        };
        let (link, mut items) = Link::new(key, credit, self.config.queue);
        self.links.add(&link);
        tracing::info!(credit, "link attached");
        // Before this moment the replica could tell us nothing.
        self.resync.request();

        let outstanding = Outstanding::default();
        let error = tokio::select! {
            error = send_up(&mut items, &outstanding, &self.config, &batches, batch) => error,
            error = self.hand_down(&link, &outstanding, downlinks) => error,
            error = overdue(&outstanding, &self.config) => error,
        };

        self.links.remove(&link);
        for question in unanswered(&link, items, &outstanding).await {
            self.answer(question);
        }
        self.resync.request_later();
        error
    }
}

impl Attachment {
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

    /// Hands what the replica says to the mailboxes of the sockets. Waits for none.
    async fn hand_down(
        &self,
        link: &Link<uplink::Item>,
        outstanding: &Outstanding<Question>,
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

    fn hand_down_one(
        &self,
        link: &Link<uplink::Item>,
        outstanding: &Outstanding<Question>,
        item: downlink::Item,
    ) {
        let (connection, event) = match item {
            downlink::Item::Outcome(outcome) => {
                let (connection, frame) = (outcome.connection, outcome.frame);
                if !outstanding.settle(&Question::Outcome { connection, frame }) {
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
                if !outstanding.settle(&Question::Page { connection: page.connection }) {
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

    /// Answers what will get no answer any more.
    fn answer(&self, question: Question) {
        let (connection, event) = match question {
            Question::Outcome { connection, frame } => {
                (connection, Event::Outcome { frame, result: unavailable() })
            }
            Question::Page { connection } => (connection, Event::Page(Page::failed())),
        };
        self.registry.post(ConnectionId(connection), event);
    }
}

fn batch(items: Vec<uplink::Item>) -> GatewayBatch {
    let items = items.into_iter().map(|item| Uplink { item: Some(item) }).collect();
    GatewayBatch { attach: None, items }
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
