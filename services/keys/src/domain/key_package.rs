//! KeyPackages (RFC 9420 section 10): which are taken.

use std::time::Duration;

use openmls::prelude::{
    KeyPackageVerifyError, Lifetime, ProtocolVersion, tls_codec::Serialize as _,
};
use sotto_ids::limits::MAX_KEY_PACKAGE_BYTES;
use sotto_kit::clock::millis;
use sotto_mls::{config::is_usable, identity::Claim, wire};
use sotto_mls_provider::Crypto;

use super::bigint;

/// Bytes of the hash by which a KeyPackage is named, in our suite.
const REF_BYTES: usize = 32;

/// A KeyPackage that is taken.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyPackage {
    /// The hash that names it (RFC 9420 section 5.2).
    pub(crate) reference: [u8; REF_BYTES],
    /// Milliseconds since 1970 at which its lifetime ends.
    pub(crate) not_after_ms: i64,
    /// As it came: the struct by itself, without the `MLSMessage` around it.
    pub(crate) bytes: Vec<u8>,
}

impl std::fmt::Debug for KeyPackage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPackage").finish_non_exhaustive()
    }
}

/// How often a KeyPackage may be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Once.
    Once,
    /// To everybody who finds none of the others.
    LastResort,
}

/// How long KeyPackages have to be good, and may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) now_ms: u64,
    /// From its beginning to its end.
    pub(crate) longest: Duration,
    /// What has to be left of it.
    pub(crate) margin: Duration,
}

impl Lifetimes {
    /// One that ends here or before is not worth handing out any more. Milliseconds since
    /// 1970.
    pub(crate) fn over_at_ms(&self) -> u64 {
        self.now_ms.saturating_add(millis(self.margin))
    }

    fn check(&self, lifetime: &Lifetime) -> Result<i64, Flaw> {
        let (begins_ms, ends_ms) = (in_ms(lifetime.not_before()), in_ms(lifetime.not_after()));
        if ends_ms <= self.over_at_ms() || begins_ms > self.now_ms {
            return Err(Flaw::OutOfTime);
        }
        if ends_ms - begins_ms > millis(self.longest) {
            return Err(Flaw::TooLong);
        }
        Ok(bigint(ends_ms))
    }
}

fn in_ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

/// What is wrong with a KeyPackage. Of several the first here is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    TooLarge,
    Malformed,
    Invalid,
    Unusable,
    Uncertified,
    OutOfTime,
    TooLong,
    WrongUse,
}

impl KeyPackage {
    /// Checks a KeyPackage that the device of `owner` uploads, whose key the chain
    /// certifies.
    ///
    /// OpenMLS asks the machine's own clock whether it is within its lifetime; whoever it is
    /// handed out to does the same. Ours, and with it the margin, decides beside that.
    pub(crate) fn check(
        bytes: &[u8],
        to_be_used: Use,
        owner: Claim,
        lifetimes: &Lifetimes,
    ) -> Result<Self, Flaw> {
        if bytes.len() > MAX_KEY_PACKAGE_BYTES {
            return Err(Flaw::TooLarge);
        }
        let unverified = wire::key_package(bytes).map_err(|_| Flaw::Malformed)?;
        let package =
            unverified.validate(&Crypto, ProtocolVersion::Mls10).map_err(|error| match error {
                KeyPackageVerifyError::LifetimeError(_) => Flaw::OutOfTime,
                _ => Flaw::Invalid,
            })?;
        // What is handed out has the one form whose hash names it.
        if package.tls_serialize_detached().ok().as_deref() != Some(bytes) {
            return Err(Flaw::Malformed);
        }
        if !is_usable(&package) {
            return Err(Flaw::Unusable);
        }
        if Claim::of_leaf(package.leaf_node()) != Ok(owner) {
            return Err(Flaw::Uncertified);
        }
        let not_after_ms = lifetimes.check(package.life_time())?;
        // A device forgets the private key of one that is not marked at its first use.
        if package.last_resort() != (to_be_used == Use::LastResort) {
            return Err(Flaw::WrongUse);
        }
        let reference = package.hash_ref(&Crypto).map_err(|_| Flaw::Invalid)?;
        let reference = reference.as_slice().try_into().map_err(|_| Flaw::Invalid)?;
        Ok(Self { reference, not_after_ms, bytes: bytes.to_vec() })
    }
}
