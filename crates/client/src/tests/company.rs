//! Several people with several devices, and the post between them.

use sotto_ids::AccountUuid;

use super::Party;
use crate::{Draft, Event, Message, MessageId, chores, outbox::enqueue, vault::messages};

impl Party {
    /// Writes something, which stays in the outbox.
    pub(super) async fn draft(&self, to: &Self, draft: Draft) -> MessageId {
        let to = to.account;
        self.vault.run(move |tx| enqueue(tx, to, draft)).await.unwrap()
    }

    /// Lets time pass, and does what is due then.
    pub(super) async fn later(&self, ms: u64) {
        self.after_ms(ms);
        self.vault.run(chores::work).await.unwrap();
    }

    /// The message with this id.
    pub(super) async fn message(&self, id: MessageId) -> Option<Message> {
        self.vault
            .run(move |tx| Ok(messages::first(tx.db, id)?.map(|(_, message)| message)))
            .await
            .unwrap()
    }

    /// Everything in the history, in the order shown: texts, and of what is no text the
    /// kind.
    pub(super) async fn history(&self) -> Vec<String> {
        let messages = self.vault.run(|tx| Ok(messages::after(tx.db, 0, 10_000)?)).await.unwrap();
        messages
            .into_iter()
            .map(|one| one.body.text().map_or_else(|| one.body.kind().to_owned(), str::to_owned))
            .collect()
    }

    /// What was told since the last look.
    pub(super) fn told(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// The words under which contents were refused since the last look.
    pub(super) fn refused(&mut self) -> Vec<String> {
        let reason = |event| match event {
            Event::ContentRefused { reason, .. } => Some(reason),
            _ => None,
        };
        self.told().into_iter().filter_map(reason).collect()
    }
}

/// All of them know each other and have sessions.
pub(super) async fn introduce(all: &[&Party]) {
    for one in all {
        for other in all {
            if one.account != other.account {
                one.meet(other).await;
            }
        }
    }
    for one in all {
        for other in all {
            if one.address != other.address {
                one.open_session(other).await;
            }
        }
    }
}

/// Two people who know each other, the first with a phone and a laptop.
pub(super) async fn two_and_a_laptop() -> (Party, Party, Party) {
    let (alice, bob) = (Party::new().await, Party::new().await);
    let laptop = alice.second_device(2).await;
    introduce(&[&alice, &laptop, &bob]).await;
    (alice, laptop, bob)
}

/// Delivers what anybody has in the outbox, until nobody has anything. What is for an
/// account goes to those of its devices that are here.
pub(super) async fn post(all: &[&Party]) {
    loop {
        let mut quiet = true;
        for from in all {
            for send in from.send_all().await {
                quiet = false;
                let to = AccountUuid::try_from(send.recipient.as_ref()).unwrap();
                for device in all {
                    if device.address.account == to && device.address != from.address {
                        device.receive(from, std::slice::from_ref(&send)).await;
                    }
                }
            }
        }
        if quiet {
            return;
        }
    }
}
