use std::{collections::HashSet, sync::Arc};

use sotto_ids::{DeviceAddress, GroupId};
use sotto_proto::{
    groups::{self as pb, downlink::Item},
    socket::GroupHead,
};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::Groups;
use crate::{
    db,
    domain::device,
    gateways::{AnswerSlot, Gateway},
    metrics,
};

/// Groups in one question for heads.
const MAX_HEADS: usize = 1_000;

/// What a gateway wants to know.
#[derive(Debug)]
pub(crate) enum Question {
    /// Which groups a device is in. `None` where the gateway named no valid one.
    Memberships { connection: u64, device: Option<DeviceAddress> },
    /// Where the logs of groups end. `None` where it named too many.
    Heads { request: u64, groups: Option<Vec<GroupId>> },
}

impl From<pb::ListGroups> for Question {
    fn from(list: pb::ListGroups) -> Self {
        let device = list.device.as_ref().and_then(device);
        Self::Memberships { connection: list.connection, device }
    }
}

impl From<pb::ReadHeads> for Question {
    fn from(read: pb::ReadHeads) -> Self {
        let groups = (read.groups.len() <= MAX_HEADS).then(|| group_ids(&read.groups).collect());
        Self::Heads { request: read.request, groups }
    }
}

/// Those of these bytes that are group ids.
pub(crate) fn group_ids(named: &[bytes::Bytes]) -> impl Iterator<Item = GroupId> {
    named.iter().filter_map(|group| GroupId::try_from(group.as_ref()).ok())
}

impl Groups {
    /// Answers what a gateway asks, many together, until it asks no more.
    ///
    /// An answer takes its room on the way to the gateway before it takes a turn at the
    /// database: a gateway that does not read keeps no other from reading.
    pub(crate) async fn answer_questions(
        &self,
        gateway: &Arc<Gateway>,
        mut questions: mpsc::Receiver<Question>,
    ) {
        while let Some(question) = questions.recv().await {
            if self.lifecycle.is_draining() || gateway.is_due() {
                // It asks again wherever it attaches next.
                return;
            }
            let Some(slot) = gateway.answer_slot().await else { return };
            let mut asked = vec![(question, slot)];
            while let Some(slot) = gateway.free_answer_slot()
                && let Ok(question) = questions.try_recv()
            {
                asked.push((question, slot));
            }
            let groups = self.clone();
            self.lifecycle.spawn("groups.answers", async move { groups.answer(asked).await });
        }
    }

    async fn answer(&self, asked: Vec<(Question, AnswerSlot)>) {
        let span = tracing::info_span!("groups.answers", questions = asked.len());
        async {
            let (mut lists, mut reads) = (Vec::new(), Vec::new());
            for (question, slot) in asked {
                match question {
                    Question::Memberships { connection, device } => {
                        lists.push((connection, device, slot));
                    }
                    Question::Heads { request, groups } => reads.push((request, groups, slot)),
                }
            }
            if !lists.is_empty() {
                self.answer_lists(lists).await;
            }
            for (request, groups, slot) in reads {
                slot.fill(Item::Heads(self.heads(request, groups).await));
            }
        }
        .instrument(span)
        .await;
    }

    /// With one statement, however many sockets have come.
    async fn answer_lists(&self, lists: Vec<(u64, Option<DeviceAddress>, AnswerSlot)>) {
        let devices: HashSet<DeviceAddress> =
            lists.iter().filter_map(|(_, device, _)| *device).collect();
        let devices: Vec<DeviceAddress> = devices.into_iter().collect();
        let limit = self.config.gateways.groups_of_device;
        let heads = {
            // It is never closed; and if it were, the read would only be unmetered.
            let _turn = self.delivery.reads.acquire().await;
            self.in_time(db::read::list_heads_of(&devices, limit, &self.db)).await.ok()
        };
        for (connection, device, slot) in lists {
            let (Some(heads), Some(device)) = (&heads, device) else {
                metrics::read_failed();
                slot.fill(Item::Memberships(pb::Memberships {
                    connection,
                    heads: Vec::new(),
                    failed: true,
                }));
                continue;
            };
            let heads = heads.get(&device).into_iter().flatten().copied();
            slot.fill(Item::Memberships(pb::Memberships {
                connection,
                heads: heads.map(GroupHead::from).collect(),
                failed: false,
            }));
        }
    }

    async fn heads(&self, request: u64, groups: Option<Vec<GroupId>>) -> pb::Heads {
        let read = async {
            let groups = groups?;
            let _turn = self.delivery.reads.acquire().await;
            self.in_time(db::groups::list_heads(&groups, &self.db)).await.ok()
        };
        let Some(heads) = read.await else {
            metrics::read_failed();
            return pb::Heads { request, heads: Vec::new(), failed: true };
        };
        let heads = heads.into_iter().map(GroupHead::from).collect();
        pb::Heads { request, heads, failed: false }
    }
}
