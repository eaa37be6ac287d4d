//! Messages on their way into the log: judged, gathered, stored, answered, published.

mod batch;
mod store;
mod writer;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use sotto_ids::{AccountUuid, DeviceAddress, GroupId};
use sotto_proto::{groups as pb, socket::GroupSend};
use tokio::sync::mpsc;

pub(super) use self::batch::Pending;
pub(super) use self::writer::Writer;
use super::Groups;
use crate::{
    config::SendsConfig,
    devices::Known,
    domain::{Refusal, Send, device},
    gateways::{Answer, Gateway, Ticket},
};

/// What keys says of a device that wants to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Live,
    Gone,
    /// Keys could not be asked, and what is remembered does not say.
    Unknown,
}

/// The ways to the writers.
#[derive(Debug)]
pub(super) struct Writers(Vec<mpsc::Sender<Pending>>);

impl Groups {
    /// Takes the messages of one gateway, in their order.
    ///
    /// Each gets its outcome: a refusal of its form at once, the rest when a writer has held
    /// it against its group. Returns when all are refused or with a writer, so that what the
    /// same devices send next comes after these.
    pub(crate) async fn submit(&self, gateway: &Arc<Gateway>, submits: Vec<pb::Submit>) {
        let mut checked = Vec::with_capacity(submits.len());
        for submit in submits {
            let ticket = Ticket::new(Arc::clone(gateway), submit.connection, submit.frame);
            let sender = submit.sender.as_ref().and_then(device);
            match self.check(sender, submit.send) {
                Ok(send) => checked.push((ticket, send)),
                Err(refusal) => ticket.refused(refusal),
            }
        }
        self.hand_over(checked).await;
    }

    /// Takes one message of a caller who waits for what becomes of it.
    pub(crate) async fn send(&self, sender: DeviceAddress, send: GroupSend) -> Answer {
        let (ticket, answer) = Ticket::of_caller();
        match self.check(Some(sender), Some(send)) {
            Ok(send) => self.hand_over(vec![(ticket, send)]).await,
            Err(refusal) => ticket.refused(refusal),
        }
        answer.await.unwrap_or(Answer::Refused(Refusal::Unavailable))
    }

    fn check(
        &self,
        sender: Option<DeviceAddress>,
        send: Option<GroupSend>,
    ) -> Result<Send, Refusal> {
        let send = Send::check(
            sender.ok_or(Refusal::MalformedSender)?,
            send.ok_or(Refusal::MalformedGroupMessage)?,
        )?;
        self.read_only.check()?;
        Ok(send)
    }

    async fn hand_over(&self, checked: Vec<(Ticket, Send)>) {
        let standings = self.standings(checked.iter().map(|(_, send)| send.sender)).await;
        for (ticket, send) in checked {
            match standings.get(&send.sender) {
                Some(Standing::Live) => {
                    self.delivery.writers.hand_over(Pending { ticket, send }).await;
                }
                Some(Standing::Gone) => ticket.refused(Refusal::UnknownSender),
                Some(Standing::Unknown) | None => ticket.refused(Refusal::Unavailable),
            }
        }
    }

    /// Whether devices are live, with at most one question to keys: a token outlives the
    /// revocation of its device by minutes. What is remembered admits a device and never
    /// refuses it.
    async fn standings(
        &self,
        devices: impl Iterator<Item = DeviceAddress>,
    ) -> HashMap<DeviceAddress, Standing> {
        let devices: HashSet<DeviceAddress> = devices.collect();
        let mut known = self.devices.remembered(devices.iter().map(|device| device.account));
        let has = |known: &HashMap<AccountUuid, Known>, device: &DeviceAddress| {
            let account = known.get(&device.account);
            account.is_some_and(|is| is.as_ref().is_some_and(|is| is.has(device.device)))
        };
        let doubtful: HashSet<AccountUuid> = devices
            .iter()
            .filter(|device| !has(&known, device))
            .map(|device| device.account)
            .collect();
        let mut unanswered = HashSet::new();
        if !doubtful.is_empty() {
            let asked: Vec<AccountUuid> = doubtful.iter().copied().collect();
            match self.devices.fetch(&asked).await {
                Ok(answers) => known.extend(answers),
                // What is remembered and admits goes on all the same.
                Err(_keys_away) => unanswered = doubtful,
            }
        }
        let standing = |device: &DeviceAddress| {
            if has(&known, device) {
                Standing::Live
            } else if unanswered.contains(&device.account) {
                Standing::Unknown
            } else {
                Standing::Gone
            }
        };
        devices.iter().map(|device| (*device, standing(device))).collect()
    }
}

impl Writers {
    pub(super) fn new(config: &SendsConfig) -> (Self, Vec<mpsc::Receiver<Pending>>) {
        let (senders, inboxes) = (0..config.writers).map(|_| mpsc::channel(config.waiting)).unzip();
        (Self(senders), inboxes)
    }

    /// Hands a message to the writer of its group, always the same: so the messages of one
    /// device to one group are stored in their order. Waits while the writer is behind.
    async fn hand_over(&self, pending: Pending) {
        let refused = match self.of(pending.send.group) {
            Some(inbox) => inbox.send(pending).await.err().map(|returned| returned.0),
            None => Some(pending),
        };
        // The writer has ended with the process.
        if let Some(pending) = refused {
            pending.ticket.refused(Refusal::Unavailable);
        }
    }

    fn of(&self, group: GroupId) -> Option<&mpsc::Sender<Pending>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(group);
        let index = hash.checked_rem(self.0.len() as u64);
        self.0.get(usize::try_from(index?).ok()?)
    }
}
