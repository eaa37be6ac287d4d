//! Who may open an account, by `[keys.registration]`.

use std::{fmt, time::Duration};

use sotto_identity::{SignedOp, link_hash, pow};
use sotto_ids::AccountId;

use super::Keys;
use crate::{
    cache,
    config::RegistrationMode,
    db,
    domain::{
        invite::{Invite, InviteHash},
        registration::RegistrationError,
    },
    error::KeysError,
    metrics,
};

/// What somebody brings who wants to open an account.
#[derive(Default)]
pub(crate) struct Pass {
    pub(crate) invite: Option<String>,
    pub(crate) work: Option<Work>,
}

/// A proof of work, by `sotto_identity::pow`.
pub(crate) struct Work {
    pub(crate) challenge: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
}

impl Work {
    /// The challenge and the nonce, where they are as long as they have to be.
    pub(crate) fn parts(
        &self,
    ) -> Result<([u8; pow::CHALLENGE_BYTES], [u8; pow::NONCE_BYTES]), RegistrationError> {
        let invalid = |_| RegistrationError::WorkInvalid;
        Ok((
            self.challenge.as_slice().try_into().map_err(invalid)?,
            self.nonce.as_slice().try_into().map_err(invalid)?,
        ))
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass(..)")
    }
}

/// What has to be brought.
#[derive(Debug)]
pub(crate) enum Required {
    Nothing,
    Invite,
    Work { challenge: [u8; 32], bits: u8, expires_in: Duration },
}

impl Keys {
    /// Says what a registration has to bring, with a challenge where that is work.
    #[tracing::instrument(name = "keys.registration_challenge", skip_all)]
    pub(crate) async fn registration_challenge(&self) -> Result<Required, KeysError> {
        let rules = self.rules.registration;
        match rules.mode {
            RegistrationMode::Open => Ok(Required::Nothing),
            RegistrationMode::Invite => Ok(Required::Invite),
            RegistrationMode::ProofOfWork => {
                let challenge = self.rng.bytes();
                let (bits, expires_in) = (rules.work_bits, rules.challenge_ttl);
                cache::work_challenges::insert(&challenge, bits, expires_in, &self.redis).await?;
                metrics::work_challenge_issued();
                Ok(Required::Work { challenge, bits, expires_in })
            }
        }
    }

    /// Looks at what a registration brings, before its ops are verified, which costs
    /// much more. A proof of work is used up by that; an invite is only read, and has
    /// to be taken in the transaction of the registration.
    ///
    /// A registration of an account that is there already was let in when it first
    /// came, so nothing is asked of it: it only wants to hear the answer again.
    pub(super) async fn admit(
        &self,
        genesis: &SignedOp,
        pass: &Pass,
    ) -> Result<Option<InviteHash>, KeysError> {
        let mode = self.rules.registration.mode;
        if mode == RegistrationMode::Open {
            return Ok(None);
        }
        let account = AccountId::new(link_hash(&genesis.payload).0).uuid();
        if db::accounts::find(account, &self.db).await?.is_some() {
            return Ok(None);
        }
        if mode == RegistrationMode::Invite {
            let invite = pass.invite.as_deref().ok_or(RegistrationError::InviteRequired)?;
            let invite: Invite = invite.parse().map_err(|_| RegistrationError::InviteSpent)?;
            return Ok(Some(invite.hash()));
        }
        let work = pass.work.as_ref().ok_or(RegistrationError::WorkRequired)?;
        self.check_work(work).await?;
        Ok(None)
    }

    /// Each challenge is worth one try, as one of a login is.
    async fn check_work(&self, work: &Work) -> Result<(), KeysError> {
        let invalid = RegistrationError::WorkInvalid;
        let (challenge, nonce) = work.parts()?;
        let bits = cache::work_challenges::take(&challenge, &self.redis).await?.ok_or(invalid)?;
        if pow::is_proof(&challenge, &nonce, bits) { Ok(()) } else { Err(invalid.into()) }
    }
}
