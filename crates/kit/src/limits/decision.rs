use std::{fmt, time::Duration};

use serde_json::{Map, Value};

use super::{Class, Rate};
use crate::fault::{Code, Fault};

/// Which limit a bucket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What it counts.
    pub class: Class,
    /// Whether it is the ceiling of an app rather than the limit of the class.
    pub of_app: bool,
    /// How much, and how fast again.
    pub rate: Rate,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class.name())?;
        f.write_str(if self.of_app { "-app" } else { "" })
    }
}

/// What came of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The limit.
    pub policy: Policy,
    /// Whether it had enough. That of another bucket may still have refused.
    pub allowed: bool,
    /// How many units were taken from it.
    pub granted: u32,
    /// How many units are left.
    pub remaining: u32,
    /// When it will be full again.
    pub reset: Duration,
    /// When there will be as much as was asked for at least. Zero where it was allowed.
    pub retry_after: Duration,
}

/// What came of all buckets that were asked. Empty where nothing limits, which is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision(pub Vec<Verdict>);

impl Decision {
    /// Whether every bucket had enough.
    pub fn is_allowed(&self) -> bool {
        self.0.iter().all(|verdict| verdict.allowed)
    }

    /// Refuses where a bucket did not have enough.
    ///
    /// # Errors
    ///
    /// `rate_limited`.
    pub fn check(&self) -> Result<(), RateLimited> {
        let refused = self.0.iter().filter(|verdict| !verdict.allowed);
        let Some(longest) = refused.clone().map(|verdict| verdict.retry_after).max() else {
            return Ok(());
        };
        let policies = refused.map(|verdict| verdict.policy.to_string()).collect();
        Err(RateLimited { policies, retry_after: longest })
    }
}

/// The `type` of its problem document (draft-ietf-httpapi-ratelimit-headers section 7).
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Somebody asks more than they may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("too much was asked in too short a time")]
pub struct RateLimited {
    /// The names of the limits.
    pub policies: Vec<String>,
    /// When there will be enough.
    pub retry_after: Duration,
}

impl Fault for RateLimited {
    fn code(&self) -> Code {
        Code::TooManyRequests
    }

    fn reason(&self) -> &'static str {
        "rate_limited"
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after)
    }

    fn problem_type(&self) -> Option<&'static str> {
        Some(QUOTA_EXCEEDED)
    }

    fn extra(&self) -> Map<String, Value> {
        [("violated-policies".to_owned(), self.policies.clone().into())].into_iter().collect()
    }
}
