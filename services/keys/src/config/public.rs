use std::time::Duration;

use serde::{Deserialize, Serialize};
use sotto_kit::config::{Validate, require};
use url::Url;

/// The section `[keys.public]`: what anybody may read of the deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicConfig {
    /// Where the deployment is reached from outside, without a slash at its end. Empty
    /// for `https://` and `server.domain`.
    pub url: String,
    /// How old the count of accounts in `/nodeinfo/2.1` may be. Between 1m and 24h.
    #[serde(with = "humantime_serde")]
    pub count_every: Duration,
}

impl PublicConfig {
    /// Where the deployment is reached.
    pub(crate) fn base_url(&self, domain: &str) -> String {
        if self.url.is_empty() { format!("https://{domain}") } else { self.url.clone() }
    }
}

impl Validate for PublicConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let is_base = |text: &str| {
            !text.ends_with('/')
                && Url::parse(text).is_ok_and(|url| {
                    matches!(url.scheme(), "http" | "https")
                        && url.query().is_none()
                        && url.fragment().is_none()
                        && url.username().is_empty()
                })
        };
        require(problems, self.url.is_empty() || is_base(&self.url), || {
            "keys.public.url: must be empty, or an http(s) URL without a slash at its end"
                .to_owned()
        });
        let bounds = Duration::from_mins(1)..=Duration::from_hours(24);
        require(problems, bounds.contains(&self.count_every), || {
            "keys.public.count_every: must be between 1m and 24h".to_owned()
        });
    }
}
