use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sotto_ids::AccountUuid;
use tokio::{sync::Notify, time::Instant};

use crate::metrics;

/// Accounts that may have lost a device, and wait for a look at what lies in its queue.
///
/// Each is looked at twice: at once, and again when no replica can remember the device
/// any more, for what was on its way meanwhile.
#[derive(Debug)]
pub(crate) struct Purges {
    room: usize,
    again_after: Duration,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    now: HashSet<AccountUuid>,
    /// In the order of their times.
    again: VecDeque<(Instant, AccountUuid)>,
}

impl Purges {
    pub(crate) fn new(room: usize, again_after: Duration) -> Self {
        Self { room, again_after, waiting: Mutex::default(), arrived: Notify::new() }
    }

    pub(crate) fn add(&self, account: AccountUuid) {
        let mut guard = self.waiting();
        let waiting = &mut *guard;
        if waiting.now.contains(&account) {
            return;
        }
        if waiting.now.len() < self.room {
            waiting.now.insert(account);
            if waiting.again.len() < self.room {
                waiting.again.push_back((Instant::now() + self.again_after, account));
            }
        } else {
            metrics::purge_dropped();
        }
        drop(guard);
        self.arrived.notify_one();
    }

    /// Puts back what could not be looked at.
    pub(crate) fn put_back(&self, accounts: &[AccountUuid]) {
        self.waiting().now.extend(accounts);
    }

    /// Waits for accounts, and takes `most` of them.
    pub(crate) async fn take(&self, most: usize) -> Vec<AccountUuid> {
        loop {
            let again_at = {
                let mut guard = self.waiting();
                let waiting = &mut *guard;
                while let Some((_, account)) =
                    waiting.again.pop_front_if(|(at, _)| *at <= Instant::now())
                {
                    waiting.now.insert(account);
                }
                let taken: Vec<AccountUuid> = waiting.now.iter().take(most).copied().collect();
                if !taken.is_empty() {
                    for account in &taken {
                        waiting.now.remove(account);
                    }
                    return taken;
                }
                waiting.again.front().map(|(at, _)| *at)
            };
            match again_at {
                Some(at) => tokio::select! {
                    () = self.arrived.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.arrived.notified().await,
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
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

    #[tokio::test(start_paused = true)]
    async fn an_account_is_looked_at_at_once_and_once_more() {
        let purges = Purges::new(10, Duration::from_secs(20));
        let started = Instant::now();
        purges.add(account(1));
        purges.add(account(1));

        assert_eq!(purges.take(5).await, [account(1)]);
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(purges.take(5).await, [account(1)]);
        assert!(started.elapsed() >= Duration::from_secs(20));
        let nothing = tokio::time::timeout(Duration::from_hours(1), purges.take(5)).await;
        assert!(nothing.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_looked_at_comes_again() {
        let purges = Purges::new(10, Duration::from_secs(20));
        purges.add(account(1));
        let taken = purges.take(5).await;

        purges.put_back(&taken);

        assert_eq!(purges.take(5).await, [account(1)]);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let purges = Purges::new(3, Duration::ZERO);
        for seed in 0..200 {
            purges.add(account(seed));
        }
        assert_eq!(purges.waiting().now.len(), 3);
    }
}
