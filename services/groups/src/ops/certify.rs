use std::collections::{HashMap, HashSet};

use sotto_ids::AccountUuid;
use sotto_mls::identity::Claim;

use super::Groups;
use crate::{devices::Known, error::GroupsError};

impl Groups {
    /// Demands that each claim is true: the chain of the account has the device live, with this
    /// key. And that users of the caller's app may be in a group with those of `added`.
    ///
    /// What is remembered certifies a leaf and never refuses one; so at most one question goes
    /// to keys, for all that is in doubt.
    pub(super) async fn certify(
        &self,
        app: &str,
        claims: &[Claim],
        added: &HashSet<AccountUuid>,
    ) -> Result<(), GroupsError> {
        let accounts: HashSet<_> = claims.iter().map(|claim| claim.leaf.account.uuid()).collect();
        let mut known = self.devices.remembered(accounts.into_iter());
        let mut doubtful: HashSet<_> = claims
            .iter()
            .filter(|claim| !is_certified(claim, &known))
            .map(|claim| claim.leaf.account.uuid())
            .collect();
        doubtful.extend(added.iter().filter(|account| !self.may_meet(app, **account, &known)));
        if !doubtful.is_empty() {
            let asked: Vec<_> = doubtful.into_iter().collect();
            let answers =
                self.devices.fetch(&asked).await.map_err(|_keys_away| GroupsError::KeysAway)?;
            known.extend(answers);
        }
        if !claims.iter().all(|claim| is_certified(claim, &known)) {
            return Err(GroupsError::LeafUncertified);
        }
        if !added.iter().all(|account| self.may_meet(app, *account, &known)) {
            return Err(GroupsError::NotInteroperable);
        }
        Ok(())
    }

    fn may_meet(
        &self,
        app: &str,
        account: AccountUuid,
        known: &HashMap<AccountUuid, Known>,
    ) -> bool {
        let account = known.get(&account).and_then(Option::as_ref);
        account.is_some_and(|account| self.interop.allows(app, &account.apps))
    }
}

fn is_certified(claim: &Claim, known: &HashMap<AccountUuid, Known>) -> bool {
    let account = known.get(&claim.leaf.account.uuid()).and_then(Option::as_ref);
    account.is_some_and(|account| {
        account.id == claim.leaf.account
            && account.mls_key(claim.leaf.device) == Some(&claim.signature_key)
    })
}
