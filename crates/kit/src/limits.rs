//! Rate limits: what is counted, for whom, and what comes of it. Where the buckets are
//! kept is the business of whoever implements [`Limiter`].
//!
//! A bucket holds `burst` units and is filled at `burst` units in `per`, evenly. Who
//! finds too few is refused, and told when there will be enough.
//!
//! # Behind a route
//!
//! ```ignore
//! Endpoint::at("/{account}/bundles").post(to(take_bundles).wrap(limited(Class::Bundles)))
//! ```
//!
//! See [`crate::http::limited`]. It finds whom the class counts by itself, takes one unit,
//! and writes the headers.
//!
//! # Within a use case
//!
//! ```ignore
//! limits.take(&[Take::one(Class::Token, Subject::Account(account))]).await.check()?;
//! ```
//!
//! # On a socket
//!
//! An [`Allowance`] is taken from in memory, and asks for more units at a time than one
//! frame costs.

mod allowance;
mod class;
mod config;
mod decision;

use std::{fmt, net::IpAddr, sync::Arc};

use sotto_ids::{AccountUuid, DeviceAddress};

pub use self::{
    allowance::Allowance,
    class::{Class, Whom},
    config::{AppLimits, LimitsConfig, Network, Rate},
    decision::{Decision, Policy, RateLimited, Verdict},
};

/// Whose bucket is taken from.
///
/// It names somebody, so its `Debug` says nothing but the kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject<'a> {
    /// Whoever calls from an address. Of IPv6 the first 64 bits count, which is what one
    /// customer gets (RFC 6177).
    Address(IpAddr),
    /// A device.
    Device(DeviceAddress),
    /// An account, all its devices together.
    Account(AccountUuid),
    /// A device, towards one account.
    Pair(DeviceAddress, AccountUuid),
    /// An app, all its users together. Where it has no ceiling of its own for the class,
    /// this counts nothing.
    App(&'a str),
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address(_) => "Address(..)",
            Self::Device(_) => "Device(..)",
            Self::Account(_) => "Account(..)",
            Self::Pair(..) => "Pair(..)",
            Self::App(_) => "App(..)",
        })
    }
}

/// What to take from one bucket.
#[derive(Debug, Clone, Copy)]
pub struct Take<'a> {
    /// What is counted.
    pub class: Class,
    /// For whom.
    pub subject: Subject<'a>,
    /// How many units at least. With fewer in the bucket nothing is taken.
    pub least: u32,
    /// How many units at most.
    pub most: u32,
}

impl<'a> Take<'a> {
    /// One unit.
    pub const fn one(class: Class, subject: Subject<'a>) -> Self {
        Self::exactly(1, class, subject)
    }

    /// So many units, or none.
    pub const fn exactly(units: u32, class: Class, subject: Subject<'a>) -> Self {
        Self { class, subject, least: units, most: units }
    }

    /// As many as there are, but no more than this, and none if there is not one.
    pub const fn up_to(units: u32, class: Class, subject: Subject<'a>) -> Self {
        Self { class, subject, least: 1, most: units }
    }
}

/// Keeps the buckets.
#[async_trait::async_trait]
pub trait Limiter: Send + Sync + fmt::Debug {
    /// Takes from several buckets.
    ///
    /// Those of one subject are taken from together, or none of them is. Subjects are
    /// asked in their order, and after one that refuses no more is asked; what those
    /// before it gave is gone.
    ///
    /// It always decides: where the buckets cannot be reached, by what this process
    /// remembers alone.
    async fn take(&self, takes: &[Take<'_>]) -> Decision;

    /// How many units a socket takes at once: for [`Allowance::ask`].
    fn socket_batch(&self) -> u32;
}

/// Limits nothing and nobody: for tools, and for tests of something else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[async_trait::async_trait]
impl Limiter for Unlimited {
    async fn take(&self, _: &[Take<'_>]) -> Decision {
        Decision::default()
    }

    fn socket_batch(&self) -> u32 {
        u32::MAX
    }
}

/// A limiter that many hold.
pub type SharedLimiter = Arc<dyn Limiter>;
