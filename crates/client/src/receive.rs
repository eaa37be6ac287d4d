//! Takes envelopes in: decrypts, checks, orders and stores them.
//!
//! A whole batch is one transaction, in which each envelope has a savepoint. So
//! the ratchet never steps without its message, and an envelope that cannot be
//! read spoils no other.

use sotto_ids::{AccountUuid, DeviceAddress, DeviceId, EnvelopeId};
use sotto_proto::socket::{Envelope, MessageClass};
use uuid::Uuid;

use crate::{
    ClientError, ConversationId, Direction, Event, MessageId, MessageState,
    content::{self, Content, Head, Kind, MAX_COUNTER, Sync},
    kinds::{self, Written},
    order::{Arrival, Lane, first_counter},
    signal::decrypt::{self, Opened},
    vault::{
        Own, Tx,
        accounts::{self, Account},
        chains,
        held::{self, Held},
        lanes,
        messages::{self, NewMessage, Stored},
        own, seen,
    },
};

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Intake {
    /// Handled, and to be acknowledged.
    pub(crate) acks: Vec<EnvelopeId>,
    /// Of devices that no chain we have knows: the chain is to be fetched first.
    pub(crate) unknown: Vec<(AccountUuid, Envelope)>,
    /// What senders say of chains and we have not seen.
    pub(crate) claims: Vec<(AccountUuid, Head)>,
}

/// Takes a batch in. With `fresh`, the chains of its senders have just been
/// fetched, and a device that is not in them is refused.
pub(crate) fn take_in(
    tx: &mut Tx<'_>,
    envelopes: Vec<Envelope>,
    fresh: bool,
) -> Result<Intake, ClientError> {
    let own = own::certified(tx.db)?;
    let mut intake = Intake::default();
    for mut envelope in envelopes {
        // Any number may come; the column holds so much.
        envelope.server_time_ms = envelope.server_time_ms.min(MAX_COUNTER);
        let Ok(id) = EnvelopeId::try_from(envelope.id.as_ref()) else {
            tracing::warn!("an envelope came without an id");
            continue;
        };
        // Never stored by the server, so not to be acknowledged, nor worth a place
        // where it cannot be read.
        let ephemeral = envelope.class() == MessageClass::Ephemeral;
        let Some(sender) = sender_of(&envelope) else {
            refuse(tx, id, "malformed_sender", &mut intake)?;
            continue;
        };
        let known = chains::find(tx.db, tx.chains, sender.account)?;
        let certified = known.as_ref().is_some_and(|(_, state)| {
            state.live_device(sender.device).is_some_and(|device| device.is_live_at(tx.now_ms))
        });
        if ephemeral {
            if let Some((account, _)) = known.filter(|_| certified) {
                let arrived = Arrived { own: &own, peer: &account, sender, id };
                let taken = tx.atomically(|tx| arrived.take_in_ephemeral(tx, &envelope));
                if let Err(error) = taken
                    && error.is_of_the_store()
                {
                    return Err(error);
                }
            }
            continue;
        }
        match known {
            Some((account, _)) if certified || fresh => {
                if seen::note(tx.db, id, tx.now_ms)? {
                    let arrived = Arrived { own: &own, peer: &account, sender, id };
                    let taken =
                        tx.atomically(|tx| arrived.take_in(tx, &envelope, certified, &mut intake));
                    if let Err(error) = taken {
                        arrived.give_up(tx, &envelope, error)?;
                    }
                }
                intake.acks.push(id);
            }
            None if fresh => refuse(tx, id, "unknown_sender", &mut intake)?,
            _ => intake.unknown.push((sender.account, envelope)),
        }
    }
    Ok(intake)
}

/// Drops envelopes whose sender cannot be verified.
pub(crate) fn refuse_all(
    tx: &mut Tx<'_>,
    envelopes: &[Envelope],
    reason: &str,
) -> Result<Vec<EnvelopeId>, ClientError> {
    let mut intake = Intake::default();
    for id in envelopes.iter().filter_map(|one| EnvelopeId::try_from(one.id.as_ref()).ok()) {
        refuse(tx, id, reason, &mut intake)?;
    }
    Ok(intake.acks)
}

/// Shows messages that have waited long enough for one that did not come.
pub(crate) fn release_due(tx: &mut Tx<'_>, due_ms: u64) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    // A clock that was put back must not make a short wait a long one.
    held::wait_at_most(tx.db, tx.now_ms.saturating_add(hold_ms(tx)))?;
    for sender in held::senders_due(tx.db, due_ms)? {
        let Some((peer, _)) = chains::find(tx.db, tx.chains, sender.account)? else {
            continue;
        };
        let next = lanes::next(tx.db, sender)?.unwrap_or(1);
        let mut lane = Lane { next, waiting: held::waiting(tx.db, sender)? };
        let shown = lane.expire(due_ms);
        show_held(tx, &own, &peer, sender, &shown)?;
        lanes::set_next(tx.db, sender, lane.next)?;
    }
    tx.holds_changed();
    Ok(())
}

fn hold_ms(tx: &Tx<'_>) -> u64 {
    u64::try_from(tx.tuning.hold.as_millis()).unwrap_or(u64::MAX)
}

fn sender_of(envelope: &Envelope) -> Option<DeviceAddress> {
    let account = AccountUuid::try_from(envelope.sender.as_ref()).ok()?;
    Some(DeviceAddress::new(account, DeviceId::try_from(envelope.sender_device).ok()?))
}

fn refuse(
    tx: &mut Tx<'_>,
    id: EnvelopeId,
    reason: &str,
    intake: &mut Intake,
) -> Result<(), ClientError> {
    if seen::note(tx.db, id, tx.now_ms)? {
        tx.tell(Event::EnvelopeRefused { reason: reason.to_owned() });
    }
    intake.acks.push(id);
    Ok(())
}

/// An envelope of a known account, seen for the first time.
struct Arrived<'a> {
    own: &'a Own,
    peer: &'a Account,
    sender: DeviceAddress,
    id: EnvelopeId,
}

impl Arrived<'_> {
    fn take_in(
        &self,
        tx: &mut Tx<'_>,
        envelope: &Envelope,
        certified: bool,
        intake: &mut Intake,
    ) -> Result<(), ClientError> {
        if !certified {
            return self.show_unreadable(tx, envelope, "sender_not_in_chain");
        }
        let opened =
            decrypt::open(tx, self.own, self.sender, envelope.r#type(), &envelope.ciphertext)?;
        let (plaintext, before_it) = match opened {
            Opened::Plain { plaintext, before_it } => (plaintext, before_it),
            Opened::Duplicate => return Ok(()),
            Opened::Unreadable(reason) => {
                if matches!(reason, "decryption_failed" | "session_broken" | "prekey_not_found") {
                    decrypt::give_up_session(tx, self.sender)?;
                }
                return self.show_unreadable(tx, envelope, reason);
            }
        };
        // From here on the ratchet has stepped: it was a message of this device,
        // whatever it says.
        let Some(plaintext) = content::unpad(plaintext) else {
            return self.show_unreadable(tx, envelope, "malformed_padding");
        };
        let content = match Content::decode(&plaintext) {
            Ok(content) => content,
            Err(content::UNKNOWN) => {
                return self.put(tx, envelope, Stored::Content(plaintext));
            }
            Err(reason) => return self.show_unreadable(tx, envelope, reason),
        };
        self.compare_heads(tx, &content, intake)?;
        // Whoever writes is more than somebody from the same group.
        accounts::set_met_in_group(tx.db, self.sender.account, false)?;
        self.place(tx, envelope, &content, plaintext, before_it)
    }

    /// Takes in what is not stored by the server, and may be lost here too.
    fn take_in_ephemeral(&self, tx: &mut Tx<'_>, envelope: &Envelope) -> Result<(), ClientError> {
        let opened =
            decrypt::open(tx, self.own, self.sender, envelope.r#type(), &envelope.ciphertext)?;
        let Opened::Plain { plaintext, .. } = opened else {
            return Ok(());
        };
        let content = content::unpad(plaintext).map(|plaintext| Content::decode(&plaintext));
        match content {
            Some(Ok(content))
                if matches!(content.kind, Kind::Typing { .. } | Kind::Presence { .. }) =>
            {
                kinds::take(tx, &self.written(envelope.server_time_ms, tx.now_ms), &content, vec![])
            }
            _ => Ok(()),
        }
    }

    fn written(&self, server_time_ms: u64, stored_at_ms: u64) -> Written<'_> {
        Written {
            own: self.own,
            author: self.sender,
            by: self.peer.account,
            peer: self.peer.account,
            group: None,
            server_time_ms,
            stored_at_ms,
        }
    }

    /// Shows that an envelope came that could not be taken in. Where the store itself
    /// has failed there is nothing to show it in, and the whole batch comes again.
    fn give_up(
        &self,
        tx: &mut Tx<'_>,
        envelope: &Envelope,
        error: ClientError,
    ) -> Result<(), ClientError> {
        if error.is_of_the_store() {
            return Err(error);
        }
        tracing::error!(reason = error.reason(), "an envelope could not be taken in");
        self.show_unreadable(tx, envelope, "not_taken_in")
    }

    /// Shows the message, or holds it back until its turn comes.
    fn place(
        &self,
        tx: &mut Tx<'_>,
        envelope: &Envelope,
        content: &Content,
        plaintext: Vec<u8>,
        before_it: u32,
    ) -> Result<(), ClientError> {
        let (sender, counter) = (self.sender, content.counter);
        if messages::exists(tx.db, sender, content.id)? {
            // Encrypted anew by its sender, who had not heard that it was accepted.
            return Ok(());
        }
        let written = self.written(envelope.server_time_ms, tx.now_ms);
        if counter == 0 {
            return kinds::take(tx, &written, content, plaintext);
        }
        let next = match lanes::next(tx.db, sender)? {
            Some(next) => next,
            None => first_counter(counter, before_it),
        };
        let mut lane = Lane { next, waiting: held::waiting(tx.db, sender)? };
        if lane.waiting.contains_key(&counter) {
            let waiting = held::content(tx.db, sender, counter)?.unwrap_or_default();
            if Content::decode(&waiting).is_ok_and(|waiting| waiting.id == content.id) {
                return Ok(());
            }
        }
        let until_ms = tx.now_ms.saturating_add(hold_ms(tx));
        match lane.arrive(counter, until_ms) {
            Arrival::Hold => {
                let server_time_ms = envelope.server_time_ms;
                let stored_at_ms = tx.now_ms;
                let held = Held { content: plaintext, server_time_ms, stored_at_ms };
                held::put(tx.db, sender, counter, until_ms, &held)?;
                tx.holds_changed();
            }
            Arrival::Show { then } => {
                kinds::take(tx, &written, content, plaintext)?;
                show_held(tx, self.own, self.peer, sender, &then)?;
            }
        }
        let shed = lane.shed(tx.tuning.hold_max);
        show_held(tx, self.own, self.peer, sender, &shed)?;
        Ok(lanes::set_next(tx.db, sender, lane.next)?)
    }

    /// Compares what the sender says of both chains with what is pinned here. A
    /// server that shows two people different chains is found out by this.
    fn compare_heads(
        &self,
        tx: &mut Tx<'_>,
        content: &Content,
        intake: &mut Intake,
    ) -> Result<(), ClientError> {
        let mut said = vec![
            (self.sender.account, content.sender_head),
            (self.own.account.uuid(), content.recipient_head),
        ];
        if self.peer.account == self.own.account {
            // Whom another own device knows, this one gets to know too.
            match &content.kind {
                Kind::Sync(Sync::Sent { recipient, head, .. }) => {
                    said.push((recipient.uuid(), *head));
                }
                Kind::Sync(Sync::Contacts(contacts)) => {
                    said.extend(contacts.iter().map(|(id, head)| (id.uuid(), Some(*head))));
                }
                _ => {}
            }
        }
        for (account, head) in said {
            if let Some(head) = head
                && !check_claim(tx, account, head)?
            {
                intake.claims.push((account, head));
            }
        }
        Ok(())
    }

    fn show_unreadable(
        &self,
        tx: &mut Tx<'_>,
        envelope: &Envelope,
        reason: &str,
    ) -> Result<(), ClientError> {
        self.put(tx, envelope, Stored::Unreadable(reason.to_owned()))
    }

    /// Shows something that has no name of its own, under that of its envelope.
    fn put(&self, tx: &mut Tx<'_>, envelope: &Envelope, body: Stored) -> Result<(), ClientError> {
        let new = NewMessage {
            id: MessageId(Uuid::from_bytes(*self.id.as_bytes())),
            conversation: ConversationId::between(&self.own.account, &self.peer.account),
            peer: self.peer.account,
            group: None,
            direction: Direction::Received,
            sender: self.sender,
            body,
            reply_to: None,
            expire_after_s: 0,
            sent_at_ms: envelope.server_time_ms,
            server_time_ms: Some(envelope.server_time_ms),
            stored_at_ms: tx.now_ms,
            read_at_ms: None,
            state: MessageState::Received,
        };
        if let Some(message) = messages::insert(tx.db, new)? {
            tx.tell(Event::Message(Box::new(message)));
        }
        Ok(())
    }
}

/// Compares a head that somebody names with our copy of the chain; `false` where
/// our copy does not go so far. A contradiction is told.
pub(crate) fn check_claim(
    tx: &mut Tx<'_>,
    account: AccountUuid,
    head: Head,
) -> Result<bool, ClientError> {
    let Some(ours) = chains::hash_at(tx.db, account, head.seq)? else {
        return Ok(false);
    };
    if ours.as_bytes() != &head.hash {
        suspect(tx, account)?;
    }
    Ok(true)
}

/// Two views of this account's chain contradict each other.
pub(crate) fn suspect(tx: &mut Tx<'_>, uuid: AccountUuid) -> Result<(), ClientError> {
    if let Some((account, _)) = chains::find(tx.db, tx.chains, uuid)? {
        tx.tell(Event::ForkSuspected { account: account.account });
    }
    Ok(())
}

fn show_held(
    tx: &mut Tx<'_>,
    own: &Own,
    peer: &Account,
    sender: DeviceAddress,
    counters: &[u64],
) -> Result<(), ClientError> {
    for &counter in counters {
        let Some(held) = held::take(tx.db, sender, counter)? else {
            continue;
        };
        tx.holds_changed();
        if let Ok(content) = Content::decode(&held.content) {
            let written = Written {
                own,
                author: sender,
                by: peer.account,
                peer: peer.account,
                group: None,
                server_time_ms: held.server_time_ms,
                stored_at_ms: held.stored_at_ms,
            };
            kinds::take(tx, &written, &content, held.content)?;
        }
    }
    Ok(())
}
