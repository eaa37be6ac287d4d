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

/// What is known of the accounts of one batch: of those that send and those that are
/// sent to.
#[derive(Default)]
struct Parties {
    sets: HashMap<AccountUuid, Known>,
    /// Those that keys was asked about for this batch.
    asked: HashSet<AccountUuid>,
    /// Those of them that it did not answer for.
    unanswered: HashSet<AccountUuid>,
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

        let parties = self.parties(&sends).await;
        for (ticket, send) in sends {
            match self.admit(&send, &parties) {
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
    async fn parties(&self, sends: &[(Ticket, Send)]) -> Parties {
        let named: HashSet<AccountUuid> = sends.iter().flat_map(|(_, send)| of(send)).collect();
        let mut parties =
            Parties { sets: self.device_sets.remembered(named.iter()), ..Parties::default() };
        let unknown: HashSet<AccountUuid> =
            named.into_iter().filter(|account| !parties.sets.contains_key(account)).collect();
        self.ask(unknown, &mut parties).await;

        let doubtful = sends
            .iter()
            .filter(|(_, send)| {
                self.admit(send, &parties).is_some_and(|said| said != Admission::Admitted)
            })
            .flat_map(|(_, send)| of(send))
            .filter(|account| !parties.asked.contains(account))
            .collect();
        self.ask(doubtful, &mut parties).await;
        parties
    }

    async fn ask(&self, accounts: HashSet<AccountUuid>, parties: &mut Parties) {
        if accounts.is_empty() {
            return;
        }
        let asked: Vec<AccountUuid> = accounts.into_iter().collect();
        match self.device_sets.fetch(&asked).await {
            Ok(sets) => parties.sets.extend(sets),
            // Sends that what is remembered admits pass all the same.
            Err(_keys_away) => parties.unanswered.extend(&asked),
        }
        parties.asked.extend(asked);
    }

    /// `None` where keys could not be asked, and what is remembered does not admit it.
    fn admit(&self, send: &Send, parties: &Parties) -> Option<Admission> {
        let sender = parties.sets.get(&send.sender.account)?;
        let recipient = parties.sets.get(&send.recipient)?;
        let said = domain::admit(send, sender.as_deref(), recipient.as_deref(), &self.interop);
        let certain = || of(send).iter().all(|account| !parties.unanswered.contains(account));
        (said == Admission::Admitted || certain()).then_some(said)
    }
}

/// The accounts that a send is between.
const fn of(send: &Send) -> [AccountUuid; 2] {
    [send.sender.account, send.recipient]
}
