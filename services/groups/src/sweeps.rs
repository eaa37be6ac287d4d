use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sotto_ids::AccountUuid;
use tokio::sync::Notify;

use crate::metrics;

/// Accounts that may have lost a device, and wait for a look at the groups that it is in.
#[derive(Debug)]
pub(crate) struct Sweeps {
    room: usize,
    waiting: Mutex<HashSet<AccountUuid>>,
    arrived: Notify,
}

impl Sweeps {
    pub(crate) fn new(room: usize) -> Self {
        Self { room, waiting: Mutex::default(), arrived: Notify::new() }
    }

    /// One that finds no room is found when all are looked at.
    pub(crate) fn add(&self, account: AccountUuid) {
        let mut waiting = self.waiting();
        if waiting.len() >= self.room && !waiting.contains(&account) {
            metrics::sweep_dropped();
            return;
        }
        waiting.insert(account);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits for accounts, and takes `most` of them.
    pub(crate) async fn take(&self, most: usize) -> Vec<AccountUuid> {
        loop {
            let taken = {
                let mut waiting = self.waiting();
                let taken: Vec<AccountUuid> = waiting.iter().take(most).copied().collect();
                for account in &taken {
                    waiting.remove(account);
                }
                taken
            };
            if !taken.is_empty() {
                return taken;
            }
            self.arrived.notified().await;
        }
    }

    /// Puts back what could not be looked at.
    pub(crate) fn put_back(&self, accounts: Vec<AccountUuid>) {
        self.waiting().extend(accounts);
        self.arrived.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<AccountUuid>> {
        // Each change is complete before anything could panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sotto_ids::AccountId;

    use super::*;

    fn account(seed: u8) -> AccountUuid {
        AccountId::new([seed; 32]).uuid()
    }

    #[tokio::test]
    async fn an_account_is_taken_once_and_comes_again_where_it_could_not_be_looked_at() {
        let sweeps = Sweeps::new(10);
        sweeps.add(account(1));
        sweeps.add(account(1));

        let taken = sweeps.take(5).await;
        assert_eq!(taken, [account(1)]);
        sweeps.put_back(taken);
        assert_eq!(sweeps.take(5).await, [account(1)]);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let sweeps = Sweeps::new(3);
        for seed in 0..200 {
            sweeps.add(account(seed));
        }
        assert_eq!(sweeps.waiting().len(), 3);
    }
}
