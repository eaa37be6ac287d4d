use std::time::Duration;

use sotto_kit::clock::millis;
use tokio::time::{Instant, sleep_until};

use super::Keys;
use crate::{
    cache::mailboxes::{self, Left},
    domain::mailbox::{LinkId, MailboxError, Slot},
    error::KeysError,
    metrics,
};

/// A mailbox that was opened.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) link: LinkId,
    pub(crate) expires_at_ms: u64,
}

impl Keys {
    /// Opens a mailbox with two empty slots. Nobody else knows its name, and nothing in
    /// it outlives its time.
    #[tracing::instrument(name = "keys.open_mailbox", skip_all)]
    pub(crate) async fn open_mailbox(&self) -> Result<Mailbox, KeysError> {
        let link = LinkId::new(self.rng.bytes());
        let ttl = self.rules.mailbox.ttl;
        let expires_at_ms = self.clock.now_ms().saturating_add(millis(ttl));
        mailboxes::open(link, ttl, &self.redis).await?;
        metrics::mailbox_opened();
        Ok(Mailbox { link, expires_at_ms })
    }

    /// Leaves a message in an empty slot. The same message again changes nothing, as
    /// whoever never heard the first answer asks again.
    #[tracing::instrument(name = "keys.leave_message", skip_all)]
    pub(crate) async fn leave_message(
        &self,
        link: LinkId,
        slot: Slot,
        message: &[u8],
    ) -> Result<(), KeysError> {
        if message.is_empty() {
            return Err(MailboxError::Empty.into());
        }
        match mailboxes::leave(link, slot, message, &self.redis).await? {
            Left::Stored => Ok(()),
            Left::Taken => Err(MailboxError::SlotTaken.into()),
            Left::NoMailbox => Err(MailboxError::NoSuchLink.into()),
        }
    }

    /// The message of a slot. Where there is none yet, waits for it up to `wait`, and no
    /// longer than is allowed or than the process takes requests.
    #[tracing::instrument(name = "keys.read_message", skip_all)]
    pub(crate) async fn read_message(
        &self,
        link: LinkId,
        slot: Slot,
        wait: Duration,
    ) -> Result<Option<Vec<u8>>, KeysError> {
        let until = Instant::now() + wait.min(self.rules.mailbox.longest_wait);
        if wait.is_zero() {
            return self.look(link, slot).await;
        }
        let seat = self.waiting.sit_down(link).ok_or(MailboxError::TooManyWaiting)?;
        loop {
            // Before the look, so that a message which comes right after it is heard of.
            let woken = seat.woken();
            let found = self.look(link, slot).await?;
            let now = Instant::now();
            if found.is_some() || now >= until || self.draining.is_cancelled() {
                return Ok(found);
            }
            let look_again = until.min(now + self.rules.mailbox.look_every);
            tokio::select! {
                () = woken => {}
                () = sleep_until(look_again) => {}
                () = self.draining.cancelled() => {}
            }
        }
    }

    async fn look(&self, link: LinkId, slot: Slot) -> Result<Option<Vec<u8>>, KeysError> {
        let found = mailboxes::look(link, slot, &self.redis).await?;
        Ok(found.ok_or(MailboxError::NoSuchLink)?)
    }
}
