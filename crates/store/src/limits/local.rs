use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher as _,
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use sotto_kit::limits::{AppLimits, Class, LimitsConfig, Rate, Subject, Verdict};

use super::{Bucket, subject::network};

type Buckets =
    RateLimiter<u32, DefaultKeyedStateStore<u32>, DefaultClock, StateInformationMiddleware>;

/// Buckets in the memory of this process, for while Redis is away.
///
/// Their number is bounded by how they are named: by a hash, modulo how many there may
/// be. Nobody outside can choose who shares one, as each process hashes in its own way.
pub(super) struct Local {
    clock: DefaultClock,
    hasher: RandomState,
    most: u32,
    classes: BTreeMap<Class, Buckets>,
    apps: BTreeMap<String, BTreeMap<Class, Buckets>>,
}

impl Local {
    pub(super) fn new(config: &LimitsConfig, apps: &AppLimits) -> Self {
        Self {
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            most: config.local_buckets.max(1),
            classes: all(&config.classes),
            apps: apps.iter().map(|(app, classes)| (app.clone(), all(classes))).collect(),
        }
    }

    /// Takes from each bucket by itself, up to the first that refuses.
    pub(super) fn take(&self, buckets: &[Bucket<'_>]) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            let verdict = self.take_one(bucket);
            verdicts.extend(verdict);
            if verdict.is_some_and(|verdict| !verdict.allowed) {
                break;
            }
        }
        verdicts
    }

    /// Lets go of what Redis knows better by now.
    pub(super) fn forget(&self) {
        for buckets in self.classes.values().chain(self.apps.values().flat_map(BTreeMap::values)) {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }

    fn take_one(&self, bucket: &Bucket<'_>) -> Option<Verdict> {
        let (class, rate) = (bucket.policy.class, bucket.policy.rate);
        let (buckets, name) = match bucket.take.subject {
            Subject::App(app) => (self.apps.get(app)?.get(&class)?, 0),
            Subject::Address(address) => {
                (self.classes.get(&class)?, self.name(Subject::Address(network(address))))
            }
            subject => (self.classes.get(&class)?, self.name(subject)),
        };
        let (most, least) = (bucket.take.most, bucket.take.least);
        // It does not say how many there are, so there is nothing to try in between.
        let verdict = match taken(buckets, name, most, rate, &self.clock) {
            Err(_) if least < most => taken(buckets, name, least, rate, &self.clock),
            verdict => verdict,
        };
        Some(match verdict {
            Ok((granted, remaining)) => Verdict {
                policy: bucket.policy,
                allowed: true,
                granted,
                remaining,
                reset: rate.interval() * rate.burst.saturating_sub(remaining),
                retry_after: Duration::ZERO,
            },
            Err(retry_after) => Verdict {
                policy: bucket.policy,
                allowed: false,
                granted: 0,
                remaining: 0,
                reset: rate.per,
                retry_after,
            },
        })
    }

    fn name(&self, subject: Subject<'_>) -> u32 {
        let hash = self.hasher.hash_one(subject) % u64::from(self.most);
        u32::try_from(hash).unwrap_or_default()
    }
}

fn all(classes: &BTreeMap<Class, Rate>) -> BTreeMap<Class, Buckets> {
    classes.iter().map(|(class, rate)| (*class, buckets(*rate))).collect()
}

fn buckets(rate: Rate) -> Buckets {
    let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(rate.interval().max(Duration::from_nanos(1)))
        .expect("it is at least a nanosecond")
        .allow_burst(burst);
    RateLimiter::keyed(quota).with_middleware()
}

/// How many were taken and how many are left; or when to come again.
fn taken(
    buckets: &Buckets,
    name: u32,
    units: u32,
    rate: Rate,
    clock: &DefaultClock,
) -> Result<(u32, u32), Duration> {
    let Some(wanted) = NonZeroU32::new(units) else {
        return Ok((0, rate.burst));
    };
    match buckets.check_key_n(&name, wanted) {
        Ok(Ok(state)) => Ok((units, state.remaining_burst_capacity())),
        Ok(Err(not_until)) => Err(not_until.wait_time_from(clock.now())),
        // More than the bucket holds: there will never be enough.
        Err(_) => Err(rate.per),
    }
}
