//! Writing, and changing what was written.

use std::time::Duration;

use sotto_ids::AccountId;

use super::Client;
use crate::{
    Body, ClientError, DeleteFor, Draft, Edition, Message, MessageId, PollResult, Reaction,
    Receipt,
    kinds::{self, delete, edit, reaction, read, vote},
    outbox,
    vault::{edits, messages, reactions, receipts},
};

impl Client {
    /// Writes to somebody who is known: see [`Self::add_contact`]. It is in the outbox
    /// and the history when this returns, and is sent while online.
    ///
    /// # Errors
    /// `text_length` and other limits by their name, `unknown_message` for what it
    /// answers, `unknown_account`, `chain_fork`, `not_registered`.
    pub async fn send(&self, to: AccountId, draft: Draft) -> Result<MessageId, ClientError> {
        self.inner.vault.run(move |tx| outbox::enqueue(tx, to, draft)).await
    }

    /// Writes a text: as [`Self::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send_text(
        &self,
        to: AccountId,
        text: impl Into<String>,
    ) -> Result<MessageId, ClientError> {
        self.send(to, Draft::text(text)).await
    }

    /// The message with this id, where this device has it.
    ///
    /// # Errors
    /// `store`.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, ClientError> {
        self.inner
            .vault
            .run(move |tx| Ok(messages::first(tx.db, id)?.map(|(_, message)| message)))
            .await
    }

    /// Gives a text of one's own another wording, at most 100 times. Those before stay
    /// with it: see [`Self::editions`].
    ///
    /// # Errors
    /// `unknown_message`, `not_author`, `not_a_text`, `too_many_edits`, `text_length`.
    pub async fn edit(&self, id: MessageId, text: impl Into<String>) -> Result<(), ClientError> {
        let text = text.into();
        self.inner.vault.run(move |tx| edit::write(tx, id, text)).await
    }

    /// What a message says and said before, in the order of writing. Empty where it was
    /// never edited.
    ///
    /// # Errors
    /// `unknown_message`.
    pub async fn editions(&self, id: MessageId) -> Result<Vec<Edition>, ClientError> {
        self.inner.vault.run(move |tx| Ok(edits::list(tx.db, kinds::find(tx, id)?.0)?)).await
    }

    /// Deletes a message. For everybody that is a request to their devices, and copies
    /// that still wait at the server are called back; whoever has read it has read it.
    ///
    /// # Errors
    /// `unknown_message`; for everybody also `not_author`.
    pub async fn delete_message(&self, id: MessageId, whose: DeleteFor) -> Result<(), ClientError> {
        self.inner.vault.run(move |tx| delete::write(tx, id, whose)).await
    }

    /// Reacts to a message, in place of an earlier reaction; with `None` that one is
    /// taken back. 1 to 16 characters.
    ///
    /// # Errors
    /// `unknown_message`, `reaction_length`.
    pub async fn react(&self, id: MessageId, emoji: Option<&str>) -> Result<(), ClientError> {
        let emoji = emoji.map(str::to_owned);
        self.inner.vault.run(move |tx| reaction::write(tx, id, emoji)).await
    }

    /// The reactions to a message, the oldest first.
    ///
    /// # Errors
    /// `unknown_message`.
    pub async fn reactions(&self, id: MessageId) -> Result<Vec<Reaction>, ClientError> {
        self.inner
            .vault
            .run(move |tx| {
                let (name, message) = kinds::find(tx, id)?;
                Ok(reactions::list(tx.db, message.conversation, name)?)
            })
            .await
    }

    /// Votes for options of a poll, numbered from 0, in place of an earlier vote; for
    /// none, to take that one back.
    ///
    /// # Errors
    /// `unknown_message`, `not_a_poll`, `poll_options`.
    pub async fn vote(&self, poll: MessageId, options: &[usize]) -> Result<(), ClientError> {
        let options = options.to_vec();
        self.inner.vault.run(move |tx| vote::write(tx, poll, &options)).await
    }

    /// How a poll stands.
    ///
    /// # Errors
    /// `unknown_message`, `not_a_poll`.
    pub async fn poll_result(&self, poll: MessageId) -> Result<PollResult, ClientError> {
        self.inner.vault.run(move |tx| vote::result(tx, poll)).await
    }

    /// The receipts for a message of one's own, the oldest first.
    ///
    /// # Errors
    /// `store`.
    pub async fn receipts(&self, id: MessageId) -> Result<Vec<Receipt>, ClientError> {
        self.inner.vault.run(move |tx| Ok(receipts::list(tx.db, id)?)).await
    }

    /// From here on, messages with somebody are deleted so long after they were read,
    /// on both sides; with `None` they stay. The other side is told by a message.
    ///
    /// # Errors
    /// `timer_length`, and as [`Self::send`].
    pub async fn set_timer(
        &self,
        peer: AccountId,
        after: Option<Duration>,
    ) -> Result<MessageId, ClientError> {
        self.send(peer, Draft::new(Body::TimerChanged { after })).await
    }

    /// All that somebody wrote so far has been read, here and on one's other devices.
    /// They are told, unless read receipts are off.
    ///
    /// # Errors
    /// `not_registered`, `store`.
    pub async fn mark_read(&self, peer: AccountId) -> Result<(), ClientError> {
        self.inner.vault.run(move |tx| read::mark(tx, peer)).await
    }
}
