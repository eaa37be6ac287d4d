use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_identity::pow::MAX_BITS;
use sotto_kit::config::{Validate, require};

/// Who may open an account. A token of a registered app is needed in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationMode {
    /// Every user of a registered app.
    Open,
    /// Those who bring an invite, as `sotto invite` makes them.
    Invite,
    /// Those whose device does some work first.
    ProofOfWork,
}

/// The section `[keys.registration]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationConfig {
    /// Who may open an account.
    pub mode: RegistrationMode,
    /// How much work it costs in the mode `proof_of_work`: 2^bits hashes on average.
    /// Between 8 and 26.
    pub work_bits: u8,
    /// How long a device may work on a challenge. Between 10s and 1h.
    #[serde(with = "humantime_serde")]
    pub challenge_ttl: Duration,
}

impl Validate for RegistrationConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        require(problems, (8..=MAX_BITS).contains(&self.work_bits), || {
            format!("keys.registration.work_bits: must be between 8 and {MAX_BITS}")
        });
        let ttl = Duration::from_secs(10)..=Duration::from_hours(1);
        require(problems, ttl.contains(&self.challenge_ttl), || {
            "keys.registration.challenge_ttl: must be between 10s and 1h".to_owned()
        });
    }
}
