use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_ids::limits::{MAX_KEY_PACKAGES_PER_DEVICE, MAX_KEY_PACKAGES_PER_UPLOAD};
use sotto_kit::config::{Validate, require};

use super::{DAY, MINUTE};

/// The section `[keys.key_packages]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPackagesConfig {
    /// One-time KeyPackages that a device may have on its shelf. Between 100 and 200.
    pub stock: u16,
    /// A device with fewer than this left is told so. At most 100.
    pub low_water: u16,
    /// The longest lifetime of a KeyPackage, from `not_before` to `not_after`. Between 1d
    /// and 365d.
    #[serde(with = "humantime_serde")]
    pub longest_life: Duration,
    /// A KeyPackage of which less is left is neither taken nor handed out. At most 30d, and
    /// less than `longest_life`.
    #[serde(with = "humantime_serde")]
    pub margin: Duration,
    /// How often those that are over are deleted. Between 1m and 1d.
    #[serde(with = "humantime_serde")]
    pub upkeep_every: Duration,
    /// Rows that are deleted at once. Between 10 and 10000.
    pub upkeep_batch: u16,
}

impl Validate for KeyPackagesConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let mut within = |ok: bool, name: &str, bounds: &str| {
            require(problems, ok, || format!("keys.key_packages.{name}: must be {bounds}"));
        };
        within(
            usize::from(self.stock) >= MAX_KEY_PACKAGES_PER_UPLOAD
                && i64::from(self.stock) <= MAX_KEY_PACKAGES_PER_DEVICE,
            "stock",
            "between 100 and 200",
        );
        within(
            usize::from(self.low_water) <= MAX_KEY_PACKAGES_PER_UPLOAD,
            "low_water",
            "at most 100",
        );
        within(
            (DAY..=365 * DAY).contains(&self.longest_life),
            "longest_life",
            "between 1d and 365d",
        );
        within(
            self.margin <= 30 * DAY && self.margin < self.longest_life,
            "margin",
            "at most 30d, and less than longest_life",
        );
        within((MINUTE..=DAY).contains(&self.upkeep_every), "upkeep_every", "between 1m and 1d");
        within((10..=10_000).contains(&self.upkeep_batch), "upkeep_batch", "between 10 and 10000");
    }
}
