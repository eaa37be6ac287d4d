//! Linking through a mailbox: the new device shows a text, an admin device takes it.

use std::time::Duration;

use sotto_identity::State;
use sotto_ids::{AccountId, DeviceId};
use tokio::time::Instant;

use super::{Client, Inner, account::admin_key, devices};
use crate::{
    ClientError, DeviceLink, DeviceRequest, Distrust, Me, Phase,
    chain::{self, Whose},
    link::{
        Slot,
        messages::{Invitation, Offer, decode_answer, encode_answer},
        seal::{LinkKeys, seal_to_link},
    },
    vault::{Tx, chains, own},
};

/// How long one question to the mailbox waits for an answer.
const POLL: Duration = Duration::from_secs(10);

/// A link that was opened on this device and waits for an admin device.
///
/// Dropping it ends the link: the key that it was made for is gone.
pub struct PendingLink {
    client: Client,
    link: DeviceLink,
    keys: LinkKeys,
    deadline: Instant,
}

impl Client {
    /// On a new device: opens a mailbox. Show its text to a device of the account
    /// that holds the account key, and wait with [`PendingLink::finish`].
    ///
    /// # Errors
    /// `already_registered`, `unavailable`, and what the server refuses.
    pub async fn open_link(&self) -> Result<PendingLink, ClientError> {
        let inner = &self.inner;
        inner
            .vault
            .run(|tx| match own::find(tx.db)?.map(|own| own.phase) {
                None | Some(Phase::Requested) => Ok(()),
                Some(_) => Err(ClientError::AlreadyRegistered),
            })
            .await?;
        let mailbox = inner.rest.open_mailbox().await?;
        let deadline = Instant::now() + inner.config.tuning.link_time;
        let keys = inner.vault.run(|tx| Ok(LinkKeys::generate(tx.rng))).await?;
        let link = DeviceLink::new(&inner.config.domain, &mailbox.link_id, keys.public())
            .map_err(|_| Distrust::Malformed)?;
        Ok(PendingLink { client: self.clone(), link, keys, deadline })
    }

    /// On an admin device: takes the device that shows this text on to the account.
    /// An `admin` is given the account key. Waits until the new device has answered.
    ///
    /// # Errors
    /// `not_admin`, `link_elsewhere`, `link_expired`, `link_taken`, `link_swapped`
    /// (the server put something of its own there), `request_outdated`, `unavailable`,
    /// and what the server refuses.
    pub async fn approve_link(
        &self,
        link: &DeviceLink,
        admin: bool,
    ) -> Result<DeviceId, ClientError> {
        let inner = &self.inner;
        inner.check_domain(link)?;
        let account = inner.vault.run(|tx| Ok(own::certified(tx.db)?.account)).await?;
        chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
        let deadline = Instant::now() + inner.config.tuning.link_time;
        let asked = link.clone();
        let (reply, sealed) = inner.vault.run(move |tx| offer(tx, &asked, admin)).await?;
        inner.rest.put_slot(link.id(), Slot::Request, sealed).await?;

        let sealed = inner.take(link, Slot::Answer, deadline).await?;
        let answer = decode_answer(&reply.open_from_link(link, &sealed)?)?;
        let request = DeviceRequest::of(answer)?;
        inner.approve_device(&request, admin).await
    }

    /// On an admin device: tells the new device that it is not wanted.
    ///
    /// # Errors
    /// `link_elsewhere`, `link_expired`, `link_taken`, `unavailable`.
    pub async fn decline_link(&self, link: &DeviceLink) -> Result<(), ClientError> {
        let inner = &self.inner;
        inner.check_domain(link)?;
        let asked = link.clone();
        let sealed = inner
            .vault
            .run(move |tx| seal_to_link(&asked, &Invitation::Declined.encode(), tx.rng))
            .await?;
        inner.rest.put_slot(link.id(), Slot::Request, sealed).await
    }
}

impl PendingLink {
    /// What to show: as text, or as a QR code of it.
    pub fn link(&self) -> &DeviceLink {
        &self.link
    }

    /// Waits for an admin device, takes the place that it offers, and publishes this
    /// device's prekeys. With `expected`, no other account will do; without it, show
    /// the person whose account it is.
    ///
    /// Where this ends by `link_expired` after the admin device has taken the link,
    /// [`Client::finish_device`] finds out whether this device is on the account.
    ///
    /// # Errors
    /// `link_expired`, `link_declined`, `linked_elsewhere`, `link_taken`,
    /// `link_swapped`, `request_outdated`, `unavailable`, and any [`Distrust`].
    pub async fn finish(self, expected: Option<AccountId>) -> Result<Me, ClientError> {
        let inner = &self.client.inner;
        let sealed = inner.take(&self.link, Slot::Request, self.deadline).await?;
        let plaintext = zeroize::Zeroizing::new(self.keys.open(&self.link, &sealed)?);
        let offer = match Invitation::decode(&plaintext)? {
            Invitation::Offer(offer) => offer,
            Invitation::Declined => return Err(ClientError::LinkDeclined),
        };
        if expected.is_some_and(|expected| expected != offer.account) {
            return Err(ClientError::LinkedElsewhere);
        }
        let whose = Whose::Account(offer.account);
        let state = chain::refresh(&inner.vault, &inner.rest, whose).await?;
        let sealed = self.answer(state, *offer).await?;
        inner.rest.put_slot(self.link.id(), Slot::Answer, sealed).await?;
        loop {
            match inner.finish_device().await {
                Err(ClientError::RequestPending) if Instant::now() < self.deadline => {
                    tokio::time::sleep(inner.config.tuning.approval_poll).await;
                }
                Err(ClientError::RequestPending) => return Err(ClientError::LinkExpired),
                done => return done,
            }
        }
    }

    /// Makes this device's keys, and the answer that asks for its place.
    async fn answer(
        &self,
        state: std::sync::Arc<State>,
        offer: Offer,
    ) -> Result<Vec<u8>, ClientError> {
        let link = self.link.clone();
        let (reply_key, payload) = self
            .client
            .inner
            .vault
            .run(move |tx| {
                // A server that hides ops would have us ask for a place that is gone.
                let known = chains::hash_at(tx.db, offer.account.uuid(), offer.seq)?;
                match known {
                    Some(hash) if hash == offer.head => {}
                    Some(_) => return Err(Distrust::Fork.into()),
                    None => return Err(Distrust::Rollback.into()),
                }
                if !offer.is_by(&link, &state) {
                    return Err(Distrust::LinkSwapped.into());
                }
                let reply_key = offer.reply_key;
                Ok((reply_key, devices::request(tx, &state, offer.account_key)?))
            })
            .await?;
        let answer = encode_answer(payload);
        let mut rng = self.client.inner.rng();
        self.keys.seal_to(&reply_key, &self.link, &answer, &mut rng)
    }
}

impl std::fmt::Debug for PendingLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PendingLink(..)")
    }
}

impl Inner {
    fn check_domain(&self, link: &DeviceLink) -> Result<(), ClientError> {
        if link.domain() == self.config.domain { Ok(()) } else { Err(ClientError::LinkElsewhere) }
    }

    /// Waits for the message in a slot.
    async fn take(
        &self,
        link: &DeviceLink,
        slot: Slot,
        deadline: Instant,
    ) -> Result<Vec<u8>, ClientError> {
        let tuning = &self.config.tuning;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ClientError::LinkExpired);
            }
            match self.rest.take_slot(link.id(), slot, left.min(POLL)).await {
                Ok(Some(sealed)) => return Ok(sealed),
                // A server that does not wait is not to be asked in a tight loop.
                Ok(None) => tokio::time::sleep(tuning.retry_min).await,
                Err(error) if error.is_temporary() => {
                    let pause = error.retry_after().unwrap_or_default().max(tuning.retry_min);
                    tokio::time::sleep(pause.min(left)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Offers the owner of the link a place; gives the key that their answer is sealed to.
fn offer(
    tx: &mut Tx<'_>,
    link: &DeviceLink,
    admin: bool,
) -> Result<(LinkKeys, Vec<u8>), ClientError> {
    let own = own::certified(tx.db)?;
    let (_, state) =
        chains::find(tx.db, tx.chains, own.account.uuid())?.ok_or(ClientError::NotRegistered)?;
    let key = admin_key(&own, &state)?;
    let reply = LinkKeys::generate(tx.rng);
    let offer = Offer::sign(link, &state, reply.public(), admin, key);
    let sealed = seal_to_link(link, &Invitation::Offer(Box::new(offer)).encode(), tx.rng)?;
    Ok((reply, sealed))
}
