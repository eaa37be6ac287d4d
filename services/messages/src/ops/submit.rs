use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sotto_ids::AccountUuid;
use sotto_proto::messages as pb;

use super::{
    Messages,
    writers::{Accepted, Retracting, Work},
};
use crate::{
    device_sets::Known,
    domain::{self, Admission, Class, Refusal, Retraction, Send},
    gateways::{Gateway, Ticket},
};

/// What a device wants of its writer.
#[derive(Debug)]
pub(crate) enum Wish {
    Send(pb::Submit),
    Retract(pb::Retract),
}

/// A wish that is well-formed.
enum Checked {
    Send(Send),
    Retraction(Retraction),
}

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
    /// Takes the sends and retractions of one gateway, in their order.
    ///
    /// Each gets its outcome: a refusal at once, an acceptance when its rows are
    /// durable. Returns when all are refused or with a writer, so that what the same
    /// devices want next comes after these.
    pub(crate) async fn submit(&self, gateway: &Arc<Gateway>, wishes: Vec<Wish>) {
        let now_ms = self.clock.now_ms();
        let mut checked = Vec::with_capacity(wishes.len());
        for wish in wishes {
            let (connection, frame) = wish.whose();
            let ticket = Ticket::new(Arc::clone(gateway), connection, frame);
            match self.check(wish, now_ms) {
                Ok(wish) => checked.push((ticket, wish)),
                Err(refusal) => ticket.refused(refusal),
            }
        }

        let parties = self.parties(&checked).await;
        for (ticket, wish) in checked {
            match self.admit(&wish, &parties) {
                Some(Admission::Admitted) => self.hand_over(ticket, wish, now_ms).await,
                Some(Admission::Mismatch(mismatch)) => ticket.mismatch(mismatch),
                Some(Admission::Refused(refusal)) => ticket.refused(refusal),
                None => ticket.refused(Refusal::Unavailable),
            }
        }
    }

    fn check(&self, wish: Wish, now_ms: u64) -> Result<Checked, Refusal> {
        let checked = match wish {
            Wish::Send(submit) => Checked::Send(domain::check(submit, now_ms, &self.rules)?),
            Wish::Retract(retract) => Checked::Retraction(Retraction::check(retract)?),
        };
        if checked.writes() {
            self.read_only.check()?;
        }
        Ok(checked)
    }

    async fn hand_over(&self, ticket: Ticket, wish: Checked, now_ms: u64) {
        let (sender, work) = match wish {
            Checked::Send(send) => {
                let (sender, class) = (send.sender, send.class);
                let app = self.interop.label(&send.app).to_owned();
                let rows = domain::rows(send, now_ms, &self.rules);
                if class == Class::Ephemeral {
                    self.ephemeral.pass_on(rows);
                    crate::metrics::accepted(class, &app);
                    ticket.accepted(now_ms, Vec::new());
                    return;
                }
                (sender, Work::Store(Accepted { ticket, server_time_ms: now_ms, class, app, rows }))
            }
            Checked::Retraction(Retraction { sender, copies }) => {
                (sender, Work::Retract(Retracting { ticket, copies }))
            }
        };
        self.writers.of(sender).hand_over(work).await;
    }

    /// Gathers what is needed to judge these, with at most two questions to keys: one
    /// for the accounts that are not remembered, and one for those that are, but as
    /// they are remembered would turn one of these away.
    async fn parties(&self, wishes: &[(Ticket, Checked)]) -> Parties {
        let named: HashSet<AccountUuid> =
            wishes.iter().flat_map(|(_, wish)| wish.parties()).collect();
        let mut parties =
            Parties { sets: self.device_sets.remembered(named.iter()), ..Parties::default() };
        let unknown: HashSet<AccountUuid> =
            named.into_iter().filter(|account| !parties.sets.contains_key(account)).collect();
        self.ask(unknown, &mut parties).await;

        let doubtful = wishes
            .iter()
            .filter(|(_, wish)| {
                self.admit(wish, &parties).is_some_and(|said| said != Admission::Admitted)
            })
            .flat_map(|(_, wish)| wish.parties())
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
            // What is remembered and admits goes on all the same.
            Err(_keys_away) => parties.unanswered.extend(&asked),
        }
        parties.asked.extend(asked);
    }

    /// `None` where keys could not be asked, and what is remembered does not admit it.
    fn admit(&self, wish: &Checked, parties: &Parties) -> Option<Admission> {
        let [sender, recipient] = wish.parties();
        let sender = parties.sets.get(&sender)?;
        let recipient = parties.sets.get(&recipient)?;
        let said = match wish {
            Checked::Send(send) => {
                domain::admit(send, sender.as_deref(), recipient.as_deref(), &self.interop)
            }
            Checked::Retraction(retraction) => {
                domain::admit_retraction(retraction, sender.as_deref())
            }
        };
        let certain = || wish.parties().iter().all(|party| !parties.unanswered.contains(party));
        (said == Admission::Admitted || certain()).then_some(said)
    }
}

impl Wish {
    /// The connection and the frame that it came with.
    const fn whose(&self) -> (u64, u64) {
        match self {
            Self::Send(submit) => (submit.connection, submit.frame),
            Self::Retract(retract) => (retract.connection, retract.frame),
        }
    }
}

impl Checked {
    fn writes(&self) -> bool {
        !matches!(self, Self::Send(send) if send.class == Class::Ephemeral)
    }

    /// The accounts that it is judged by. A retraction needs no leave of its recipient.
    const fn parties(&self) -> [AccountUuid; 2] {
        match self {
            Self::Send(send) => [send.sender.account, send.recipient],
            Self::Retraction(retraction) => [retraction.sender.account, retraction.sender.account],
        }
    }
}
