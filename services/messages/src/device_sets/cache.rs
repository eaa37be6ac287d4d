use sotto_ids::AccountUuid;

use super::Known;
use crate::halves::Halves;

/// Device sets with an age.
#[derive(Debug)]
pub(super) struct Cache {
    ttl_ms: u64,
    sets: Halves<AccountUuid, Entry>,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    set: Known,
    /// `None` when it is not to be used any more: it only shows what has changed.
    asked_at_ms: Option<u64>,
}

impl Cache {
    /// `ttl_ms`: how long an answer is used, from when it was asked for. `capacity`:
    /// how many accounts there is room for.
    pub(super) fn new(ttl_ms: u64, capacity: usize) -> Self {
        Self { ttl_ms, sets: Halves::new(capacity), generation: 0 }
    }

    pub(super) fn find(&mut self, account: AccountUuid, now_ms: u64) -> Option<Known> {
        let entry = self.sets.find(account)?;
        let age_ms = now_ms.saturating_sub(entry.asked_at_ms?);
        (age_ms < self.ttl_ms).then(|| entry.set.clone())
    }

    /// Changes whenever something is forgotten. Take it before asking keys.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Remembers answers, unless something was forgotten since `generation`: they may
    /// have been given before the change. Returns the accounts that have lost a device
    /// since they were last seen.
    pub(super) fn remember(
        &mut self,
        accounts: &[AccountUuid],
        sets: &[Known],
        asked_at_ms: u64,
        generation: u64,
    ) -> Vec<AccountUuid> {
        let mut fewer = Vec::new();
        if generation != self.generation {
            return fewer;
        }
        for (account, set) in accounts.iter().zip(sets) {
            if let (Some(before), Some(now)) = (self.sets.find(*account), set)
                && before.set.as_ref().is_some_and(|before| before.has_more_than(now))
            {
                fewer.push(*account);
            }
            self.sets.insert(*account, Entry { set: set.clone(), asked_at_ms: Some(asked_at_ms) });
        }
        fewer
    }

    pub(super) fn forget(&mut self, account: AccountUuid) {
        self.generation += 1;
        if let Some(entry) = self.sets.find(account) {
            entry.asked_at_ms = None;
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.generation += 1;
        for entry in self.sets.values() {
            entry.asked_at_ms = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sotto_ids::{AccountId, DeviceId};

    use super::*;
    use crate::domain::DeviceSet;

    fn account(seed: u8) -> AccountUuid {
        AccountId::new([seed; 32]).uuid()
    }

    fn set() -> Arc<DeviceSet> {
        Arc::default()
    }

    fn set_of(devices: &[u32]) -> Arc<DeviceSet> {
        let devices =
            devices.iter().map(|&device| (DeviceId::try_from(device).unwrap(), 1)).collect();
        Arc::new(DeviceSet { devices, ..DeviceSet::default() })
    }

    fn remember(cache: &mut Cache, set: Known, at_ms: u64) -> Vec<AccountUuid> {
        let generation = cache.generation();
        cache.remember(&[account(1)], &[set], at_ms, generation)
    }

    #[test]
    fn an_answer_is_used_until_it_is_too_old() {
        let mut cache = Cache::new(10_000, 100);
        remember(&mut cache, Some(set()), 1_000);

        assert_eq!(cache.find(account(1), 10_999), Some(Some(set())));
        assert_eq!(cache.find(account(1), 11_000), None);
    }

    #[test]
    fn that_there_is_no_such_account_is_an_answer_too() {
        let mut cache = Cache::new(10_000, 100);
        cache.remember(&[account(1)], &[None], 0, 0);

        assert_eq!(cache.find(account(1), 1), Some(None));
        assert_eq!(cache.find(account(2), 1), None);
    }

    #[test]
    fn a_change_is_not_overwritten_by_an_answer_that_was_on_its_way() {
        let mut cache = Cache::new(10_000, 100);
        let generation = cache.generation();
        cache.forget(account(1));

        cache.remember(&[account(1)], &[Some(set())], 0, generation);

        assert_eq!(cache.find(account(1), 1), None);
    }

    #[test]
    fn what_is_forgotten_still_shows_which_device_has_gone() {
        let mut cache = Cache::new(10_000, 100);
        assert!(remember(&mut cache, Some(set_of(&[1, 2])), 0).is_empty());
        assert!(remember(&mut cache, Some(set_of(&[1, 2, 3])), 0).is_empty(), "one more");

        cache.forget_all();

        assert_eq!(cache.find(account(1), 1), None);
        assert_eq!(remember(&mut cache, Some(set_of(&[1, 3])), 1), [account(1)]);
        assert!(remember(&mut cache, Some(set_of(&[1, 3])), 2).is_empty(), "said once");
    }
}
