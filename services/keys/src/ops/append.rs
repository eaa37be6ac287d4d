use futures_util::future::{join, join_all};
use prost::Message as _;
use sotto_identity::{ChainError, SignedOp, State, decode_op, link_hash, replay};
use sotto_ids::{AccountUuid, DeviceAddress, DeviceId};
use sotto_kit::auth::{AuthError, Caller};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::{
    Keys,
    links::{Link, extend},
    off_the_async_threads,
};
use crate::{
    db::{self, accounts::Account, chain_ops::StoredOp},
    domain::{Head, account_ref::AccountRef, changes::Changes, recovery},
    error::KeysError,
    metrics,
};

/// By whose authority a request appends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Author<'a> {
    /// A device of the account, which has a token.
    Device(&'a Caller),
    /// The recovery set, whose signatures are on the ops themselves.
    RecoverySet,
}

/// What ops come to that are to be appended.
enum Plan {
    /// The chain holds them all.
    Held,
    /// The chain has other ops in their place.
    Moved,
    /// They follow the chain as it was read, whose last state is `before`.
    Extend { before: Box<State>, links: Vec<Link> },
}

impl Keys {
    /// Appends ops to the author's own chain, all of them or none, and returns the
    /// new head.
    ///
    /// Ops that the chain already holds at their place are passed over, so that a
    /// request may come again. Of two that append at the same time one wins, and the
    /// other is told the head to build on.
    #[tracing::instrument(name = "keys.append", skip_all)]
    pub(crate) async fn append(
        &self,
        account: AccountRef,
        ops: Vec<SignedOp>,
        author: Author<'_>,
    ) -> Result<Head, KeysError> {
        if let Author::Device(caller) = author
            && !account.names(caller.account_id)
        {
            return Err(KeysError::NotYourAccount);
        }
        let most = self.rules.op_rate.burst();
        if ops.is_empty() {
            return Err(KeysError::NoOps);
        }
        if ops.len() as u64 > most {
            return Err(KeysError::TooManyOps { most });
        }

        // The second time the chain holds other ops at the place of ours, or ours: it
        // has moved on since the first time.
        for _ in 0..2 {
            let found = self.find_account(account).await?;
            // After the head: a device that is revoked from here on has moved it.
            if let Author::Device(caller) = author {
                self.check_live(caller.device).await?;
            }
            match self.plan(found, ops.clone(), author).await? {
                Plan::Held => return Ok(found.head),
                Plan::Moved => return Err(head_moved(found.head)),
                Plan::Extend { before, links } => {
                    if let Some(head) = self.write_to_the_end(found.head, before, links).await? {
                        return Ok(head);
                    }
                }
            }
        }
        Err(head_moved(self.find_account(account).await?.head))
    }

    async fn plan(
        &self,
        found: Account,
        ops: Vec<SignedOp>,
        author: Author<'_>,
    ) -> Result<Plan, KeysError> {
        let by_device = matches!(author, Author::Device(_));
        let account = found.account_id.uuid();
        let stored = db::chain_ops::list(account, 0, found.head.seq, &self.db).await?;
        let rate = self.rules.op_rate;
        let now_ms = self.clock.now_ms();
        off_the_async_threads(move || {
            let new = match unheld(&ops, &stored, &found)? {
                None => return Ok(Plan::Moved),
                Some([]) => return Ok(Plan::Held),
                Some(new) => new,
            };
            let chain = decode(&stored)?;
            if !by_device {
                check_recovery(new, &chain)?;
            }
            let free = recovery::are_free(chain.iter().chain(new));
            let (free, new_free) = free.split_at(chain.len());
            let received = stored.iter().zip(free).filter(|(_, free)| !**free);
            let received = received.map(|(op, _)| op.received_at_ms);
            let arriving = new_free.iter().filter(|free| !**free).count() as u64;
            let retry_after = rate.wait(received, arriving, now_ms);
            if !retry_after.is_zero() {
                return Err(KeysError::OpRate { retry_after });
            }
            let before = Box::new(state_of(&chain, &found)?);
            let links = extend(&before, new, now_ms)?;
            Ok(Plan::Extend { before, links })
        })
        .await
    }

    /// Writes in a task of its own: a caller that hangs up after the commit must not keep
    /// from the others what they have to hear of it.
    async fn write_to_the_end(
        &self,
        from: Head,
        before: Box<State>,
        links: Vec<Link>,
    ) -> Result<Option<Head>, KeysError> {
        let keys = self.clone();
        let (done, written) = oneshot::channel();
        let write = async move {
            // Nobody waits for it any more where the caller has gone.
            drop(done.send(keys.write_links(from, &before, &links).await));
        };
        self.lifecycle.spawn("keys.append", write.in_current_span());
        written.await.map_err(KeysError::Unfinished)?
    }

    /// `None` where the head is not `from` any more; nothing is written then.
    async fn write_links(
        &self,
        from: Head,
        before: &State,
        links: &[Link],
    ) -> Result<Option<Head>, KeysError> {
        let account = before.account_id.uuid();
        let now_ms = self.clock.now_ms();
        let Some(to) = links.last().map(Link::head) else {
            return Ok(Some(from));
        };

        let mut tx = self.db.begin().await?;
        if !db::accounts::advance(account, from, to, &mut *tx).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let ops: Vec<_> = links.iter().map(|link| link.op.clone()).collect();
        db::chain_ops::insert(account, from.seq + 1, &ops, &mut *tx).await?;
        let (mut before, mut touched, mut revoked) = (before, false, Vec::new());
        for link in links {
            let changes = Changes::between(before, &link.state);
            self.write_changes(&changes, link.state.seq, account, now_ms, &mut tx).await?;
            touched |= changes.touch_devices();
            revoked.extend(changes.revoked);
            before = &link.state;
        }
        tx.commit().await?;

        metrics::ops_appended(links.len());
        metrics::recovered(links.iter().filter(|link| link.is_recovery).count());
        if touched {
            self.tell_of_devices(account, &revoked).await;
        }
        Ok(Some(to))
    }

    /// Those who send to the account look at its devices anew, and those that are off
    /// it lose their sockets.
    async fn tell_of_devices(&self, account: AccountUuid, revoked: &[DeviceId]) {
        metrics::devices_revoked(revoked.len());
        let revoked = revoked.iter().map(|&device| DeviceAddress::new(account, device));
        // At the same time: a recovery may revoke ten, and Redis may be slow.
        let sockets = join_all(revoked.map(|device| self.tell_revoked(device)));
        join(sockets, self.tell_devices_changed(account)).await;
    }
}

fn head_moved(head: Head) -> KeysError {
    metrics::head_moved();
    KeysError::HeadMoved { head }
}

/// Those of the ops that the chain does not hold. `None` where it holds others in
/// their place.
fn unheld<'a>(
    ops: &'a [SignedOp],
    stored: &[StoredOp],
    found: &Account,
) -> Result<Option<&'a [SignedOp]>, ChainError> {
    let mut rest = ops;
    while let [first, later @ ..] = rest {
        let op = decode_op(&first.payload)?;
        let in_its_place = usize::try_from(op.seq).ok().and_then(|seq| stored.get(seq));
        match in_its_place {
            Some(held) if held.link_hash == link_hash(&first.payload) => rest = later,
            Some(_) if op.account_id != found.account_id.as_bytes() => {
                return Err(ChainError::WrongAccount);
            }
            Some(_) => return Ok(None),
            None => break,
        }
    }
    Ok(Some(rest))
}

/// Demands that what is new needs no token. A recovery that the chain holds already may
/// stand before it in the request, where anybody could put it.
fn check_recovery(new: &[SignedOp], chain: &[SignedOp]) -> Result<(), KeysError> {
    let Some(first) = new.first().filter(|_| recovery::speak_for_themselves(new)) else {
        return Err(AuthError::Missing.into());
    };
    Ok(recovery::check_signers(first, chain)?)
}

pub(super) fn decode(stored: &[StoredOp]) -> Result<Vec<SignedOp>, KeysError> {
    stored
        .iter()
        .map(|op| SignedOp::decode(op.signed_op.as_slice()))
        .collect::<Result<_, _>>()
        .map_err(|_| KeysError::Damaged("op"))
}

/// Replays a chain of ours. It was verified when it came in; it is verified again,
/// so that nobody who can write to the database can write ops.
pub(super) fn state_of(chain: &[SignedOp], found: &Account) -> Result<State, KeysError> {
    let state = replay(chain).map_err(KeysError::DamagedChain)?;
    let is_whole = state.account_id == found.account_id && state.head == found.head.hash;
    if is_whole { Ok(state) } else { Err(KeysError::Damaged("chain")) }
}
