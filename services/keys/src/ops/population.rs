use sotto_kit::clock::millis;
use tokio::sync::Mutex;

use super::Keys;
use crate::{db, domain::from_bigint, error::KeysError};

/// How many accounts there were when they were last counted.
#[derive(Debug, Default)]
pub(crate) struct Population(Mutex<Option<Count>>);

#[derive(Debug, Clone, Copy)]
struct Count {
    accounts: u64,
    at_ms: u64,
}

impl Keys {
    /// How many accounts there are, rounded. Counting looks at all of them, so it is
    /// done once in `keys.public.count_every`, and those who ask meanwhile wait for it.
    #[tracing::instrument(name = "keys.population", skip_all)]
    pub(crate) async fn population(&self) -> Result<u64, KeysError> {
        let mut known = self.population.0.lock().await;
        let now_ms = self.clock.now_ms();
        let is_new = |count: &Count| {
            now_ms.saturating_sub(count.at_ms) < millis(self.rules.public.count_every)
        };
        if let Some(count) = known.filter(is_new) {
            return Ok(rounded(count.accounts));
        }
        let accounts = from_bigint(db::accounts::count(&self.db).await?);
        *known = Some(Count { accounts, at_ms: now_ms });
        Ok(rounded(accounts))
    }
}

/// To tens under a hundred, else to two digits: nobody shall see who comes and goes.
fn rounded(count: u64) -> u64 {
    let mut unit = 10;
    while count >= unit * 10 {
        unit *= 10;
    }
    let unit = (unit / 10).max(10);
    (count + unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_keep_two_digits() {
        let counts = [0, 4, 5, 14, 94, 95, 104, 105, 999, 1_234, 1_250, 987_654];
        let expected = [0, 0, 10, 10, 90, 100, 100, 110, 1_000, 1_200, 1_300, 990_000];
        assert_eq!(counts.map(rounded), expected);
    }
}
