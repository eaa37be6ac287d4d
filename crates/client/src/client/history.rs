//! Conversations and what was said in them.

use sotto_ids::AccountId;

use super::Client;
use crate::{
    ClientError, Conversation, ConversationId, Message,
    content::timer,
    vault::{chains, messages, own, timers},
};

impl Client {
    /// All conversations, that with the newest message first.
    ///
    /// # Errors
    /// `not_registered`, `store`.
    pub async fn conversations(&self) -> Result<Vec<Conversation>, ClientError> {
        self.inner
            .vault
            .run(|tx| {
                let newest = messages::newest(tx.db)?;
                newest
                    .into_iter()
                    .map(|last| {
                        let known = chains::find(tx.db, tx.chains, last.peer.uuid())?;
                        let handle = known.and_then(|(_, state)| state.handle.clone());
                        Ok(Conversation {
                            id: last.conversation,
                            peer: last.peer,
                            group: last.group,
                            handle: handle.map(|handle| handle.to_string()),
                            unread: messages::unread(tx.db, last.conversation)?,
                            timer: timer(timers::seconds(tx.db, last.conversation)?),
                            last,
                        })
                    })
                    .collect()
            })
            .await
    }

    /// The newest `limit` messages with somebody, before a position where one is
    /// given; oldest first.
    ///
    /// # Errors
    /// `not_registered`, `store`.
    pub async fn history(
        &self,
        peer: AccountId,
        limit: usize,
        before: Option<u64>,
    ) -> Result<Vec<Message>, ClientError> {
        self.inner
            .vault
            .run(move |tx| {
                let own = own::load(tx.db)?.account;
                let conversation = ConversationId::between(&own, &peer);
                Ok(messages::history(tx.db, conversation, limit, before)?)
            })
            .await
    }

    /// The first `limit` messages after a position, over all conversations, in the
    /// order in which this device came to have them. Whoever remembers the last
    /// position it has handled misses nothing: begin with 0.
    ///
    /// # Errors
    /// `store`.
    pub async fn messages_after(
        &self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<Message>, ClientError> {
        self.inner.vault.run(move |tx| Ok(messages::after(tx.db, position, limit)?)).await
    }
}
