use super::Known;
use crate::halves::Halves;
use sotto_ids::AccountUuid;

/// What was asked of keys, with its age.
#[derive(Debug)]
pub(super) struct Cache {
    ttl_ms: u64,
    accounts: Halves<AccountUuid, Entry>,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    asked_at_ms: u64,
}

impl Cache {
    /// `ttl_ms`: how long an answer is used, from when it was asked for. `capacity`:
    /// how many accounts there is room for.
    pub(super) fn new(ttl_ms: u64, capacity: usize) -> Self {
        Self { ttl_ms, accounts: Halves::new(capacity), generation: 0 }
    }

    pub(super) fn find(&mut self, account: AccountUuid, now_ms: u64) -> Option<Known> {
        let entry = self.accounts.find(account)?;
        let age_ms = now_ms.saturating_sub(entry.asked_at_ms);
        (age_ms < self.ttl_ms).then(|| entry.known.clone())
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
        answers: &[Known],
        asked_at_ms: u64,
        generation: u64,
    ) {
        if generation != self.generation {
            return;
        }
        for (account, known) in accounts.iter().zip(answers) {
            let entry = Entry { known: known.clone(), asked_at_ms };
            self.accounts.insert(*account, 1, entry);
        }
    }

    pub(super) fn forget(&mut self, account: AccountUuid) {
        self.generation += 1;
        self.accounts.remove(account);
    }

    pub(super) fn forget_all(&mut self, capacity: usize) {
        self.generation += 1;
        self.accounts = Halves::new(capacity);
    }
}

#[cfg(test)]
mod tests {
    use sotto_ids::AccountId;

    use super::*;

    fn account(seed: u8) -> AccountUuid {
        AccountId::new([seed; 32]).uuid()
    }

    #[test]
    fn an_answer_is_used_until_it_is_too_old() {
        let mut cache = Cache::new(10_000, 100);
        cache.remember(&[account(1)], &[None], 1_000, 0);

        assert!(cache.find(account(1), 10_999).is_some(), "no such account is an answer too");
        assert!(cache.find(account(1), 11_000).is_none());
        assert!(cache.find(account(2), 1_000).is_none());
    }

    #[test]
    fn a_change_is_not_overwritten_by_an_answer_that_was_on_its_way() {
        let mut cache = Cache::new(10_000, 100);
        let generation = cache.generation();
        cache.forget(account(1));

        cache.remember(&[account(1)], &[None], 0, generation);

        assert!(cache.find(account(1), 1).is_none());
    }
}
