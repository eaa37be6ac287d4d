use sotto_ids::DeviceAddress;

use super::{Class, Limiter, RateLimited, Subject, Take};

/// What a socket may still do of one class without asking: a few units that were taken
/// at once.
///
/// A frame costs a subtraction. Only when nothing is left, the limiter is asked: for a
/// batch of the device, and for as much of its app. What is left when a socket ends is
/// gone, which is at most a batch.
///
/// ```ignore
/// if !allowance.spend(1) {
///     // Do not read the socket until this is answered.
///     let batch = limits.socket_batch();
///     allowance.add(Allowance::ask(batch, Class::Send, device, &app, &*limits).await? - 1);
/// }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowance(u32);

impl Allowance {
    /// Spends some units. Says whether there were as many; if not, none is spent.
    #[must_use]
    pub const fn spend(&mut self, units: u32) -> bool {
        match self.0.checked_sub(units) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }

    /// Adds what [`Allowance::ask`] gave.
    pub const fn add(&mut self, granted: u32) {
        self.0 = self.0.saturating_add(granted);
    }

    /// Asks for a batch: at most `batch` units, at least one. Waits for Redis, though
    /// never longer than `limits.patience` for each of two questions.
    ///
    /// # Errors
    ///
    /// `rate_limited`, by the device or by its app, with the time to come again.
    pub async fn ask(
        batch: u32,
        class: Class,
        device: DeviceAddress,
        app: &str,
        limits: &dyn Limiter,
    ) -> Result<u32, RateLimited> {
        let of_device = limits.take(&[Take::up_to(batch, class, Subject::Device(device))]).await;
        of_device.check()?;
        let granted = of_device.0.iter().map(|verdict| verdict.granted).min().unwrap_or(batch);
        let of_app = limits.take(&[Take::up_to(granted, class, Subject::App(app))]).await;
        of_app.check()?;
        Ok(of_app.0.iter().map(|verdict| verdict.granted).min().unwrap_or(granted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_spent_and_never_overdrawn() {
        let mut allowance = Allowance::default();

        assert!(!allowance.spend(1));
        allowance.add(3);
        assert!(allowance.spend(2));
        assert!(!allowance.spend(2), "there is one");
        assert!(allowance.spend(1));
    }
}
