//! One stream to a groups replica, from its attachment to its end.

use std::{net::SocketAddr, sync::Arc};

use sotto_ids::ConnectionId;
use sotto_kit::grpc;
use sotto_proto::groups::{
    AttachGateway, Downlink, GatewayBatch, GroupsBatch, Heads, Memberships, Uplink, downlink,
    groups_service_client::GroupsServiceClient, uplink,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::Groups;
use crate::{
    config::LinksConfig,
    links::{
        Attach, BATCHES_AHEAD, Item, Link, LinkError, Outstanding, overdue, send_up, unanswered,
    },
    registry::Registry,
    session::{io::Event, replies::group_unavailable},
};

/// What a groups replica owes an answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Outcome { connection: u64, frame: u64 },
    Memberships { connection: u64 },
    Heads { request: u64 },
}

impl Item for uplink::Item {
    type Question = Question;

    const ROLE: &'static str = "groups";

    fn question(&self) -> Option<Question> {
        match self {
            Self::Submit(submit) => {
                Some(Question::Outcome { connection: submit.connection, frame: submit.frame })
            }
            Self::ListGroups(list) => Some(Question::Memberships { connection: list.connection }),
            Self::ReadHeads(read) => Some(Question::Heads { request: read.request }),
            Self::Acknowledge(_) | Self::Watch(_) | Self::Unwatch(_) => None,
        }
    }

    fn takes_credit(&self) -> bool {
        matches!(self, Self::Submit(_))
    }

    fn length(&self) -> usize {
        use prost::Message as _;

        match self {
            Self::Submit(submit) => submit.encoded_len(),
            Self::Acknowledge(acknowledge) => acknowledge.encoded_len(),
            Self::ListGroups(list) => list.encoded_len(),
            Self::Watch(watch) => watch.encoded_len(),
            Self::Unwatch(unwatch) => unwatch.encoded_len(),
            Self::ReadHeads(read) => read.encoded_len(),
        }
    }
}

/// What every stream to a groups replica needs.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) gateway: String,
    pub(crate) config: LinksConfig,
    pub(crate) groups: Arc<Groups>,
    pub(crate) registry: Arc<Registry>,
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
        let watcher = self.groups.add_watcher();
        self.groups.links.add(&link);
        self.groups.can_list();
        tracing::info!(credit, role = Self::ROLE, "link attached");

        let outstanding = Outstanding::default();
        let error = tokio::select! {
            error = send_up(&mut items, &outstanding, &self.config, &batches, batch) => error,
            error = self.hand_down(&link, &outstanding, downlinks) => error,
            error = self.groups.keep_watching(&watcher, &link) => error,
            error = overdue(&outstanding, &self.config) => error,
        };

        self.groups.links.remove(&link);
        self.groups.remove_watcher(&watcher);
        for question in unanswered(&link, items, &outstanding).await {
            self.answer(question);
        }
        self.groups.request_audit();
        error
    }
}

impl Attachment {
    async fn attach(
        &self,
        replica: SocketAddr,
    ) -> Result<(mpsc::Sender<GatewayBatch>, Streaming<GroupsBatch>, usize), LinkError> {
        let channel: Channel = grpc::channel(&format!("http://{replica}"))?;
        let mut client = GroupsServiceClient::new(channel)
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
        mut downlinks: Streaming<GroupsBatch>,
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
        match item {
            downlink::Item::Outcome(outcome) => {
                let (connection, frame) = (outcome.connection, outcome.frame);
                if outstanding.settle(&Question::Outcome { connection, frame }) {
                    link.give_back_credit();
                    let result = outcome.result.unwrap_or_else(group_unavailable);
                    let event = Event::GroupOutcome { frame, result };
                    self.registry.post(ConnectionId(connection), event);
                }
            }
            downlink::Item::Publication(publication) => self.groups.publish(&publication),
            downlink::Item::Memberships(Memberships { connection, heads, failed }) => {
                if !outstanding.settle(&Question::Memberships { connection }) {
                    return;
                }
                if failed {
                    self.groups.unlisted(ConnectionId(connection));
                } else {
                    self.groups.listed(ConnectionId(connection), heads);
                }
            }
            // Where they could not be read, the next audit tries again.
            downlink::Item::Heads(Heads { request, heads, failed: _ }) => {
                if outstanding.settle(&Question::Heads { request }) {
                    for head in &heads {
                        self.groups.learn(head);
                    }
                }
            }
        }
    }

    /// Answers what will get no answer any more.
    fn answer(&self, question: Question) {
        match question {
            Question::Outcome { connection, frame } => {
                let event = Event::GroupOutcome { frame, result: group_unavailable() };
                self.registry.post(ConnectionId(connection), event);
            }
            Question::Memberships { connection } => self.groups.unlisted(ConnectionId(connection)),
            Question::Heads { .. } => {}
        }
    }
}

fn batch(items: Vec<uplink::Item>) -> GatewayBatch {
    let items = items.into_iter().map(|item| Uplink { item: Some(item) }).collect();
    GatewayBatch { attach: None, items }
}
