use std::collections::HashMap;

use sotto_ids::AccountUuid;

use super::Known;

/// Device sets with an age, in two halves: when the young half is full, it becomes
/// the old one, and the old one goes. What is asked for moves to the young half. So
/// the memory is bounded, and what nobody asks for leaves without a search.
#[derive(Debug)]
pub(super) struct Cache {
    ttl_ms: u64,
    half: usize,
    young: HashMap<AccountUuid, Entry>,
    old: HashMap<AccountUuid, Entry>,
    generation: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    set: Known,
    asked_at_ms: u64,
}

impl Cache {
    /// `ttl_ms`: how long an answer is used, from when it was asked for. `capacity`:
    /// how many accounts there is room for.
    pub(super) fn new(ttl_ms: u64, capacity: usize) -> Self {
        let half = (capacity / 2).max(1);
        Self { ttl_ms, half, young: HashMap::new(), old: HashMap::new(), generation: 0 }
    }

    pub(super) fn find(&mut self, account: AccountUuid, now_ms: u64) -> Option<Known> {
        if let Some(entry) = self.old.remove(&account) {
            self.insert(account, entry);
        }
        let entry = self.young.get(&account)?;
        let age_ms = now_ms.saturating_sub(entry.asked_at_ms);
        (age_ms < self.ttl_ms).then(|| entry.set.clone())
    }

    /// Changes whenever something is forgotten. Take it before asking keys.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Remembers answers, unless something was forgotten since `generation`: they may
    /// have been given before the change.
    pub(super) fn remember(
        &mut self,
        accounts: &[AccountUuid],
        sets: &[Known],
        asked_at_ms: u64,
        generation: u64,
    ) {
        if generation != self.generation {
            return;
        }
        for (account, set) in accounts.iter().zip(sets) {
            self.old.remove(account);
            self.insert(*account, Entry { set: set.clone(), asked_at_ms });
        }
    }

    pub(super) fn forget(&mut self, account: AccountUuid) {
        self.generation += 1;
        self.young.remove(&account);
        self.old.remove(&account);
    }

    pub(super) fn forget_all(&mut self) {
        self.generation += 1;
        self.young.clear();
        self.old.clear();
    }

    fn insert(&mut self, account: AccountUuid, entry: Entry) {
        if self.young.len() >= self.half && !self.young.contains_key(&account) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(account, entry);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sotto_ids::AccountId;

    use super::*;
    use crate::domain::DeviceSet;

    fn account(seed: u8) -> AccountUuid {
        AccountId::new([seed; 32]).uuid()
    }

    fn set() -> Arc<DeviceSet> {
        Arc::default()
    }

    fn remember(cache: &mut Cache, seed: u8, at_ms: u64) {
        let generation = cache.generation();
        cache.remember(&[account(seed)], &[Some(set())], at_ms, generation);
    }

    #[test]
    fn an_answer_is_used_until_it_is_too_old() {
        let mut cache = Cache::new(10_000, 100);
        remember(&mut cache, 1, 1_000);

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
    fn it_never_holds_more_than_its_capacity() {
        let mut cache = Cache::new(10_000, 10);
        for seed in 0..200 {
            remember(&mut cache, seed, 0);
            cache.find(account(seed / 2), 1);
            assert!(cache.young.len() + cache.old.len() <= 10);
        }
        assert!(cache.find(account(199), 1).is_some());
    }

    #[test]
    fn what_is_asked_for_stays() {
        let mut cache = Cache::new(10_000, 10);
        remember(&mut cache, 250, 0);
        for seed in 0..200 {
            remember(&mut cache, seed, 0);
            assert!(cache.find(account(250), 1).is_some());
        }
    }
}
