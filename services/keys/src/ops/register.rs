use std::fmt;

use sotto_identity::{SignedOp, State};
use sotto_ids::AccountId;
use sotto_kit::{
    fault::Fault as _,
    limits::{Class, Subject, Take},
};

use super::{
    Keys,
    admission::Pass,
    links::{Link, extend},
    off_the_async_threads,
};
use crate::{
    apps::AppUser,
    db,
    domain::{Head, changes::Changes, invite::InviteHash, registration::RegistrationError},
    error::KeysError,
    metrics,
};

/// A new account, as its first device sends it.
pub(crate) struct Registration {
    pub(crate) genesis: SignedOp,
    /// Ops that follow the genesis, such as the claim of a handle.
    pub(crate) ops: Vec<SignedOp>,
    /// Who the user is in the app that sends them.
    pub(crate) app_token: String,
    /// What the deployment may ask for beside that.
    pub(crate) pass: Pass,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("ops", &self.ops.len()).finish_non_exhaustive()
    }
}

/// An account that is registered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registered {
    pub(crate) account_id: AccountId,
    pub(crate) head: Head,
    /// False where it was registered before, with the same ops and by the same user.
    pub(crate) is_new: bool,
}

impl Keys {
    /// Registers an account with all that its first ops say, or nothing of it.
    ///
    /// A registration that comes again changes nothing and is answered alike, as a
    /// client that never heard the first answer asks again. It must come from the same
    /// user: the ops are public, so whoever has read them could send them too.
    #[tracing::instrument(name = "keys.register", skip_all)]
    pub(crate) async fn register(
        &self,
        registration: Registration,
    ) -> Result<Registered, KeysError> {
        let result = self.check_and_register(registration).await;
        if let Err(error) = &result {
            metrics::registration_refused(error.reason());
        }
        result
    }

    async fn check_and_register(
        &self,
        registration: Registration,
    ) -> Result<Registered, KeysError> {
        let now_ms = self.clock.now_ms();
        let user = self.apps.verify(&registration.app_token, now_ms).await?;
        let of_app = Take::one(Class::Register, Subject::App(&user.app));
        self.limits.take(&[of_app]).await.check()?;
        let most = self.rules.op_rate.burst();
        if registration.ops.len() as u64 + 1 > most {
            return Err(KeysError::TooManyOps { most });
        }
        let invite = self.admit(&registration.genesis, &registration.pass).await?;
        let links = off_the_async_threads(move || {
            let genesis = Link::genesis(&registration.genesis, now_ms)?;
            let mut links = extend(&genesis.state, &registration.ops, now_ms)?;
            links.insert(0, genesis);
            Ok(links)
        })
        .await?;
        let Some(Link { state, .. }) = links.last() else {
            return Err(KeysError::NoOps);
        };
        if *state.home != *self.domain {
            return Err(KeysError::WrongHome { domain: self.domain.to_string() });
        }

        self.write_registration(state, &links, &user, invite, now_ms).await
    }

    async fn write_registration(
        &self,
        state: &State,
        links: &[Link],
        user: &AppUser,
        invite: Option<InviteHash>,
        now_ms: u64,
    ) -> Result<Registered, KeysError> {
        let account_id = state.account_id;
        let account = account_id.uuid();
        let head = Head { seq: state.seq, hash: state.head };

        let mut tx = self.db.begin().await?;
        if !db::accounts::insert(account_id, head, now_ms, &mut *tx).await? {
            tx.rollback().await?;
            return self.find_registered(account_id, links, user).await;
        }
        let ops: Vec<_> = links.iter().map(|link| link.op.clone()).collect();
        db::chain_ops::insert(account, 0, &ops, &mut *tx).await?;
        let mut before: Option<&State> = None;
        for link in links {
            let changes = match before {
                None => Changes::at_genesis(&link.state),
                Some(before) => Changes::between(before, &link.state),
            };
            self.write_changes(&changes, link.state.seq, account, now_ms, &mut tx).await?;
            before = Some(&link.state);
        }
        self.bind(user, account, now_ms, &mut tx).await?;
        // Last, as others may wait for the row; and in this transaction, so that nobody
        // loses an invite to a registration that came to nothing.
        if let Some(invite) = invite
            && !db::invites::take(&invite, now_ms, &mut *tx).await?
        {
            return Err(RegistrationError::InviteSpent.into());
        }
        tx.commit().await?;

        metrics::account_registered(&user.app);
        metrics::ops_appended(links.len());
        Ok(Registered { account_id, head, is_new: true })
    }

    /// The account that a repeated registration speaks of.
    async fn find_registered(
        &self,
        account_id: AccountId,
        links: &[Link],
        user: &AppUser,
    ) -> Result<Registered, KeysError> {
        let account = account_id.uuid();
        let found =
            db::accounts::find(account, &self.db).await?.ok_or(KeysError::UnknownAccount)?;
        if found.account_id != account_id {
            return Err(KeysError::UuidTaken);
        }
        let last = links.len().saturating_sub(1) as u64;
        let stored = db::chain_ops::list(account, 0, last, &self.db).await?;
        let same_ops = stored.len() == links.len()
            && stored.iter().zip(links).all(|(op, link)| op.link_hash == link.op.link_hash);
        let same_user = db::bindings::find_account(user, &self.db).await? == Some(account);
        if same_ops && same_user {
            Ok(Registered { account_id, head: found.head, is_new: false })
        } else {
            Err(KeysError::AccountExists)
        }
    }
}
