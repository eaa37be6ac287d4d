use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, future::join_all, stream};
use sotto_ids::{AccountId, AccountUuid, DeviceAddress, DeviceId, limits::MAX_KEY_PACKAGE_CLAIMS};
use sotto_kit::{
    auth::Caller,
    limits::{Class, Subject, Take},
};
use uuid::Uuid;

use super::Keys;
use crate::{
    db::{
        self,
        key_package_claims::{Claimable, Claimed},
    },
    domain::account_ref::AccountRef,
    error::KeysError,
    metrics,
};

/// Devices that are told at the same time that they run low.
const TOLD_AT_ONCE: usize = 32;

/// What a claim gets of one account.
#[derive(Debug)]
pub(crate) struct ClaimedAccount {
    pub(crate) uuid: AccountUuid,
    /// `None` where there is no such account.
    pub(crate) account_id: Option<AccountId>,
    pub(crate) devices: Vec<ClaimedKeyPackage>,
    /// Live devices of which there is none.
    pub(crate) without: Vec<DeviceId>,
}

/// A KeyPackage that was handed out.
#[derive(Debug)]
pub(crate) struct ClaimedKeyPackage {
    pub(crate) device: DeviceId,
    pub(crate) key_package: Vec<u8>,
    /// Whether others may get the same.
    pub(crate) is_last_resort: bool,
}

impl Keys {
    /// Hands out one KeyPackage of each live device of some accounts, but for the device that
    /// asks: a one-time one, or the last-resort one where the shelf is empty. The answer has
    /// the order of the request.
    ///
    /// What is handed out is gone once this returns, whether the answer is heard or not: the
    /// other choice would give one to two callers (I-1). A request that is refused uses up
    /// nothing.
    #[tracing::instrument(name = "keys.claim_key_packages", skip_all)]
    pub(crate) async fn claim_key_packages(
        &self,
        accounts: &[AccountRef],
        caller: &Caller,
    ) -> Result<Vec<ClaimedAccount>, KeysError> {
        check_request(accounts)?;
        self.check_live(caller.device).await?;
        self.check_claim_of_many(accounts.len(), caller).await?;
        let uuids: Vec<Uuid> = accounts.iter().map(|account| account.uuid().as_uuid()).collect();
        let found = db::key_package_claims::list_claimable(&uuids, &self.db).await?;
        let found = named_by(accounts, found);
        self.check_may_meet(&found, caller)?;
        self.check_pairs(&found, caller).await?;

        let found_uuids: Vec<Uuid> = found.keys().copied().collect();
        let enough = self.rules.key_packages.low_water;
        let lifetimes = self.key_package_lifetimes();
        let taken = db::key_package_claims::take(
            &found_uuids,
            caller.device,
            enough,
            lifetimes.over_at_ms(),
            lifetimes.now_ms,
            &self.db,
        )
        .await?;
        self.watch_key_packages(&taken).await;
        answer(accounts, &found, taken)
    }

    /// Demands that the caller has not claimed of too many accounts. The route has counted
    /// the first one.
    async fn check_claim_of_many(&self, accounts: usize, caller: &Caller) -> Result<(), KeysError> {
        let others = u32::try_from(accounts.saturating_sub(1)).unwrap_or(u32::MAX);
        if others == 0 {
            return Ok(());
        }
        let take = |subject| Take::exactly(others, Class::KeyPackageClaim, subject);
        let takes = [take(Subject::Device(caller.device)), take(Subject::App(&caller.app))];
        Ok(self.limits.take(&takes).await.check()?)
    }

    /// Demands that the caller's app and one of those of each account let their users meet.
    fn check_may_meet(
        &self,
        found: &HashMap<Uuid, Claimable>,
        caller: &Caller,
    ) -> Result<(), KeysError> {
        let may_meet =
            |apps: &[String]| apps.iter().any(|app| self.apps.may_meet(app, &caller.app));
        let accounts: Vec<_> = found
            .values()
            .filter(|account| !may_meet(&account.apps))
            .map(|account| account.account_id.uuid())
            .collect();
        if accounts.is_empty() { Ok(()) } else { Err(KeysError::SomeNotInteroperable { accounts }) }
    }

    /// Demands that the caller has not claimed too much of one of the accounts, be it bundles
    /// or KeyPackages.
    async fn check_pairs(
        &self,
        found: &HashMap<Uuid, Claimable>,
        caller: &Caller,
    ) -> Result<(), KeysError> {
        // At the same time: one after the other a hundred would wait for a hundred answers.
        let verdicts = join_all(found.values().map(async |account| {
            let account = account.account_id.uuid();
            let pair = [Take::one(Class::Claim, Subject::Pair(caller.device, account))];
            (account, self.limits.take(&pair).await.check())
        }))
        .await;
        let refused: Vec<_> = verdicts
            .into_iter()
            .filter_map(|(account, verdict)| Some((account, verdict.err()?.retry_after)))
            .collect();
        let Some(retry_after) = refused.iter().map(|(_, retry_after)| *retry_after).max() else {
            return Ok(());
        };
        metrics::claim_refused();
        let accounts = refused.into_iter().map(|(account, _)| account).collect();
        Err(KeysError::TooManyClaimsOfSome { accounts, retry_after })
    }

    /// Counts what was handed out, and tells devices that are running low.
    async fn watch_key_packages(&self, taken: &[Claimed]) {
        for claimed in taken {
            metrics::key_package_claimed(match claimed {
                Claimed { one_time: Some(_), .. } => "one_time",
                Claimed { last_resort: Some(_), .. } => "last_resort",
                _ => "none",
            });
        }
        let low_water = i64::from(self.rules.key_packages.low_water);
        let low = taken.iter().filter(|claimed| claimed.left < low_water);
        let tell = low.filter_map(|claimed| {
            let device = DeviceId::try_from(claimed.device).ok()?;
            let device = DeviceAddress::new(AccountUuid::from_stored(claimed.account), device);
            let left = u32::try_from(claimed.left.max(0)).unwrap_or(u32::MAX);
            metrics::key_packages_low();
            Some(self.tell_key_packages_low(device, left))
        });
        stream::iter(tell.collect::<Vec<_>>())
            .buffer_unordered(TOLD_AT_ONCE)
            .for_each(async |()| {})
            .await;
    }
}

fn check_request(accounts: &[AccountRef]) -> Result<(), KeysError> {
    let most = MAX_KEY_PACKAGE_CLAIMS;
    if accounts.len() > most {
        return Err(KeysError::TooManyAccounts { most });
    }
    let mut seen = HashSet::new();
    if accounts.iter().all(|account| seen.insert(account.uuid().as_uuid())) {
        Ok(())
    } else {
        Err(KeysError::DuplicateAccounts)
    }
}

/// Those of the accounts that the request names: two ids with one UUID are two accounts.
fn named_by(accounts: &[AccountRef], found: Vec<Claimable>) -> HashMap<Uuid, Claimable> {
    let by_uuid: HashMap<Uuid, AccountRef> =
        accounts.iter().map(|account| (account.uuid().as_uuid(), *account)).collect();
    found
        .into_iter()
        .filter(|found| {
            by_uuid.get(&found.account).is_some_and(|account| account.names(found.account_id))
        })
        .map(|found| (found.account, found))
        .collect()
}

fn answer(
    accounts: &[AccountRef],
    found: &HashMap<Uuid, Claimable>,
    taken: Vec<Claimed>,
) -> Result<Vec<ClaimedAccount>, KeysError> {
    let mut by_account: HashMap<Uuid, Vec<Claimed>> = HashMap::new();
    for claimed in taken {
        by_account.entry(claimed.account).or_default().push(claimed);
    }
    accounts
        .iter()
        .map(|account| {
            let uuid = account.uuid();
            let claimed = by_account.remove(&uuid.as_uuid()).unwrap_or_default();
            let mut answered = ClaimedAccount {
                uuid,
                account_id: found.get(&uuid.as_uuid()).map(|found| found.account_id),
                devices: Vec::with_capacity(claimed.len()),
                without: Vec::new(),
            };
            for claimed in claimed {
                let device =
                    DeviceId::try_from(claimed.device).map_err(|_| KeysError::Damaged("device"))?;
                let is_last_resort = claimed.one_time.is_none();
                match claimed.one_time.or(claimed.last_resort) {
                    Some(key_package) => answered.devices.push(ClaimedKeyPackage {
                        device,
                        key_package,
                        is_last_resort,
                    }),
                    None => answered.without.push(device),
                }
            }
            Ok(answered)
        })
        .collect()
}
