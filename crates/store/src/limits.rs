//! The buckets of the rate limits, in Redis, and in this process while Redis is away.
//!
//! | key | type | holds | lost when |
//! |---|---|---|---|
//! | `limits:{<subject>}:<class>` | string | when the bucket will be full, in microseconds since 1970 of Redis' clock | it is full |
//! | `limits:salt:<day>` | string | 32 random bytes under which addresses are hashed on that day | two days later |
//!
//! What the classes are, and what a verdict says, is in [`sotto_kit::limits`]. A subject is
//! an account's UUID, a device's address, an app's id, or the HMAC-SHA256 of an address
//! from which somebody calls, under a salt that nobody keeps: no address is in Redis,
//! and none can be found again by trying them all once its day is over.
//!
//! One call of a script decides on all buckets of one subject. Its clock is that of
//! Redis, so processes whose clocks differ agree.
//!
//! # For the sockets of a gateway
//!
//! A frame must not wait for Redis. A socket has an [`Allowance`] for each class it uses,
//! and spends from it in memory. Only when that is empty it asks, for
//! `limits.socket_batch` units at once, and stops reading its socket until the answer is
//! there:
//!
//! ```ignore
//! let limits = &*context.limits;
//! if !allowance.spend(1) {
//!     match Allowance::ask(limits.socket_batch(), Class::Send, device, &app, limits).await {
//!         Ok(granted) => allowance.add(granted - 1),
//!         Err(limited) => return Outcome::refused(&limited), // rate_limited, retry_after
//!     }
//! }
//! ```
//!
//! So a send costs a question for every batch, to the bucket of its device, and to that
//! of its app where this has a ceiling. What a socket had left when it ended is gone: at
//! most a batch for each socket.
//!
//! # While Redis is away
//!
//! A process that had no answer within `limits.patience` decides alone for
//! `limits.alone_for`, with the same table, and then asks again. Each process then has
//! its own buckets, so with many the limits are as many times as high. It keeps at
//! most `limits.local_buckets` for each class: subjects that fall on the same one share
//! it. `sotto_limits_decisions_total` says who decided.

mod local;
mod salt;
mod subject;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::rngs::StdRng;
use redis::{RedisResult, Script};
pub use sotto_kit::limits::{
    Allowance, AppLimits, Class, Decision, Limiter, LimitsConfig, Network, Policy, Rate,
    RateLimited, SharedLimiter, Subject, Take, Verdict, Whom,
};
use sotto_kit::{
    clock::{SharedClock, millis},
    fault::chain,
};

use self::{local::Local, salt::Salt};
use crate::redis::Redis;

/// The limits of a deployment. Cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    redis: Redis,
    script: Script,
    config: LimitsConfig,
    apps: AppLimits,
    salt: Salt,
    local: Local,
    clock: SharedClock,
    /// Until when Redis is not asked.
    alone_until_ms: AtomicU64,
    /// Whether that was logged.
    alone: AtomicBool,
}

/// What is taken from one bucket that exists.
#[derive(Debug, Clone, Copy)]
struct Bucket<'a> {
    policy: Policy,
    take: Take<'a>,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    /// The limits of `config`, with the ceilings of the `apps`. `rng` is for the salt.
    pub fn new(
        config: LimitsConfig,
        apps: AppLimits,
        redis: Redis,
        clock: SharedClock,
        rng: StdRng,
    ) -> Self {
        describe();
        Self(Arc::new(Inner {
            script: Script::new(include_str!("limits/take.lua")),
            local: Local::new(&config, &apps),
            salt: Salt::new(rng),
            redis,
            config,
            apps,
            clock,
            alone_until_ms: AtomicU64::new(0),
            alone: AtomicBool::new(false),
        }))
    }

    /// The same, to be handed to routes.
    pub fn shared(&self) -> SharedLimiter {
        Arc::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Limiter for Limits {
    async fn take(&self, takes: &[Take<'_>]) -> Decision {
        let inner = &self.0;
        let buckets: Vec<_> = takes.iter().filter_map(|take| inner.bucket(*take)).collect();
        if buckets.is_empty() {
            return Decision::default();
        }
        let (by, verdicts) = match inner.ask(&buckets).await {
            Some(verdicts) => ("redis", verdicts),
            None => ("local", inner.local.take(&buckets)),
        };
        for verdict in &verdicts {
            metrics::counter!(
                DECISIONS,
                "class" => verdict.policy.class.name(),
                "by" => by,
                "result" => if verdict.allowed { "allowed" } else { "refused" },
            )
            .increment(1);
        }
        Decision(verdicts)
    }

    fn socket_batch(&self) -> u32 {
        self.0.config.socket_batch
    }
}

impl Inner {
    /// The bucket to take from, unless nothing limits the subject.
    fn bucket<'a>(&self, take: Take<'a>) -> Option<Bucket<'a>> {
        let (rate, of_app) = match take.subject {
            Subject::App(app) => (self.apps.get(app)?.get(&take.class)?, true),
            Subject::Address(address) => {
                let address = address.to_canonical();
                if self.config.exempt.iter().any(|network| network.contains(address)) {
                    return None;
                }
                (self.config.classes.get(&take.class)?, false)
            }
            _ => (self.config.classes.get(&take.class)?, false),
        };
        Some(Bucket { policy: Policy { class: take.class, of_app, rate: *rate }, take })
    }

    /// What Redis decides; `None` where it does not in time.
    async fn ask(&self, buckets: &[Bucket<'_>]) -> Option<Vec<Verdict>> {
        let now_ms = self.clock.now_ms();
        let is_alone = now_ms < self.alone_until_ms.load(Ordering::Acquire);
        if is_alone || self.config.patience.is_zero() {
            return None;
        }
        let failure = match tokio::time::timeout(self.config.patience, self.decide(buckets)).await {
            Ok(Ok(verdicts)) => {
                if self.alone.load(Ordering::Relaxed) && self.alone.swap(false, Ordering::AcqRel) {
                    self.local.forget();
                    tracing::info!("redis decides on rate limits again");
                }
                return Some(verdicts);
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        let until_ms = now_ms.saturating_add(millis(self.config.alone_for));
        self.alone_until_ms.store(until_ms, Ordering::Release);
        if !self.alone.swap(true, Ordering::AcqRel) {
            tracing::warn!(error = failure, "this process decides on rate limits alone");
        }
        None
    }

    async fn decide(&self, buckets: &[Bucket<'_>]) -> RedisResult<Vec<Verdict>> {
        let mut verdicts = Vec::with_capacity(buckets.len());
        for of_one in buckets.chunk_by(|a, b| a.take.subject == b.take.subject) {
            let answers = self.run_script(of_one).await?;
            verdicts.extend(of_one.iter().zip(answers).map(|(bucket, answer)| answer.of(bucket)));
            if verdicts.iter().any(|verdict| !verdict.allowed) {
                break;
            }
        }
        Ok(verdicts)
    }

    /// Takes from the buckets of one subject.
    async fn run_script(&self, buckets: &[Bucket<'_>]) -> RedisResult<Vec<Answer>> {
        let Some(first) = buckets.first() else { return Ok(Vec::new()) };
        let tag = self.tag(first.take.subject).await?;
        let mut call = self.script.prepare_invoke();
        for bucket in buckets {
            let Rate { burst, per } = bucket.policy.rate;
            call.key(format!("limits:{{{tag}}}:{}", bucket.policy.class));
            call.arg(burst).arg(micros(per)).arg(bucket.take.least).arg(bucket.take.most);
        }
        let flat: Vec<u64> = call.invoke_async(&mut self.redis.commands()).await?;
        Ok(flat.as_chunks().0.iter().map(Answer::from).collect())
    }

    /// What stands for a subject in Redis.
    async fn tag(&self, subject: Subject<'_>) -> RedisResult<String> {
        Ok(match subject {
            Subject::Address(address) => {
                let salt = self.salt.of_today(self.clock.now_ms(), &self.redis).await?;
                subject::hash(address, &salt)
            }
            Subject::Device(device) => device.to_string(),
            Subject::Account(account) => account.to_string(),
            Subject::Pair(device, account) => format!("{device}>{account}"),
            Subject::App(app) => format!("app.{app}"),
        })
    }
}

/// What the script says of one bucket.
#[derive(Debug, Clone, Copy)]
struct Answer {
    granted: u64,
    remaining: u64,
    reset_us: u64,
    /// 0 where the bucket had enough.
    retry_us: u64,
}

impl From<&[u64; 4]> for Answer {
    fn from(&[granted, remaining, reset_us, retry_us]: &[u64; 4]) -> Self {
        Self { granted, remaining, reset_us, retry_us }
    }
}

impl Answer {
    fn of(self, bucket: &Bucket<'_>) -> Verdict {
        let units = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Verdict {
            policy: bucket.policy,
            allowed: self.retry_us == 0,
            granted: units(self.granted),
            remaining: units(self.remaining),
            reset: Duration::from_micros(self.reset_us),
            retry_after: Duration::from_micros(self.retry_us),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

const DECISIONS: &str = "sotto_limits_decisions_total";

fn describe() {
    metrics::describe_counter!(
        DECISIONS,
        "Buckets that were taken from, by class, by who decided (`redis`, or `local` while Redis is away or slow), and by result"
    );
}
