use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sotto_ids::AccountUuid;
use sotto_proto::messages as pb;

use super::{Messages, commit::Accepted};
use crate::{
    device_sets::Known,
    domain::{self, Admission, Refusal, Send},
    gateways::{Gateway, Ticket},
};

/// What is known of the recipients of one batch.
#[derive(Default)]
struct Recipients {
    sets: HashMap<AccountUuid, Known>,
    /// Those that keys was asked about for this batch.
    fresh: HashSet<AccountUuid>,
}

impl Messages {
    /// Takes the sends of one gateway, in their order.
    ///
    /// Each gets its outcome: a refusal at once, an acceptance when its rows are
    /// durable. Returns when all are refused or with a writer, so that the next
    /// sends of the same devices come after these.
    pub(crate) async fn submit(&self, gateway: &Arc<Gateway>, submits: Vec<pb::Submit>) {
        let now_ms = self.clock.now_ms();
        let mut sends = Vec::with_capacity(submits.len());
        for submit in submits {
            let ticket = Ticket::new(Arc::clone(gateway), submit.connection, submit.frame);
            match domain::check(submit, now_ms, &self.rules) {
                Ok(send) => sends.push((ticket, send)),
                Err(refusal) => ticket.refused(refusal),
            }
        }

        let recipients = self.recipients(&sends).await;
        for (ticket, send) in sends {
            match self.admit(&send, &recipients) {
                Some(Admission::Admitted) => {
                    let writer = self.writers.of(send.sender);
                    let rows = domain::rows(send, now_ms, &self.rules);
                    writer.store(Accepted { ticket, server_time_ms: now_ms, rows }).await;
                }
                Some(Admission::Mismatch(mismatch)) => ticket.mismatch(mismatch),
                Some(Admission::Refused(refusal)) => ticket.refused(refusal),
                None => ticket.refused(Refusal::Unavailable),
            }
        }
    }

    /// Gathers what is needed to judge these sends, with at most two questions to
    /// keys: one for the accounts that are not remembered, and one for those that
    /// are, but as they are remembered would turn a send away.
    async fn recipients(&self, sends: &[(Ticket, Send)]) -> Recipients {
        let named: HashSet<AccountUuid> = sends.iter().map(|(_, send)| send.recipient).collect();
        let mut recipients =
            Recipients { sets: self.device_sets.remembered(named.iter()), fresh: HashSet::new() };
        let unknown: HashSet<AccountUuid> =
            named.into_iter().filter(|account| !recipients.sets.contains_key(account)).collect();
        self.ask(unknown, &mut recipients).await;

        let doubtful = sends
            .iter()
            .filter(|(_, send)| !recipients.fresh.contains(&send.recipient))
            .filter(|(_, send)| self.admit(send, &recipients) != Some(Admission::Admitted))
            .map(|(_, send)| send.recipient)
            .collect();
        self.ask(doubtful, &mut recipients).await;
        recipients
    }

    async fn ask(&self, accounts: HashSet<AccountUuid>, recipients: &mut Recipients) {
        if accounts.is_empty() {
            return;
        }
        let asked: Vec<AccountUuid> = accounts.into_iter().collect();
        match self.device_sets.fetch(&asked).await {
            Ok(sets) => recipients.sets.extend(sets),
            // Sends that what is remembered admits pass all the same.
            Err(_keys_away) => recipients.sets.retain(|account, _| !asked.contains(account)),
        }
        recipients.fresh.extend(asked);
    }

    /// `None` where keys could not be asked.
    fn admit(&self, send: &Send, recipients: &Recipients) -> Option<Admission> {
        let set = recipients.sets.get(&send.recipient)?;
        Some(domain::admit(send, set.as_deref(), &self.interop))
    }
}
