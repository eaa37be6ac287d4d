use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_kit::config::{ByteSize, Validate, require};

/// The section `[keys.jwks]`: how the key sets of apps with a `jwks_url` are fetched.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwksConfig {
    /// How old a key set may be before it is fetched again. Between 1m and 24h.
    #[serde(with = "humantime_serde")]
    pub refresh_every: Duration,
    /// The least time between two fetches of one key set, whatever the tokens name and
    /// whether or not the last fetch succeeded. Between 1s and 1h.
    #[serde(with = "humantime_serde")]
    pub refetch_pause: Duration,
    /// How long a fetch may take in all. Between 100ms and 30s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// The largest key set. Between 1KiB and 1MiB.
    pub max_body: ByteSize,
}

impl Validate for JwksConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let mut within = |ok: bool, name: &str, bounds: &str| {
            require(problems, ok, || format!("keys.jwks.{name}: must be {bounds}"));
        };
        let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
        within(
            (seconds(60)..=seconds(86_400)).contains(&self.refresh_every),
            "refresh_every",
            "between 1m and 24h",
        );
        within(
            (seconds(1)..=seconds(3600)).contains(&self.refetch_pause),
            "refetch_pause",
            "between 1s and 1h",
        );
        within(
            (millis(100)..=seconds(30)).contains(&self.timeout),
            "timeout",
            "between 100ms and 30s",
        );
        within((1024..=1 << 20).contains(&self.max_body.0), "max_body", "between 1KiB and 1MiB");
    }
}
